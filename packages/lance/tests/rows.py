"""What the tests of LanceDB work with: stores on a folder, and a look behind them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lancedb

from mastra_core.records import Message, Thread


def message(number: int, thread_id: str = "t", text: str = "hello") -> Message:
    """A message with its number in its id."""
    content = {"format": 2, "parts": [{"type": "text", "text": text}]}
    return Message(
        id=f"{thread_id}-{number:05}",
        thread_id=thread_id,
        resource_id="r",
        role="user",
        content=content,
    )


def thread(name: str = "t") -> Thread:
    """A thread of the one resource."""
    return Thread(id=name, resource_id="r", title="before")


async def raw(path: Path, table: str) -> Any:
    """The table as the driver sees it now."""
    return await (await lancedb.connect_async(str(path))).open_table(table)


async def ids(path: Path, table: str) -> list[str]:
    """All ids that are stored, sorted, as often as they are."""
    found = await (await raw(path, table)).query().select(["id"]).to_arrow()
    return sorted(found.column("id").to_pylist())
