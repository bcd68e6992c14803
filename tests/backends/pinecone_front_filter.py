"""Pinecone's filters of metadata, as its documents describe them."""

from __future__ import annotations

from typing import Any

VALUES = 10_000


class RefusedError(Exception):
    """What the service answers that cannot do what it is asked for."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def matches(metadata: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Whether metadata match; what is no filter is refused, also where nothing is stored."""
    results: list[bool] = []
    for key, condition in wanted.items():
        if key in ("$and", "$or"):
            if not isinstance(condition, list) or not condition:
                raise RefusedError(400, f"{key} must be followed by a list that is not empty")
            parts = [matches(metadata, part) for part in condition]
            results.append(all(parts) if key == "$and" else any(parts))
        elif key.startswith("$"):
            raise RefusedError(400, f"{key} is not a valid operator")
        else:
            operators = condition if isinstance(condition, dict) else {"$eq": condition}
            results += [_compares(metadata, key, op, one) for op, one in operators.items()]
    return all(results)


def _compares(metadata: dict[str, Any], key: str, operator: str, wanted: Any) -> bool:
    value = metadata.get(key)
    values = value if isinstance(value, list) else [value]
    match operator:
        case "$exists":
            if not isinstance(wanted, bool):
                raise RefusedError(400, "$exists must be followed by a boolean")
            return (key in metadata) is wanted
        case "$eq" | "$ne":
            found = any(_same(one, _scalar(operator, wanted)) for one in values)
            return found is (operator == "$eq") if key in metadata else operator == "$ne"
        case "$in" | "$nin":
            if not isinstance(wanted, list) or not 1 <= len(wanted) <= VALUES:
                raise RefusedError(400, f"{operator} must be followed by a list of 1 to 10000")
            given = [_scalar(operator, one) for one in wanted]
            found = any(_same(one, other) for one in values for other in given)
            return found is (operator == "$in") if key in metadata else operator == "$nin"
        case "$gt" | "$gte" | "$lt" | "$lte":
            if not _number(wanted):
                raise RefusedError(400, f"{operator} must be followed by a number, got {wanted!r}")
            return _number(value) and _ordered(operator, value, wanted)
        case _:
            raise RefusedError(400, f"{operator} is not a valid operator")


def _ordered(operator: str, value: float, wanted: float) -> bool:
    if operator.endswith("e") and value == wanted:
        return True
    return value > wanted if operator.startswith("$g") else value < wanted


def _scalar(operator: str, wanted: Any) -> Any:
    if isinstance(wanted, (list, dict)) or wanted is None:
        raise RefusedError(
            400, f"the {operator} operator must be followed by a string, boolean or a number"
        )
    return wanted


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _same(one: Any, two: Any) -> bool:
    # Numbers are doubles there.
    if _number(one) and _number(two):
        return float(one) == float(two)
    return type(one) is type(two) and bool(one == two)
