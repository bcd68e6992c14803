"""How the tables of every domain stand in a deployment, as the functions there are told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from mastra_core.storage.domains.datasets import DatasetsStorage
from mastra_core.storage.domains.experiments import ExperimentsStorage
from mastra_core.storage.domains.memory import MemoryStorage
from mastra_core.storage.domains.observability import ObservabilityStorage
from mastra_core.storage.domains.scores import ScoresStorage
from mastra_core.storage.domains.workflows import WorkflowsStorage
from mastra_core.storage.retention import with_age
from mastra_core.storage.schema import Column, Table
from mastra_core.storage.tables import (
    MESSAGES,
    OBSERVATIONAL_MEMORY,
    RESOURCES,
    SCORERS,
    TABLES,
    THREADS,
    WORKFLOW_SNAPSHOT,
)

# What the indexes that reads rely on are called: no name of the TypeScript framework's begins so.
PREFIX: Final = "py_"

# The tables that the TypeScript framework has, with its indexes.
_RECORD: Final = {"by_record_id": ("id",)}
ORIGINAL: Final[Mapping[Table, Mapping[str, tuple[str, ...]]]] = {
    THREADS: {
        **_RECORD,
        "by_resource": ("resourceId",),
        "by_created": ("createdAt",),
        "by_updated": ("updatedAt",),
    },
    MESSAGES: {
        **_RECORD,
        "by_thread": ("thread_id",),
        "by_thread_created": ("thread_id", "createdAt"),
        "by_resource": ("resourceId",),
    },
    RESOURCES: {**_RECORD, "by_updated": ("updatedAt",)},
    OBSERVATIONAL_MEMORY: {**_RECORD, "by_lookup_key": ("lookupKey", "generationCount")},
    WORKFLOW_SNAPSHOT: {
        **_RECORD,
        "by_workflow_run": ("workflow_name", "run_id"),
        "by_workflow": ("workflow_name",),
        "by_resource": ("resourceId",),
        "by_created": ("createdAt",),
    },
    SCORERS: {
        **_RECORD,
        "by_scorer": ("scorerId",),
        "by_entity": ("entityId", "entityType"),
        "by_run": ("runId",),
        "by_created": ("createdAt",),
    },
}
# Its documents hold objects where these tables have JSON; in all others JSON is text.
_OBJECTS: Final[Mapping[Table, str]] = {THREADS: "object", RESOURCES: "object", SCORERS: "any"}
_STORED: Final[Mapping[Table, str]] = {WORKFLOW_SNAPSHOT: "mastra_workflow_snapshots"}
# By what pruning finds old rows. Tables come with the functions, before any policy is known.
_AGES: Final[Mapping[str, tuple[Table, str]]] = {
    table.name: (table, column)
    for domain in (
        MemoryStorage,
        WorkflowsStorage,
        ScoresStorage,
        ObservabilityStorage,
        DatasetsStorage,
        ExperimentsStorage,
    )
    for table, column in domain.retention.values()
}
_LISTS: Final = frozenset({"observedMessageIds", "bufferedMessageIds"})


class _Column(msgspec.Struct, frozen=True):
    name: str
    kind: str
    required: bool
    nulls: bool


class _Index(msgspec.Struct, frozen=True):
    name: str
    columns: tuple[str, ...]


class _Joined(msgspec.Struct, frozen=True):
    field: str
    index: str
    of: tuple[str, ...]


class Shape(msgspec.Struct, frozen=True):
    """One table as ``words.ts`` describes it."""

    stored: str
    key: tuple[str, ...]
    columns: tuple[_Column, ...]
    unique: _Index
    indexes: tuple[_Index, ...]
    others: tuple[_Index, ...]
    joined: _Joined | None = None


def index_name(table: Table, name: str) -> str:
    """What an index of ours is called in a deployment, where each table has its own names."""
    return PREFIX + name.removeprefix(f"{table.name}_")


def shape(table: Table) -> Shape:
    """How a table stands in a deployment."""
    others = [_Index(name, columns) for name, columns in ORIGINAL.get(table, {}).items()]
    indexes = with_age(*_AGES[table.name]).indexes if table.name in _AGES else table.indexes
    own = _Index(f"{PREFIX}by_key", table.key)
    return Shape(
        stored=_STORED.get(table, table.name),
        key=table.key,
        columns=tuple([_column(table, column) for column in table.columns]),
        unique=next((index for index in others if index.columns == table.key), own),
        indexes=tuple([_Index(index_name(table, index.name), index.columns) for index in indexes]),
        others=tuple(others),
        joined=_Joined("id", "by_record_id", table.key) if table is WORKFLOW_SNAPSHOT else None,
    )


def _column(table: Table, column: Column) -> _Column:
    indexed = {name for index in table.indexes for name in index.columns} | set(table.key)
    shared = table in ORIGINAL and column.nullable is None and column.name in indexed
    return _Column(
        name=column.name,
        kind=_kind(table, column),
        required=column.nullable is False or shared,
        nulls=table is OBSERVATIONAL_MEMORY and column.nullable is True,
    )


def _kind(table: Table, column: Column) -> str:
    if column.type in {"integer", "bigint"}:
        return "number" if table in ORIGINAL else "integer"
    if column.type != "json":
        return column.type
    if table is OBSERVATIONAL_MEMORY:
        return "object" if column.name in _LISTS else "json"
    return _OBJECTS.get(table, "json")


def source(tables: Iterable[Table] = TABLES) -> str:
    """The module ``shapes.ts``, which tells the functions of a deployment about the tables."""
    described = {table.name: shape(table) for table in tables}
    text = msgspec.json.format(msgspec.json.encode(described), indent=2).decode()
    return (
        "/** The tables of mastra-core, written by `mastra-convex init`; written anew, not edited. */\n"
        '\nimport type { Shape } from "./words";\n'
        f"\nexport const shapes: Record<string, Shape> = {text};\n"
    )
