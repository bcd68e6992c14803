"""What either side answers in one plain form, so that two answers can be compared with ``==``."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

START = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)


def at(milliseconds: int) -> datetime:
    """A moment that is so many milliseconds after a fixed one."""
    return START + timedelta(milliseconds=milliseconds)


def plain(record: Any) -> dict[str, Any]:
    """A record under the original's field names; fields that are null, absent or implied go.

    A column that is NULL is null in some answers of the original and absent in others. That holds
    for fields only: inside of JSON values null and absent stay two things.
    """
    given = (
        record
        if isinstance(record, dict)
        else msgspec.to_builtins(record, builtin_types=(datetime,), order=None)
    )
    found = {name: _moment(name, value) for name, value in given.items() if value is not None}
    # The original names the type of a message only where it is not today's.
    if found.get("type") == "v2":
        del found["type"]
    return found


def plains(records: Iterable[Any]) -> list[dict[str, Any]]:
    """Each record in its plain form."""
    return [plain(record) for record in records]


def page_of(page: Any) -> dict[str, Any]:
    """What a page says of itself, without its rows; the original nests it in some answers."""
    given = page if isinstance(page, dict) else msgspec.to_builtins(page)
    told = given.get("pagination", given)
    return {name: told[name] for name in ("total", "page", "perPage", "hasMore")}


def fields_of(record: type[msgspec.Struct]) -> set[str]:
    """All fields of a kind of record, as the original names them."""
    return {field.encode_name for field in msgspec.structs.fields(record)}


def _moment(name: str, value: Any) -> Any:
    # The original answers times of scores as text.
    if name.endswith("At") and isinstance(value, str):
        value = datetime.fromisoformat(value)
    if isinstance(value, datetime):
        # Where the database's clock wrote it, it has microseconds, which JavaScript cuts off.
        value = value.replace(microsecond=value.microsecond // 1000 * 1000)
    return value
