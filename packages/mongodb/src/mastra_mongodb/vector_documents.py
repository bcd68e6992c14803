"""Vectors as documents and back: ``_id``, ``embedding``, ``metadata``, ``document``, as the original has them."""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Mapping
from typing import Any, Final, cast

import bson
from bson import ObjectId
from bson.binary import VECTOR_SUBTYPE, Binary
from pymongo import UpdateOne

from mastra_core.errors import LimitExceededError
from mastra_core.records import JsonObject
from mastra_core.storage.codec import from_json
from mastra_core.storage.schema import Column, Table
from mastra_core.vector.schema import Item
from mastra_mongodb.documents import EXACT, Document, decoders, stored_json
from mastra_mongodb.requests import DOCUMENT_BYTES, GROWTH
from mastra_mongodb.vector_filters import METADATA
from mastra_mongodb.vector_schema import DOCUMENT, Target

TABLE: Final = Table("vectors", (Column(METADATA, "json"),), ())
EXACTLY: Final = EXACT + METADATA
_DECODE: Final = decoders(TABLE, TABLE.columns)[0]
_OBJECT_ID: Final = re.compile(r"[0-9a-fA-F]{24}")


def storing(target: Target, item: Item) -> UpdateOne:
    """The request that stores an item over the one with its id; other fields of that one stay."""
    change = changing(target, item.vector, item.metadata_json)
    if item.document is None:
        change.setdefault("$unset", {})[DOCUMENT] = ""
    else:
        change["$set"][DOCUMENT] = item.document
    vector_bytes = 20 * len(item.vector)
    length = len(item.metadata_json) * GROWTH + 4 * len(item.document or "") + vector_bytes
    if length >= DOCUMENT_BYTES and (size := len(bson.encode(change))) > DOCUMENT_BYTES - 1024:
        raise LimitExceededError(
            f"a vector of {target.index.name!r} has {size:,} bytes with its metadata; MongoDB takes at "
            f"most {DOCUMENT_BYTES:,} in a document, and nothing was written"
        )
    return UpdateOne(identified(target, [item.id]), change, upsert=True)


def changing(target: Target, vector: array[float] | None, metadata_json: str | None) -> Document:
    """The change that gives a document another vector, other metadata, or both."""
    fields: Document = {}
    absent: Document = {}
    if vector is not None:
        fields[target.path] = vector.tolist()
    if metadata_json is not None:
        fields[METADATA], whole = stored_json(TABLE, TABLE.columns[0], metadata_json)
        if whole:
            absent[EXACTLY] = ""
        else:
            fields[EXACTLY] = metadata_json
    return {"$set": fields, "$unset": absent} if absent else {"$set": fields}


def identified(target: Target, ids: list[str]) -> Document:
    """The filter of ids; those of a foreign collection may be MongoDB's own."""
    given: list[Any] = list(ids)
    if target.foreign:
        given += [ObjectId(one) for one in ids if _OBJECT_ID.fullmatch(one)]
    return {"_id": given[0] if len(given) == 1 else {"$in": given}}


def metadata_of(document: Mapping[str, Any]) -> JsonObject:
    """The metadata of a document, of which those that are no object have none."""
    text = _DECODE(document)
    value: Any = from_json(text) if isinstance(text, str) else {}
    return cast("JsonObject", value) if isinstance(value, dict) else {}


def text_of(document: Mapping[str, Any]) -> str | None:
    """The text that a vector stands for."""
    found = document.get(DOCUMENT)
    return found if isinstance(found, str) else None


def vector_of(document: Mapping[str, Any], target: Target) -> array[float] | None:
    """The vector of a document in 32 bits, if it has one of this length."""
    value: Any = document
    for key in target.path.split("."):
        value = cast("Mapping[str, Any]", value).get(key) if isinstance(value, Mapping) else None
    if isinstance(value, Binary) and value.subtype == VECTOR_SUBTYPE:
        value = value.as_vector().data
    if not isinstance(value, list):
        return None
    try:
        found = array("f", cast("list[float]", value))
    except (TypeError, OverflowError):
        return None
    fits = len(found) == target.index.dimension and math.isfinite(sum(found))
    return found if fits else None
