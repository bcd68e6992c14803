"""The operations of a write as the driver's requests, measured before anything is sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

import bson
from pymongo import DeleteMany, DeleteOne, InsertOne, UpdateMany, UpdateOne

from mastra_core.errors import LimitExceededError
from mastra_core.storage.schema import Delete, Put
from mastra_mongodb.changes import Operation, Step
from mastra_mongodb.documents import Document

DOCUMENT_BYTES: Final = 16 * 1024 * 1024
# How much longer than its JSON a value may be in BSON: a list of small numbers.
GROWTH: Final = 6

Request: TypeAlias = InsertOne[Document] | UpdateOne | UpdateMany | DeleteOne | DeleteMany
_REQUESTS: Final[Mapping[tuple[str, bool], Callable[[Operation], Request]]] = {
    ("insert", True): lambda op: InsertOne(op.update),
    ("upsert", True): lambda op: UpdateOne(op.filter, op.update, upsert=True),
    ("update", True): lambda op: UpdateOne(op.filter, op.update),
    ("update", False): lambda op: UpdateMany(op.filter, op.update),
    ("delete", True): lambda op: DeleteOne(op.filter),
    ("delete", False): lambda op: DeleteMany(op.filter),
}


def request(operation: Operation, *, one: bool | None = None) -> Request:
    """The request of an operation; of one document, if that is said here or by the operation."""
    return _REQUESTS[operation.kind, operation.one if one is None else one](operation)


def measure(made: Sequence[Step]) -> None:
    """Refuse a document that is too large before anything is written."""
    for step in made:
        change = step.change
        if isinstance(change, Delete):
            continue
        rows = change.rows if isinstance(change, Put) else [tuple(change.values.values())]
        for values, operation in zip(rows, step.operations, strict=True):
            length = sum([len(value) for value in values if isinstance(value, str)])
            if length * GROWTH < DOCUMENT_BYTES:
                continue
            size = len(bson.encode({"": operation.update}))
            if size > DOCUMENT_BYTES:
                raise LimitExceededError(
                    f"a row of {step.collection} has {size:,} bytes; MongoDB takes at most "
                    f"{DOCUMENT_BYTES:,} in a document"
                )
