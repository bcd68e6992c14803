"""What goes over the wire: one request a call, however much is stored; and nothing that scans."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from backends.constant_calls import calls, fill

from mastra_core.clock import now, uuid7
from mastra_core.records import Thread
from mastra_core.storage.schema import Put
from mastra_core.storage.tables import MESSAGES, THREADS
from mastra_upstash import UpstashStore

from .wire import Wire

pytestmark = pytest.mark.asyncio


async def requests(wire: Wire, call: Callable[[], Awaitable[Any]]) -> int:
    """How many requests a call takes."""
    wire.requests.clear()
    await call()
    assert {request.name for request in wire.requests} <= {"EVALSHA", "EVAL"}
    assert {request.path for request in wire.requests} == {"/"}
    return len(wire.requests)


async def test_each_call_is_one_request_however_much_is_stored(
    store: UpstashStore, wire: Wire
) -> None:
    await store.memory.get_thread_by_id("the script is known from here on")
    await fill(store, "small", 100)
    await fill(store, "large", 10_000)
    for name in ("small", "large"):
        for what, call in calls(store, name).items():
            assert await requests(wire, call) == 1, (name, what)


async def test_a_total_is_a_second_request_where_the_page_is_full(
    store: UpstashStore, wire: Wire
) -> None:
    await fill(store, "t", 600)
    assert await requests(wire, lambda: store.memory.list_messages("t", per_page=40)) == 2
    page = await store.memory.list_messages("t", per_page=40)
    assert page.total == 600
    assert await requests(wire, lambda: store.memory.list_messages("t", per_page=700)) == 1


async def test_an_answer_of_many_megabytes_comes_in_several_requests(
    store: UpstashStore, wire: Wire
) -> None:
    await store.memory.save_thread(Thread(id="t", resource_id="r"))
    content = json.dumps({"format": 2, "parts": [{"type": "text", "text": "y" * 400_000}]})
    for n in range(8):
        row = (f"m{n}", "t", content, "user", "v2", now(), "r")
        await store.backend.write(Put(MESSAGES, [row]))
    assert await requests(wire, lambda: store.memory.list_messages("t")) == 3
    page = await store.memory.list_messages("t")
    assert [len(m.text) for m in page.messages] == [400_000] * 8
    assert await requests(wire, lambda: store.memory.list_messages_by_id(["m0", "m1"])) == 1


async def test_a_filter_is_applied_where_the_rows_are(store: UpstashStore, wire: Wire) -> None:
    """Of 2,000 threads only those that match come over the wire."""
    for start in range(0, 2000, 500):
        rows = [
            (f"t{n}", "r", "", json.dumps({"rare": n % 500 == 7}), now(), now())
            for n in range(start, start + 500)
        ]
        await store.backend.write(Put(THREADS, rows))
    wire.requests.clear()
    page = await store.memory.list_threads(resource_id="r", metadata={"rare": True})
    assert sorted(t.id for t in page.threads) == ["t1007", "t1507", "t507", "t7"]
    assert len(wire.requests) == 1


async def test_a_script_is_sent_whole_only_where_the_server_does_not_know_it(
    store: UpstashStore, wire: Wire
) -> None:
    await store.memory.get_thread_by_id("t")
    await store.backend._call("SCRIPT", "FLUSH")
    wire.requests.clear()
    await store.memory.save_thread(Thread(id="t", resource_id="r"))
    await store.memory.save_thread(Thread(id="u", resource_id="r"))
    assert [request.name for request in wire.requests] == ["EVALSHA", "EVAL", "EVALSHA"]
    assert await store.memory.get_thread_by_id("t") is not None


async def test_telemetry_is_off_and_the_token_is_in_no_url(store: UpstashStore, wire: Wire) -> None:
    await store.memory.get_thread_by_id(uuid7())
    assert {request.path for request in wire.requests} == {"/"}
    assert "telemetry" not in str(store.backend._links.get()._commands._client._headers).lower()
