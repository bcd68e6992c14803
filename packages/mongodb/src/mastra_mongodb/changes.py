"""Changes as operations on documents: what is sent, what must match, and what was affected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias, cast

import msgspec

from mastra_core.storage.schema import Advance, Change, Delete, Put, Row, Table, Update, Value
from mastra_mongodb.conditions import Filter, conjunction, filtered
from mastra_mongodb.documents import EXACT, Document, encoded

# What one operation does: insert a document, or change or delete one or all that match.
Kind: TypeAlias = Literal["insert", "upsert", "update", "delete"]
# A literal that is long enough is no longer in danger of being taken for a path or an operator, but
# every value of a pipeline is one all the same.
NEW: Final = {"$eq": [{"$type": "$_id"}, "missing"]}


class Operation(msgspec.Struct, frozen=True):
    """One operation: ``filter`` says on which documents, ``update`` what becomes of them.

    ``update`` is the document of an insert, the operators of an update, or a pipeline; ``new`` is the
    document that an upsert makes where none is stored.
    """

    kind: Kind
    filter: Filter
    update: Any = None
    one: bool = False
    new: Document | None = None


class Step(msgspec.Struct, frozen=True):
    """The operations of one change, all of one collection and sent as one request."""

    number: int
    change: Change
    operations: tuple[Operation, ...]

    @property
    def collection(self) -> str:
        """The collection that it is of."""
        return self.change.table.name

    @property
    def expect(self) -> int | None:
        """How many rows must match."""
        return None if isinstance(self.change, Put) else self.change.expect

    @property
    def guarded(self) -> bool:
        """Whether it may find that the stored rows are not as they should be."""
        if isinstance(self.change, Put):
            return self.change.on_conflict == "fail" or "match" in self.change.merge.values()
        return self.change.expect is not None

    @property
    def inserts(self) -> bool:
        """Whether rows that are not stored yet can be told from those that are, and inserted."""
        put = self.change
        return isinstance(put, Put) and put.on_conflict != "fail" and not self.single

    @property
    def new(self) -> bool:
        """Whether it is of rows that are said to be new, and changes none that is stored all the same."""
        put = self.change
        return isinstance(put, Put) and put.fresh and (self.inserts or put.on_conflict == "fail")

    @property
    def single(self) -> bool:
        """Whether it can touch one document only, so that it is atomic by itself."""
        alone = len(self.operations) == 1 and self.operations[0].one
        return alone and self.expect in {None, 1}


def steps(changes: Sequence[Change]) -> list[Step]:
    """The steps of a write, in its order; changes of nothing have none."""
    made = [Step(i, change, tuple(_operations(change))) for i, change in enumerate(changes)]
    return [step for step in made if step.operations]


def _operations(change: Change) -> Iterator[Operation]:
    if isinstance(change, Put):
        for row in change.rows:
            yield _put(change, row)
        return
    where = filtered(change.table, change.where)
    pinned = {w.column for w in change.where if w.op == "eq" and not w.path and w.value is not None}
    one = pinned.issuperset(change.table.key)
    if isinstance(change, Delete):
        yield Operation("delete", where, one=one)
    else:
        yield Operation("update", where, _set(change), one=one)


def _set(change: Update) -> Any:
    """The update of all matching documents: a pipeline only where a time is to advance."""
    for name in change.values:
        change.table.column(name)
    plain: dict[str, Value] = {}
    times: dict[str, Advance] = {}
    for name, value in change.values.items():
        if isinstance(value, Advance):
            times[name] = value
        else:
            plain[name] = value
    fields, absent = encoded(change.table, plain)
    if not times:
        return _operators(fields, absent)
    computed = {name: _literal(value) for name, value in fields.items()}
    computed |= {name: _later(name, value.at) for name, value in times.items()}
    return _pipeline(computed, absent)


def _operators(fields: Document, absent: Sequence[str], kept: Document | None = None) -> Document:
    parts: Document = {"$set": fields, "$setOnInsert": kept, "$unset": dict.fromkeys(absent, "")}
    # An update of nothing is refused by the driver; taking away what is not there is one.
    return {operator: given for operator, given in parts.items() if given} or {
        "$unset": {EXACT: ""}
    }


def _pipeline(computed: Document, absent: Sequence[str]) -> list[Document]:
    stages: list[Document] = [{"$set": computed}]
    return [*stages, {"$unset": list(absent)}] if absent else stages


def _literal(value: Any) -> Document:
    """A value that is never an expression, whatever text or keys it has."""
    return {"$literal": value}


def _later(name: str, at: Any) -> Document:
    """The later of a time and the stored one plus a millisecond; absent ones count as none."""
    return {"$max": [_literal(at), {"$add": [f"${name}", 1]}]}


def _put(put: Put, row: Row) -> Operation:
    table = put.table
    values = dict(zip(table.names, row, strict=True))
    fields, absent = encoded(table, values)
    where: Filter = {name: values[name] for name in table.key}
    if put.on_conflict == "fail":
        return Operation("insert", where, fields, one=True)
    if put.on_conflict == "skip":
        return Operation("upsert", where, {"$setOnInsert": fields}, one=True, new=dict(fields))
    merge = {name: rule for name, rule in put.merge.items() if name not in table.key}
    where |= {name: values[name] for name, rule in merge.items() if rule == "match"}
    new, kept = dict(fields), _kept(table, values, merge)
    if "advance" not in merge.values():
        old = {name: fields.pop(name) for name in new if name in kept}
        gone = [name for name in absent if name not in kept]
        return Operation("upsert", where, _operators(fields, gone, old), one=True, new=new)
    update = _merged(fields, absent, kept, merge)
    return Operation("upsert", where, update, one=True, new=new)


def _kept(table: Table, values: Mapping[str, Value], merge: Mapping[str, str]) -> set[str]:
    """The fields that a stored document keeps, with what belongs to them."""
    names = {
        name
        for name, rule in merge.items()
        if rule == "keep" or (rule == "coalesce" and values[name] is None)
    }
    return names | {EXACT + name for name in names if table.by_name[name].type == "json"}


def _merged(
    fields: Document, absent: Sequence[str], kept: set[str], merge: Mapping[str, str]
) -> list[Document]:
    computed: Document = {}
    for name, value in fields.items():
        computed[name] = _literal(value)
        if merge.get(name) == "advance":
            computed[name] = _literal(value) if value is None else _later(name, value)
        elif name in kept:
            computed[name] = {"$cond": [NEW, _literal(value), f"${name}"]}
    return _pipeline(computed, [name for name in absent if name not in kept])


Key: TypeAlias = tuple[Any, ...]


def key_of(step: Step, operation: Operation) -> Key:
    """The key of the row that an operation of a put is of."""
    return tuple([operation.filter[name] for name in step.change.table.key])


def keys_of(step: Step, documents: Sequence[Mapping[str, Any]]) -> set[Key]:
    """The keys of stored documents."""
    return {tuple([found.get(n) for n in step.change.table.key]) for found in documents}


def only(step: Step, documents: Sequence[Document]) -> Step:
    """The step on none but these documents, so that what is counted is what can be taken back."""
    among = {"_id": {"$in": [document["_id"] for document in documents]}}
    narrowed = [
        msgspec.structs.replace(each, filter=conjunction([each.filter, among]))
        for each in step.operations
    ]
    return msgspec.structs.replace(step, operations=tuple(narrowed))


def inserted_first(step: Step, stored: set[Key]) -> list[tuple[Operation, ...]]:
    """The operations of a put in two requests: the rows that are new as inserts, then the others.

    An upsert costs a server several times what an insert does.
    """
    new: list[Operation] = []
    others: list[Operation] = []
    known = set(stored)
    for operation in step.operations:
        key = key_of(step, operation)
        if key in known or operation.kind != "upsert":
            others.append(operation)
        else:
            new.append(Operation("insert", operation.filter, operation.new, one=True))
        known.add(key)
    return [tuple(part) for part in (new, others) if part]


def undoing(step: Step, before: Sequence[Document]) -> list[Operation]:
    """What takes back a step that was done, where nobody changed the documents since.

    ``before`` are the documents as they were, whole.
    """
    if isinstance(step.change, Delete):
        return [Operation("insert", {}, document, one=True) for document in before]
    if isinstance(step.change, Update):
        names = list(step.change.values)
        update = step.operations[0].update
        return [_restored(document, names, _written(update)) for document in before]
    table = step.change.table
    known = {tuple([document.get(n) for n in table.key]): document for document in before}
    back: list[Operation] = []
    for operation in step.operations:
        old = known.get(key_of(step, operation))
        if old is None:
            made = operation.new or operation.update
            # Of an insert the driver has noted its ``_id`` in the document.
            own = {name: made[name] for name in (*table.key, "_id") if name in made}
            back.append(Operation("delete", _still(own, made), one=True))
        elif step.change.on_conflict == "replace":
            back.append(_restored(old, table.names, _written(operation.update)))
    return back


def _written(update: Any) -> Document:
    """The fields that an update certainly left with these values."""
    if isinstance(update, list):
        computed = cast("list[Document]", update)[0]["$set"]
        return {n: v["$literal"] for n, v in computed.items() if "$literal" in v}
    return dict(cast("Document", update).get("$set", {}))


def _still(where: Filter, written: Document) -> Filter:
    """The document, if its fields are as they were written.

    Only lists are compared by an expression, and the key comes first: not every server looks for the best
    index.
    """
    filters: Filter = dict(where)
    lists: list[Document] = []
    for name, value in written.items():
        if isinstance(value, list):
            lists.append({"$eq": [f"${name}", _literal(value)]})
        elif isinstance(value, dict):
            # A list that has it as a member would be equal, too.
            filters[name] = {"$eq": value, "$not": {"$type": "array"}}
        elif name not in where:
            filters[name] = {"$eq": value}
    return {**filters, "$expr": {"$and": lists}} if lists else filters


def _restored(old: Document, names: Sequence[str], written: Document) -> Operation:
    fields = [*names, *(EXACT + name for name in names)]
    values = {name: old[name] for name in fields if name in old}
    gone = [name for name in fields if name not in old]
    where = _still({"_id": old["_id"]}, written)
    return Operation("update", where, _operators(values, gone), one=True)
