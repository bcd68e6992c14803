"""What MongoDB's error codes mean here, and what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from mastra_core.errors import (
    AuthenticationError,
    ConflictError,
    LimitExceededError,
    SchemaError,
    StorageError,
    UnavailableError,
)

DUPLICATE: Final = (11000, 11001)
CONFLICT: Final = 112
# An index was made meanwhile, by the original under its own name or by another process.
MADE_MEANWHILE: Final = (85, 86)
NO_COLLECTION: Final = 26

CODES: Final[Mapping[int, tuple[type[StorageError], str]]] = {
    13: (AuthenticationError, "the user may not do this; grant readWrite on the database"),
    18: (AuthenticationError, "the server refused user or password"),
    8000: (AuthenticationError, "the server refused user or password"),
    50: (UnavailableError, "it took too long; try again"),
    85: (SchemaError, "an index with these fields has other options; drop it and call init()"),
    86: (SchemaError, "an index with this name has other fields; drop it and call init()"),
    112: (UnavailableError, "others changed the same rows for too long; try again"),
    251: (UnavailableError, "the transaction was ended by the server; try again"),
    10334: (LimitExceededError, "a document may have 16 MB; nothing was written"),
    11000: (ConflictError, "a row with this key is stored"),
    17419: (LimitExceededError, "a document may have 16 MB; nothing was written"),
    17420: (LimitExceededError, "a document may have 16 MB; nothing was written"),
}


def reason(error: BaseException) -> str:
    """What a driver's error says, without the values and the topology that its text has too."""
    details = _details(error)
    refused: Mapping[str, Any] = details["writeErrors"][0] if details.get("writeErrors") else {}
    found: object = details.get("errmsg") or refused.get("errmsg")
    if isinstance(found, str):
        return found.partition(" dup key:")[0]
    return str(error).partition(", Timeout:")[0].partition(", full error:")[0]


def code_of(error: BaseException) -> int | None:
    """The code of an error, that of the first refused document where it is of several."""
    details = _details(error)
    if details.get("writeErrors"):
        found: int | None = details["writeErrors"][0].get("code")
        return found
    code: int | None = getattr(error, "code", None)
    return code


def only_duplicates(error: BaseException) -> bool:
    """Whether documents were refused for nothing but keys that are stored."""
    refused: Sequence[Mapping[str, Any]] = _details(error).get("writeErrors") or ()
    return bool(refused) and all(one.get("code") in DUPLICATE for one in refused)


def _details(error: BaseException) -> Mapping[str, Any]:
    """What the server answered, where it did."""
    details: object = getattr(error, "details", None)
    return cast("Mapping[str, Any]", details) if isinstance(details, Mapping) else {}
