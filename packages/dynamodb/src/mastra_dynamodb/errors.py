"""What the service and the driver complain of, as this library's errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from mastra_core.errors import (
    AuthenticationError,
    LimitExceededError,
    SchemaError,
    StorageError,
    UnavailableError,
)

BUSY: Final = frozenset(
    {
        "InternalServerError",
        "LimitExceededException",
        "ProvisionedThroughputExceeded",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ServiceUnavailable",
        "ThrottlingError",
        "ThrottlingException",
        "TransactionConflict",
        "TransactionConflictException",
        "TransactionInProgressException",
    }
)
REFUSED: Final = frozenset(
    {
        "AccessDeniedException",
        "ExpiredTokenException",
        "IncompleteSignatureException",
        "InvalidSignatureException",
        "MissingAuthenticationTokenException",
        "NotAuthorized",
        "UnrecognizedClientException",
    }
)
MISSING: Final = "ResourceNotFoundException"
CANCELED: Final = "TransactionCanceledException"
CONDITION: Final = "ConditionalCheckFailed"


class Refused(Exception):  # noqa: N818 (an event, not an error)
    """Conditions of a transaction did not hold, and nothing was written; ``at`` says which."""

    def __init__(self, at: Sequence[int]) -> None:
        super().__init__(f"{len(at)} conditions did not hold")
        self.at = tuple(at)


def code_of(error: Exception) -> str:
    """The service's name of an error; empty if the error is not the service's."""
    response = getattr(error, "response", None)
    told = response.get("Error", {}) if isinstance(response, Mapping) else {}
    return str(told.get("Code", ""))


def reasons_of(error: Exception) -> list[str]:
    """Why each operation of a transaction was canceled, as codes; empty for other errors."""
    if code_of(error) != CANCELED:
        return []
    response: Any = getattr(error, "response", {})
    return [str(reason.get("Code", "None")) for reason in response.get("CancellationReasons", ())]


def is_busy(error: Exception) -> bool:
    """Whether the same request may succeed a moment later; it did nothing."""
    reasons = set(reasons_of(error)) - {"None"}
    return code_of(error) in BUSY or (bool(reasons) and reasons <= BUSY)


def translated(error: Exception, table: str, doing: str) -> StorageError | None:
    """The error of the driver as one of ours; ``None`` if it is not the driver's."""
    code = code_of(error)
    what = f"DynamoDB could not {doing} (table {table!r})"
    if code in REFUSED:
        return AuthenticationError(f"{what}: {code}; check the credentials and what they may do")
    if code == MISSING:
        return SchemaError(
            f"{what}: there is no such table; create it first, or give create_table=True"
        )
    told = str(getattr(error, "response", {}).get("Error", {}).get("Message", "")) if code else ""
    if "size" in told.lower() and "exceeded" in told.lower():
        return LimitExceededError(f"{what}: {told}")
    if is_busy(error):
        return UnavailableError(f"{what}: {code or 'busy'}; try again, or allow it more capacity")
    if code:
        return StorageError(f"{what}: {code}: {told}")
    return _from_driver(error, what)


def _from_driver(error: Exception, what: str) -> StorageError | None:
    if type(error).__module__.partition(".")[0] not in {"boto3", "botocore", "urllib3"}:
        return None
    name = type(error).__name__
    if "Credential" in name or "Token" in name or "Profile" in name:
        return AuthenticationError(f"{what}: {error}; give credentials, or configure them for AWS")
    if "Region" in name:
        return StorageError(f"{what}: no region is known; give region_name")
    return UnavailableError(f"{what}: {name}; try again")
