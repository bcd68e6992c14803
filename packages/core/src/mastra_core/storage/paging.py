"""Pages, orders and ranges as callers give them, checked and put into the words of the waist."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, TypeAlias, TypeVar

import msgspec

from mastra_core.clock import milliseconds
from mastra_core.errors import InvalidArgumentError
from mastra_core.storage.codec import check_id, clean_text
from mastra_core.storage.schema import Direction, Order, Where

S = TypeVar("S", bound=msgspec.Struct)
PerPage: TypeAlias = int | Literal[False]
MAX_OFFSET = 2**53 // 2
KEY_LENGTH = 128
LARGEST = 2**63
FORBIDDEN_KEYS = frozenset({"__proto__", "prototype", "constructor"})


class OrderBy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An order: ``field`` as the record or as the original names it, ``direction`` asc or desc."""

    field: str = "createdAt"
    direction: str = ""


class DateRange(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """From ``start`` to ``end``, both included unless said otherwise, either may be open."""

    start: datetime | None = None
    end: datetime | None = None
    start_exclusive: bool = False
    end_exclusive: bool = False

    def conditions(self, column: str) -> tuple[Where, ...]:
        """The range as conditions on a timestamp column."""
        found: list[Where] = []
        if self.start is not None:
            op: Literal["gt", "gte"] = "gt" if self.start_exclusive else "gte"
            found.append(Where(column, op, milliseconds(self.start)))
        if self.end is not None:
            down: Literal["lt", "lte"] = "lt" if self.end_exclusive else "lte"
            found.append(Where(column, down, milliseconds(self.end)))
        return tuple(found)


def options(kind: type[S], given: S | Mapping[str, Any], what: str) -> S:
    """The options as their struct; a mapping is checked, with snake-case or camel-case keys."""
    if isinstance(given, kind):
        return given
    if not isinstance(given, Mapping):
        raise InvalidArgumentError(f"{what} must be a mapping, not {type(given).__name__}")
    names = _encoded_names(kind)
    try:
        return msgspec.convert({names.get(key, key): value for key, value in given.items()}, kind)
    except (msgspec.ValidationError, TypeError) as error:
        raise InvalidArgumentError(f"{what}: {error}") from error


@functools.cache
def _encoded_names(kind: type[msgspec.Struct]) -> Mapping[str, str]:
    return {field.name: field.encode_name for field in msgspec.structs.fields(kind)}


class Window(msgspec.Struct, frozen=True):
    """A checked page: how many rows to leave out, and how many to take (``None``: all)."""

    page: int
    per_page: PerPage

    @property
    def offset(self) -> int:
        """How many rows come before the page."""
        return self.page * self.per_page if self.per_page else 0

    @property
    def limit(self) -> int | None:
        """How many rows the page has at most."""
        return None if self.per_page is False else self.per_page


def window(page: int, per_page: PerPage, *, most: int | None = None) -> Window:
    """The page as asked for; a page that cannot be is an ``InvalidArgumentError``."""
    if isinstance(page, bool) or not isinstance(page, int) or page < 0:
        raise InvalidArgumentError(f"page must be >= 0, not {page!r}")
    if per_page is False and most is None:
        if page:
            raise InvalidArgumentError("page must be 0 when per_page is False (all rows)")
        return Window(page=0, per_page=False)
    if isinstance(per_page, bool) or not isinstance(per_page, int) or per_page < 0:
        raise InvalidArgumentError(
            f"per_page must be >= 0, or False for all rows, not {per_page!r}"
        )
    if most is not None and not 1 <= per_page <= most:
        raise InvalidArgumentError(f"per_page must be from 1 to {most}, not {per_page}")
    if page * per_page > MAX_OFFSET:
        raise InvalidArgumentError(f"page value too large: {page}")
    return Window(page, per_page)


def order(
    given: OrderBy | Mapping[str, Any] | None,
    allowed: Mapping[str, str],
    default: Direction,
    *,
    field: str = "createdAt",
) -> Order:
    """One column and direction; ``allowed`` maps the original's field names to columns."""
    if given is None:
        name, direction = field, ""
    elif isinstance(given, OrderBy):
        name, direction = given.field, given.direction
    else:
        name, direction = given.get("field", field), given.get("direction", "")
        named = ("field" in given) + ("direction" in given)
        if len(given) > named or not (isinstance(name, str) and isinstance(direction, str)):
            options(OrderBy, given, "order_by")
    return _ordered(name, direction, tuple(allowed.items()), default)


@functools.lru_cache(maxsize=256)
def _ordered(
    field: str, direction: str, allowed: tuple[tuple[str, str], ...], default: Direction
) -> Order:
    head, *rest = field.split("_")
    column = dict(allowed).get(head + "".join(part.title() for part in rest))
    if column is None:
        names = ", ".join(name for name, _ in allowed)
        raise InvalidArgumentError(f"Invalid orderBy field: {field}. Allowed: {names}")
    chosen = direction.lower() or default
    if chosen not in {"asc", "desc"}:
        raise InvalidArgumentError(f"Invalid orderBy direction: {direction}")
    return ((column, "desc" if chosen == "desc" else "asc"),)


def metadata_conditions(
    column: str, metadata: Mapping[str, Any] | None, *inside: str
) -> tuple[Where, ...]:
    """A filter by metadata: every key must have exactly this scalar value."""
    found: list[Where] = []
    for key, value in (metadata or {}).items():
        valid = isinstance(key, str) and len(key) <= KEY_LENGTH and key.isascii()
        if not valid or not key.isidentifier() or key in FORBIDDEN_KEYS:
            raise InvalidArgumentError(
                f"Invalid metadata key: {key!r}; keys are letters, digits and underscores, at most "
                f"{KEY_LENGTH}"
            )
        if value is not None and not isinstance(value, (str, int, float)):
            raise InvalidArgumentError(
                f"metadata filter {key!r} must be a string, number, boolean or None, "
                f"not {type(value).__name__}"
            )
        if isinstance(value, (int, float)) and not -LARGEST <= value < LARGEST:
            raise InvalidArgumentError(
                f"metadata filter {key!r} is {value}; no database compares numbers beyond 64 bits"
            )
        wanted = clean_text(value) if isinstance(value, str) else value
        found.append(Where(column, "eq", wanted, (*inside, key)))
    return tuple(found)


def tenant(organization_id: str | None, project_id: str | None) -> tuple[Where, ...]:
    """The conditions that rows belong to this organization and project, so far as they are given."""
    found: list[Where] = []
    if organization_id is not None:
        found.append(Where("organizationId", "eq", check_id(organization_id, "organization_id")))
    if project_id is not None:
        found.append(Where("projectId", "eq", check_id(project_id, "project_id")))
    return tuple(found)
