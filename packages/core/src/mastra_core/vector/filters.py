"""The filter language of vector stores: parsed once into a tree that each store translates.

A filter is a mapping in MongoDB's notation: ``{"topic": "tea", "year": {"$gte": 2024}}``. Several
keys, and several operators of one key, are joined by AND; a dotted key goes into nested objects.

- ``$eq`` (or a plain value), ``$ne``, ``$in``, ``$nin`` compare strictly by type (``1``, ``"1"`` and
  ``True`` differ, ``1`` and ``1.0`` do not); where an array is stored, with any of its elements.
- ``$gt $gte $lt $lte`` compare numbers with numbers and strings with strings; nothing else matches.
- ``$exists``; a stored ``null`` is as absent as a key that is not there, and ``None`` means absent.
- ``$contains``: a stored string has this substring, whatever the case of ASCII letters; a stored
  array has this value, or all of a list of them.
- ``$and $or $nor $not`` as in logic: every negation, ``$ne`` and ``$nin`` too, matches exactly what
  the other does not, also where the key is absent.

The tree has no negation but that of single comparisons: ``parse`` moves it inwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal, TypeAlias, cast

import msgspec

from mastra_core.clock import iso, milliseconds
from mastra_core.errors import InvalidArgumentError, UnsupportedError
from mastra_core.storage.codec import clean_text, json_array
from mastra_core.storage.matching import kind_of, same

Scalar: TypeAlias = str | int | float | bool
Comparison: TypeAlias = Literal["eq", "in", "gt", "gte", "lt", "lte", "exists", "contains"]

LOGICAL: Final = ("$and", "$or", "$nor", "$not")
OPERATORS: Final = frozenset(
    {"$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$exists", "$contains", *LOGICAL}
)
# What an operator of the language is in the tree, and whether it is the negation of that.
COMPARISONS: Final[Mapping[str, tuple[Comparison, bool]]] = {
    "$eq": ("eq", False),
    "$ne": ("eq", True),
    "$in": ("in", False),
    "$nin": ("in", True),
    "$gt": ("gt", False),
    "$gte": ("gte", False),
    "$lt": ("lt", False),
    "$lte": ("lte", False),
    "$contains": ("contains", False),
}
DEPTH: Final = 32
LARGEST: Final = 2**63
_LOWER: Final = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


class Compare(msgspec.Struct, frozen=True):
    """One comparison of the value at ``path``; ``negated`` matches exactly what it does not.

    ``value`` is a scalar for ``eq``, ranges and (a substring or an element) ``contains``, a tuple
    of scalars for ``in`` (never an empty one) and (all of them) ``contains``, and ``True`` for
    ``exists``.
    """

    path: tuple[str, ...]
    op: Comparison
    value: Scalar | tuple[Scalar, ...]
    negated: bool = False


class All(msgspec.Struct, frozen=True):
    """Every one of the nodes matches; with none of them, everything does."""

    nodes: tuple[Node, ...]


class AnyOf(msgspec.Struct, frozen=True):
    """At least one of the nodes matches; with none of them, nothing does."""

    nodes: tuple[Node, ...]


Node: TypeAlias = Compare | All | AnyOf
EVERYTHING: Final = All(())
NOTHING: Final = AnyOf(())


def parse(
    given: Mapping[str, Any] | None,
    *,
    operators: frozenset[str] = OPERATORS,
    store: str = "this vector store",
) -> Node | None:
    """The tree of a filter, or ``None`` where it leaves nothing out.

    What is no filter is an ``InvalidArgumentError``; an operator that is not among ``operators``,
    those that the store can do, is an ``UnsupportedError`` that names it.
    """
    if given is None:
        return None
    node = _Parser(operators, store).conditions(given, negated=False, depth=0)
    return None if node == EVERYTHING else node


def comparisons(node: Node | None) -> Iterator[Compare]:
    """All comparisons of a tree."""
    if isinstance(node, Compare):
        yield node
    elif node is not None:
        for inner in node.nodes:
            yield from comparisons(inner)


def holds(node: Node | None, metadata: Mapping[str, Any]) -> bool:
    """Whether a vector with these metadata matches: what every translation must agree with."""
    if node is None:
        return True
    if isinstance(node, All):
        return all(holds(inner, metadata) for inner in node.nodes)
    if isinstance(node, AnyOf):
        return any(holds(inner, metadata) for inner in node.nodes)
    return _compares(node, _at(metadata, node.path)) is not node.negated


def widened(
    node: Node | None, compared: Callable[[Compare], dict[str, Any] | None]
) -> dict[str, Any] | None:
    """A filter of ``$and`` and ``$or`` that matches at least what the tree does; ``None`` is everything.

    ``compared`` says a single comparison, or something wider; ``None`` where it cannot.
    """
    if node is None:
        return None
    if isinstance(node, Compare):
        return compared(node)
    parts = [widened(inner, compared) for inner in node.nodes]
    sent = [part for part in parts if part is not None]
    if isinstance(node, All):
        return united("$and", sent)
    # One branch may match anything, and so may all of it.
    return united("$or", sent) if len(sent) == len(parts) else None


def united(word: str, parts: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """Several filters as one under ``$and`` or ``$or``; a single one as it is, of none ``None``."""
    if len(parts) < 2:
        return parts[0] if parts else None
    return {word: list(parts)}


def ascii_lower(text: str) -> str:
    """The text with its ASCII letters in lower case, which is how ``$contains`` compares."""
    return text.translate(_LOWER)


def _at(metadata: Mapping[str, Any], path: Sequence[str]) -> Any:
    value: Any = metadata
    for key in path:
        if not isinstance(value, Mapping):
            return None
        value = cast("Mapping[str, Any]", value).get(key)
    return value


def _compares(compare: Compare, value: Any) -> bool:
    wanted: Any = compare.value
    if value is None:
        return False
    elements: Sequence[Any] = json_array(value) or [value]
    match compare.op:
        case "exists":
            return True
        case "eq":
            return any(same(element, wanted) for element in elements)
        case "in":
            return any(same(element, one) for element in elements for one in wanted)
        case "contains":
            if isinstance(value, str) and isinstance(wanted, str):
                return ascii_lower(wanted) in ascii_lower(value)
            return json_array(value) is not None and all(
                any(same(element, one) for element in elements) for one in _tuple(wanted)
            )
        case op:
            return _in_order(op, value, wanted)


def _in_order(op: str, value: Any, wanted: Any) -> bool:
    if kind_of(value) is not kind_of(wanted) or isinstance(value, (list, dict, bool)):
        return False
    low, high = (wanted, value) if op in {"gt", "gte"} else (value, wanted)
    return bool(low < high) or (op in {"gte", "lte"} and bool(low == high))


def _tuple(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)  # pyright: ignore[reportUnknownVariableType]


class _Parser:
    """Reads a filter for a store that can do some operators."""

    def __init__(self, operators: frozenset[str], store: str) -> None:
        self.operators = operators
        self.store = store

    def conditions(self, given: object, *, negated: bool, depth: int) -> Node:
        """Several keys, joined by AND: or, where all of it is negated, by OR."""
        if not isinstance(given, Mapping):
            raise InvalidArgumentError(
                f"a filter is a mapping of metadata keys to conditions, not {_kind(given)}"
            )
        if depth > DEPTH:
            raise InvalidArgumentError(f"a filter is nested more than {DEPTH} deep")
        nodes: list[Node] = []
        for key, value in cast("Mapping[object, Any]", given).items():
            if not isinstance(key, str) or not key:
                raise InvalidArgumentError(f"a key of a filter is a non-empty string, not {key!r}")
            if key.startswith("$"):
                nodes.append(self.logical(key, value, negated=negated, depth=depth))
            else:
                nodes += self.field(key, value, negated=negated, depth=depth)
        return _joined(nodes, either=negated)

    def logical(self, key: str, value: Any, *, negated: bool, depth: int) -> Node:
        """``$and``, ``$or``, ``$nor`` with a list of filters, ``$not`` with one."""
        self.allow(key)
        if key not in LOGICAL:
            raise InvalidArgumentError(
                f"{key} stands behind a metadata key, as {{'year': {{{key!r}: …}}}}, not by itself"
            )
        if key == "$not":
            if not isinstance(value, Mapping) or not value:
                raise InvalidArgumentError("$not takes a filter that is not empty")
            return self.conditions(cast(object, value), negated=not negated, depth=depth + 1)
        if not isinstance(value, (list, tuple)):
            raise InvalidArgumentError(f"{key} takes a list of filters, not {_kind(value)}")
        inside = negated is not (key == "$nor")
        branches = cast("Sequence[object]", value)
        nodes = [self.conditions(one, negated=inside, depth=depth + 1) for one in branches]
        return _joined(nodes, either=(key != "$and") is not inside)

    def field(self, key: str, value: Any, *, negated: bool, depth: int) -> list[Node]:
        """The conditions on one metadata key."""
        path = tuple(key.split("."))
        if not all(path) or clean_text(key) != key:
            raise InvalidArgumentError(f"{key!r} is no metadata key (dots go into nested objects)")
        if not isinstance(value, Mapping):
            self.allow("$eq")
            return [_equal(path, value, key, negated=negated)]
        operators = cast("Mapping[object, Any]", value)
        if not operators:
            raise InvalidArgumentError(f"the condition on {key!r} is empty")
        return [
            self.comparison(path, key, str(operator), operand, negated=negated, depth=depth)
            for operator, operand in operators.items()
        ]

    def comparison(
        self,
        path: tuple[str, ...],
        key: str,
        operator: str,
        value: Any,
        *,
        negated: bool,
        depth: int,
    ) -> Node:
        """One operator of a key."""
        if not operator.startswith("$"):
            raise InvalidArgumentError(
                f"the condition on {key!r} is an object; write {key}.{operator} for a nested key"
            )
        self.allow(operator)
        if operator == "$not":
            if not isinstance(value, Mapping) or not value:
                raise InvalidArgumentError(f"$not of {key!r} takes operators, as {{'$gt': 5}}")
            if depth > DEPTH:
                raise InvalidArgumentError(f"a filter is nested more than {DEPTH} deep")
            inner = self.field(key, value, negated=not negated, depth=depth + 1)
            return _joined(inner, either=not negated)
        if operator in LOGICAL:
            raise InvalidArgumentError(
                f"{operator} stands before metadata keys, not behind {key!r}"
            )
        if operator == "$exists":
            if not isinstance(value, bool):
                raise InvalidArgumentError(f"$exists of {key!r} takes True or False")
            return Compare(path, "exists", True, negated is value)  # noqa: FBT003
        return _compared(path, operator, value, key, negated=negated)

    def allow(self, operator: str) -> None:
        """Refuse an operator that nobody knows, or that the store cannot do."""
        if operator not in OPERATORS:
            known = " ".join(sorted(self.operators))
            raise InvalidArgumentError(f"Unsupported operator: {operator}; there are {known}")
        if operator not in self.operators:
            known = " ".join(sorted(self.operators))
            raise UnsupportedError(f"{self.store} has no {operator} in filters; it has {known}")


def _joined(nodes: Sequence[Node], *, either: bool) -> Node:
    """The nodes joined by OR or AND; what decides it alone, or decides nothing, is simplified."""
    decisive, idle = (EVERYTHING, NOTHING) if either else (NOTHING, EVERYTHING)
    if decisive in nodes:
        return decisive
    left = [node for node in nodes if node != idle]
    if len(left) == 1:
        return left[0]
    return AnyOf(tuple(left)) if either else All(tuple(left))


def _compared(path: tuple[str, ...], operator: str, value: Any, key: str, *, negated: bool) -> Node:
    op, negates = COMPARISONS[operator]
    opposite = negated is not negates
    if op == "eq":
        return _equal(path, value, key, negated=opposite)
    if op == "in":
        return _member(path, value, key, negated=opposite)
    if op == "contains" and isinstance(value, (list, tuple)):
        return Compare(path, op, _scalars(cast("Sequence[Any]", value), key), opposite)
    wanted = _scalar(value, key)
    if op != "contains" and isinstance(wanted, bool):
        raise InvalidArgumentError(f"{operator} of {key!r} takes a number or a string")
    return Compare(path, op, wanted, opposite)


def _equal(path: tuple[str, ...], value: Any, key: str, *, negated: bool) -> Compare:
    if value is None:
        return Compare(path, "exists", True, not negated)  # noqa: FBT003
    return Compare(path, "eq", _scalar(value, key), negated)


def _member(path: tuple[str, ...], value: Any, key: str, *, negated: bool) -> Node:
    if not isinstance(value, (list, tuple)):
        raise InvalidArgumentError(f"$in and $nin of {key!r} take a list, not {_kind(value)}")
    listed = cast("Sequence[Any]", value)
    present = [one for one in listed if one is not None]
    nodes: list[Node] = []
    if present:
        nodes.append(Compare(path, "in", _scalars(present, key), negated))
    if len(present) < len(listed):
        nodes.append(_equal(path, None, key, negated=negated))
    return _joined(nodes, either=not negated)


def _scalars(values: Sequence[Any], key: str) -> tuple[Scalar, ...]:
    return tuple([_scalar(value, key) for value in values])


def _scalar(value: Any, key: str) -> Scalar:
    if isinstance(value, datetime):
        return iso(milliseconds(value))
    # Members of enumerations, and numbers of other libraries, become what they are made of.
    if isinstance(value, str):
        return clean_text(str.__str__(value))
    if isinstance(value, bool):
        return value
    if isinstance(value, int) and -LARGEST <= value < LARGEST:
        return int(value)
    if isinstance(value, float) and abs(value) < float("inf"):
        return float(value)
    raise InvalidArgumentError(
        f"the filter compares {key!r} with {value!r}; it can with strings, booleans, finite numbers "
        "of 64 bits and datetimes"
    )


def _kind(value: object) -> str:
    return type(value).__name__
