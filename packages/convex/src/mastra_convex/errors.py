"""What Convex and the way to it say when something fails, and what that means here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from mastra_core.errors import (
    AuthenticationError,
    ConflictError,
    LimitExceededError,
    NotFoundError,
    SchemaError,
    StorageError,
    UnavailableError,
)

ADVICE: Final = "write the functions anew with mastra-convex init, and deploy them"
ERRORS: Final[Sequence[tuple[str, type[StorageError], str]]] = (
    (
        (
            r"OptimisticConcurrencyControlFailure|TooManyConcurrentRequests|ExpiredInQueue|RateLimited|"
            r"SystemTimeoutBeforeExecution|HTTP 429"
        ),
        UnavailableError,
        "the deployment is busy, and nothing was done; try again",
    ),
    (
        r"HTTP 5(?!60)\d\d",
        UnavailableError,
        "the service failed, so that a write may have been done or not; look before trying again",
    ),
    (
        r"BadAdminKey|BadDeployKey|Unauth|HTTP (401|403)|[Aa]dmin key|InvalidAuthHeader",
        AuthenticationError,
        "check the admin key, and that it is the key of this deployment",
    ),
    (
        (
            r"Could not find (public |internal )?function|Couldn't resolve|not declared in the schema|"
            r"ArgumentValidationError|ReturnsValidationError|[Vv]alidator error|does not match the schema"
        ),
        SchemaError,
        ADVICE,
    ),
    (
        (
            r"[Tt]oo (many|much)|too large|[Ll]imit|maximum (size|depth|length)|timed out.*1 ?s|"
            r"OutOfMemory|HTTP 413"
        ),
        LimitExceededError,
        "a function of Convex takes no more at once, and nothing was written; do less in one call",
    ),
    (
        r"connection attempts failed|ConnectError|ConnectTimeout|Name or service",
        UnavailableError,
        "the deployment was not reached, and nothing was done; try again",
    ),
    (r"an answer that is not Convex's", UnavailableError, "is this the address of a deployment?"),
    (
        r"[Cc]onnect|[Tt]imed? ?out|TimeoutError|(Read|Write|Protocol)Error|[Cc]losed|disconnected",
        UnavailableError,
        "no answer came, so that a write may have been done or not; look before trying again",
    ),
)


def thrown(data: Mapping[str, Any], said: str) -> StorageError:
    """What a function threw on purpose, as one of ours; ``said`` is what could not be done, and why."""
    match data.get("code"):
        case "conflict":
            return ConflictError(said, change=int(data["change"]))
        case "limit":
            return LimitExceededError(f"{said}; the request wrote nothing")
        case "gone":
            return NotFoundError(said)
        case _:
            return SchemaError(f"{said}; {ADVICE}")
