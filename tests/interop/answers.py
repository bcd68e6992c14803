"""What the original's answers on PostgreSQL leave out or change of what is stored (see README.md)."""

from __future__ import annotations

import json
from typing import Any

# Its queries of spans do not select these.
UNANSWERED = {
    "parentEntityType",
    "parentEntityId",
    "parentEntityName",
    "rootEntityType",
    "rootEntityId",
    "rootEntityName",
    "entityVersionId",
    "parentEntityVersionId",
    "rootEntityVersionId",
    "experimentId",
    "requestContext",
}
# Of results it reads the twins, which it leaves to the database when it writes.
TIMES = {"startedAt", "completedAt", "createdAt"}


def span_seen(database: str, sample: dict[str, Any]) -> dict[str, Any]:
    """The fields of a span that the original answers."""
    return _without(sample, UNANSWERED if database == "postgresql" else set())


def result_seen(database: str, sample: dict[str, Any]) -> dict[str, Any]:
    """The fields of an experiment's result that the original answers right."""
    return _without(sample, TIMES if database == "postgresql" else set())


def span_value_seen(database: str, value: Any) -> Any:
    """A JSON value of a span as the original answers it: text is taken for JSON where it can be."""
    if database != "postgresql" or not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def result_values_seen(database: str, value: Any) -> list[Any]:
    """The same of a result's input, output and ground truth: of numbers and truth nothing is left."""
    if database != "postgresql":
        return [value] * 3
    lost = isinstance(value, (bool, int, float))
    seen = {} if lost else span_value_seen(database, value)
    # Where there may be none, what counts as false to JavaScript is none.
    optional = seen if value or isinstance(value, (list, dict)) else None
    return [seen, optional, optional]


def _without(sample: dict[str, Any], names: set[str]) -> dict[str, Any]:
    return {name: value for name, value in sample.items() if name not in names}
