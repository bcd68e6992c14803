"""Indexes: new ones get what is stored, every writer keeps all of them, and none is left behind."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from backends import Address

from mastra_core.clock import now, uuid7
from mastra_core.errors import ConflictError
from mastra_core.records import Message, Thread
from mastra_core.storage.schema import Delete, Index, Put, Query, Update, Where
from mastra_core.storage.tables import EXPERIMENT_RESULTS, MESSAGES, THREADS
from mastra_upstash import UpstashStore

pytestmark = pytest.mark.asyncio

CONTENT = {"format": 2, "parts": [{"type": "text", "text": "x"}]}
RESOURCES = {"memory": {"threads": {"max_age": "1d"}, "messages": {"max_age": "1d"}}}


def old(thread_id: str, number: int) -> Message:
    at = now() - timedelta(days=2, milliseconds=-number)
    return Message(
        thread_id=thread_id, resource_id="r", role="user", content=CONTENT, created_at=at
    )


async def test_an_index_that_is_new_has_the_rows_that_were_there(redis: Address) -> None:
    """Retention needs an index that other stores do not have."""
    prefix = uuid7()
    async with UpstashStore(id="x", url=redis.url, key_prefix=prefix) as store:
        await store.memory.save_thread(Thread(id="t", resource_id="r"))
        await store.memory.save_messages([old("t", n) for n in range(1300)])
        pruning = UpstashStore(id="x", url=redis.url, key_prefix=prefix, retention=RESOURCES)
        # Who does not know the new index keeps it all the same, once it is there.
        await pruning.init()
        await store.memory.save_messages([old("t", n) for n in range(5)])
        pruned = await pruning.prune()
        assert {p.table: p.deleted for p in pruned} == {"threads": 0, "messages": 1305}
        assert (await store.memory.list_messages("t")).total == 0
        await pruning.close()


async def test_an_index_that_was_left_half_built_is_built_again(redis: Address) -> None:
    prefix = uuid7()
    by_role = Index("mastra_messages_by_role", ("role", "createdAt", "id"))
    table = msgspec.structs.replace(MESSAGES, indexes=(*MESSAGES.indexes, by_role))
    async with UpstashStore(id="x", url=redis.url, key_prefix=prefix) as store:
        await store.memory.save_thread(Thread(id="t", resource_id="r"))
        await store.memory.save_messages([old("t", n) for n in range(600)])
        stopped = UpstashStore(id="x", url=redis.url, key_prefix=prefix)
        stopped.backend.declare(table)

        async def fail(*_: object) -> None:
            raise OSError("the process ends here")

        build, stopped.backend._build = stopped.backend._build, fail  # type: ignore[method-assign]
        with pytest.raises(Exception, match="the process ends here"):
            await stopped.backend.setup((table,))
        stopped.backend._build = build  # type: ignore[method-assign]
        await stopped.backend.setup((table,))
        query = Query(
            where=(Where("role", "eq", "user"),), order=(("createdAt", "asc"),), limit=900
        )
        assert len(await stopped.backend.find(table, query)) == 600
        await stopped.close()


async def test_deleting_everything_leaves_no_key_but_the_tables(raw: Any) -> None:
    async with UpstashStore(id="x", url=raw.url) as store:
        await store.memory.save_thread(Thread(id="t", resource_id="r"))
        messages = await store.memory.save_messages([old("t", n) for n in range(50)])
        await store.memory.update_messages([{"id": messages[0].id, "role": "system"}])
        await store.workflows.persist_workflow_snapshot(
            workflow_name="w", run_id="r", resource_id="r", snapshot={"context": {}}
        )
        await store.workflows.delete_workflow_run_by_id("r", workflow_name="w")
        await store.memory.delete_thread("t")
        left = [key async for key in raw.scan_iter("*")]
        tokens = [key for key in left if key.startswith("mastra:done:")]
        assert [key for key in left if key not in tokens] == ["mastra:tables"]
        # The tokens of writes go by themselves.
        assert tokens
        assert all([0 < await raw.ttl(key) <= 600 for key in tokens])


async def test_no_call_of_a_domain_scans(raw: Any) -> None:
    """KEYS and SCAN look at everything that is stored; only ``adopt`` does, in steps."""
    async with UpstashStore(id="x", url=raw.url) as store:
        await store.memory.save_thread(Thread(id="t", resource_id="r"))
        await store.memory.save_messages([old("t", n) for n in range(5)])
        await store.memory.list_threads()
        await store.memory.delete_thread("t")
        await store.workflows.list_workflow_runs()
        await store.observability.list_traces()
        await store.backend.count(EXPERIMENT_RESULTS)
        used = await raw.info("commandstats")
    assert "cmdstat_zrangebylex" in used
    assert not {"cmdstat_keys", "cmdstat_scan", "cmdstat_zscan", "cmdstat_hgetall"} & used.keys()


async def test_a_write_that_fails_at_its_end_wrote_nothing(store: UpstashStore) -> None:
    """Redis undoes nothing: guards hold before the first row is written."""
    await store.memory.save_thread(Thread(id="t", resource_id="r"))
    rows = [(f"m{n}", "t", "{}", "user", "v2", now(), "r") for n in range(20)]
    with pytest.raises(ConflictError, match="1 rows of mastra_threads matched, 0 should") as caught:
        await store.backend.write(
            Put(MESSAGES, rows),
            Delete(MESSAGES, (Where("thread_id", "eq", "t"), Where("id", "lt", "m2"))),
            Update(THREADS, (Where("resourceId", "eq", "r"),), {"title": "x"}, expect=0),
        )
    assert caught.value.change == 2
    assert await store.backend.count(MESSAGES) == 0


async def test_rows_with_line_breaks_in_their_json_are_whole(store: UpstashStore) -> None:
    """A line break marks the parts of a row, unless its JSON has some of its own."""
    at = now()
    pretty = '{\n "a": [1,\n 2]\n}'
    await store.backend.write(Put(THREADS, [("t", "r", "a\nb", pretty, at, at)]))
    read = (Where("id", "eq", "t"), Where("metadata", "eq", pretty))
    for title in ("c\nd", "e"):
        changed = Update(THREADS, read, {"title": title}, expect=1)
        assert await store.backend.write(changed) == [1]
        found = await store.backend.find(THREADS, Query(where=(Where("id", "eq", "t"),)))
        assert found == [("t", "r", title, pretty, at, at)]
    await store.backend.write(Update(THREADS, read, {"metadata": '{"a":1}'}, expect=1))
    await store.backend.write(Update(THREADS, (Where("id", "eq", "t"),), {"metadata": pretty}))
    found = await store.backend.find(THREADS, Query(where=(Where("id", "eq", "t"),)))
    assert found == [("t", "r", "e", pretty, at, at)]


async def test_json_that_lua_cannot_hold_passes_the_scripts_as_it_is(store: UpstashStore) -> None:
    """cjson would round the numbers, and make objects of empty lists."""
    deep = "[" * 500 + "]" * 500
    snapshot = (
        f'{{"n":[9007199254740993,-9223372036854775808,1e-7],"deep":{deep},"empty":[[],{{}}]}}'
    )
    at = now()
    row = ("t", "r", "", snapshot, at, at)
    await store.backend.write(Put(THREADS, [row]))
    await store.backend.write(
        Put(THREADS, [(*row[:2], "new", *row[3:])], "replace", {"metadata": "keep"})
    )
    await store.backend.write(
        Update(THREADS, (Where("metadata", "eq", snapshot),), {"resourceId": "s"}, expect=1)
    )
    found = await store.backend.find(THREADS, Query(where=(Where("resourceId", "eq", "s"),)))
    assert found == [("t", "s", "new", snapshot, at, at)]
