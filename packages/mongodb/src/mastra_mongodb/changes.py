"""Changes as operations on documents: what is sent, what must match, and what was affected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias, cast

import msgspec

from mastra_core.storage.schema import Advance, Change, Delete, Put, Row, Table, Update, Value
from mastra_mongodb.conditions import Filter, filtered
from mastra_mongodb.documents import EXACT, Document, encoded

# What one operation does: insert a document, or change or delete one or all that match.
Kind: TypeAlias = Literal["insert", "upsert", "update", "delete"]
# A literal that is long enough is no longer in danger of being taken for a path or an operator, but
# every value of a pipeline is one all the same.
NEW: Final = {"$eq": [{"$type": "$_id"}, "missing"]}


class Operation(msgspec.Struct, frozen=True):
    """One operation: ``filter`` says on which documents, ``update`` what becomes of them.

    ``update`` is the document of an insert, the operators of an update, or a pipeline.
    """

    kind: Kind
    filter: Filter
    update: Any = None
    one: bool = False


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
    update: Document = {}
    if fields:
        update["$set"] = fields
    if absent:
        update["$unset"] = dict.fromkeys(absent, "")
    if kept:
        update["$setOnInsert"] = kept
    return update


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
    where: Filter = {name: {"$eq": values[name]} for name in table.key}
    if put.on_conflict == "fail":
        return Operation("insert", where, fields, one=True)
    if put.on_conflict == "skip":
        return Operation("upsert", where, {"$setOnInsert": fields}, one=True)
    merge = {name: rule for name, rule in put.merge.items() if name not in table.key}
    where |= {name: {"$eq": values[name]} for name, rule in merge.items() if rule == "match"}
    kept = _kept(table, values, merge)
    if "advance" not in merge.values():
        old = {name: fields.pop(name) for name in list(fields) if name in kept}
        gone = [name for name in absent if name not in kept]
        return Operation("upsert", where, _operators(fields, gone, old), one=True)
    return Operation("upsert", where, _merged(fields, absent, kept, merge), one=True)


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


def undoing(step: Step, before: Sequence[Document]) -> list[Operation]:
    """What takes back a step that was done, where nobody changed the documents since.

    ``before`` are the documents as they were, whole.
    """
    if isinstance(step.change, Delete):
        return [Operation("insert", {}, document, one=True) for document in before]
    if isinstance(step.change, Update):
        names = list(cast("Update", step.change).values)
        update = step.operations[0].update
        return [_restored(document, names, _written(update)) for document in before]
    table = step.change.table
    known = {tuple([document.get(n) for n in table.key]): document for document in before}
    back: list[Operation] = []
    for row, operation in zip(step.change.rows, step.operations, strict=True):
        key = tuple([row[table.positions[name]] for name in table.key])
        old, written = known.get(key), _written(operation.update)
        if operation.kind == "insert":
            written = operation.update
        if old is None:
            own = {name: operation.filter[name] for name in table.key}
            if isinstance(operation.update, dict):
                written |= operation.update.get("$setOnInsert", {})
            back.append(Operation("delete", _still(own, written), one=True))
        elif "$setOnInsert" not in operation.update or "$set" in operation.update:
            back.append(_restored(old, table.names, written))
    return back


def _written(update: Any) -> Document:
    """The fields that an update certainly left with these values."""
    if isinstance(update, list):
        computed = cast("list[Document]", update)[0]["$set"]
        literal = {n: v["$literal"] for n, v in computed.items() if "$literal" in v}
        return literal
    return dict(cast("Document", update).get("$set", {}))


def _still(where: Filter, written: Document) -> Filter:
    """The document, if its fields are as they were written."""
    same = [{"$eq": [f"${name}", _literal(value)]} for name, value in written.items()]
    return {**where, "$expr": {"$and": same}} if same else where


def _restored(old: Document, names: Sequence[str], written: Document) -> Operation:
    fields = [*names, *(EXACT + name for name in names)]
    values = {name: old[name] for name in fields if name in old}
    gone = [name for name in fields if name not in old]
    where = _still({"_id": old["_id"]}, written)
    return Operation("update", where, _operators(values, gone), one=True)
