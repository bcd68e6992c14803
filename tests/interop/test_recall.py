"""Semantic recall: what one side stored, the other one finds by meaning, with its neighbours."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
import pytest_asyncio

from mastra_core.records import Message
from mastra_libsql import LibSQLStore, LibSQLVector
from mastra_memory import Memory

from .plain import at

pytestmark = [pytest.mark.asyncio, pytest.mark.only("libsql")]

LETTERS = "abcdefghijklmnopqrstuvwxyz"
INDEX = "memory_messages_26"
TEXTS = ("zebra zoo", "apples and pears", "quick jig", "llama", "mmm")
OWNER = {"threadId": "t", "resourceId": "r"}
METADATA = {
    "topic": "food",
    "message_id": "m1",
    "thread_id": "t",
    "resource_id": "r",
    "role": "user",
    "content": "apples and pears",
    "created_at": at(1).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
}


async def letters(texts: Sequence[str]) -> list[list[float]]:
    """The embedder of ``original.mjs``."""
    return [[float(text.lower().count(letter)) for letter in LETTERS] for text in texts]


def content(text: str) -> dict:
    return {"format": 2, "parts": [{"type": "text", "text": text}]}


@pytest_asyncio.fixture
async def remembering(path: Path) -> AsyncIterator[Memory]:
    """Our memory on the file."""
    memory = Memory(
        storage=LibSQLStore(id="ours", url=f"file:{path}"),
        vector=LibSQLVector(id="ours", url=f"file:{path}"),
        embedder=letters,
        options={"last_messages": False, "semantic_recall": {"top_k": 1, "message_range": 1}},
    )
    async with memory:
        yield memory


async def told_by_us(memory: Memory) -> None:
    await memory.create_thread(thread_id="t", resource_id="r", metadata={"topic": "food"})
    messages = [
        Message(
            id=f"m{n}",
            thread_id="t",
            resource_id="r",
            role="user",
            content=content(text),
            created_at=at(n),
        )
        for n, text in enumerate(TEXTS)
    ]
    await memory.save_messages(messages)


async def told_by_the_original(theirs) -> None:
    await theirs.recall.createThread(**OWNER, title="x", metadata={"topic": "food"})
    messages = [
        {"id": f"m{n}", **OWNER, "role": "user", "createdAt": at(n), "content": content(text)}
        for n, text in enumerate(TEXTS)
    ]
    await theirs.recall.saveMessages(messages=messages)


async def found_by_the_original(theirs, query: str) -> list[str]:
    found = await theirs.recall.recall(**OWNER, vectorSearchString=query)
    return [message["id"] for message in found["messages"]]


async def found_by_us(memory: Memory, query: str) -> list[str]:
    page = await memory.recall("t", resource_id="r", vector_search_string=query)
    return [message.id for message in page.messages]


async def metadata_of(memory: Memory, query: str) -> list[dict]:
    assert memory.vector is not None
    (vector,) = await letters([query])
    found = await memory.vector.query(INDEX, query_vector=vector, top_k=10)
    return [match.metadata for match in found]


async def test_the_original_finds_what_we_stored(remembering, theirs):
    await told_by_us(remembering)
    assert await found_by_the_original(theirs, "pears, apples") == ["m0", "m1", "m2"]
    assert await found_by_the_original(theirs, "zoo") == ["m0", "m1"]


async def test_we_find_what_the_original_stored(remembering, theirs):
    await told_by_the_original(theirs)
    assert await found_by_us(remembering, "pears, apples") == ["m0", "m1", "m2"]
    assert await found_by_us(remembering, "zoo") == ["m0", "m1"]


async def test_both_write_the_same_metadata_into_the_same_index(remembering, theirs):
    await told_by_the_original(theirs)
    (first, *_) = await metadata_of(remembering, "apples and pears")
    assert first == METADATA
    await remembering.reindex(thread_id="t")
    again = await metadata_of(remembering, "apples and pears")
    assert again[0] == METADATA
    assert len(again) == len(TEXTS)


async def test_each_deletes_the_vectors_of_the_other(remembering, theirs):
    await told_by_us(remembering)
    await theirs.recall.deleteMessages(["m1"])
    await theirs.recall.settled()
    assert "m1" not in [m["message_id"] for m in await metadata_of(remembering, "pears")]
    await remembering.delete_thread("t")
    assert await metadata_of(remembering, "pears") == []
    await told_by_the_original(theirs)
    await remembering.delete_messages(["m1", "m2"])
    left = await metadata_of(remembering, "pears")
    assert {m["message_id"] for m in left} == {"m0", "m3", "m4"}
    await remembering.delete_thread("t")
    assert await metadata_of(remembering, "pears") == []


async def test_a_message_saved_again_by_the_original_has_two_vectors_and_by_us_one(
    remembering, theirs
):
    await told_by_the_original(theirs)
    again = {"id": "m1", **OWNER, "role": "user", "createdAt": at(1), "content": content("pears")}
    await theirs.recall.saveMessages(messages=[again])
    twice = [m["message_id"] for m in await metadata_of(remembering, "pears")]
    assert twice.count("m1") == 2
    (ours,) = await remembering.storage.memory.list_messages_by_id(["m1"])
    await remembering.save_messages([ours])
    once = [m["message_id"] for m in await metadata_of(remembering, "pears")]
    assert once.count("m1") == 1
