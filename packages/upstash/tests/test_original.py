"""Data of the TypeScript framework: what it wrote is read, and what we write is as it expects it.

The texts are those that @mastra/upstash 1.3.1 wrote into a database.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio

from mastra_core.records import Message, Resource, Thread
from mastra_upstash import UpstashStore

pytestmark = pytest.mark.asyncio

MESSAGE = "mastra_messages:threadId:ts-thread:id:ts-m"
RUN = "mastra_workflow_snapshot:namespace:workflows:workflow_name:wf:run_id:"
THEIRS = {
    "mastra_threads:id:ts-thread": (
        r'{"id":"ts-thread","resourceId":"ts-user","title":"From TS \"é\"",'
        r'"metadata":{"a":{"b":[1,[]]},"n":1.5},"createdAt":"2026-01-02T03:04:05.001Z",'
        r'"updatedAt":"2026-11-26T23:09:07.399Z"}'
    ),
    **{
        f"{MESSAGE}{n}": (
            f'{{"id":"ts-m{n}","threadId":"ts-thread","resourceId":"ts-user","role":"user","type":"v2",'
            f'"createdAt":"2026-01-02T03:04:05.01{n}Z","content":{{"format":2,"parts":[{{"type":"text",'
            f'"text":"hello {n}"}}],"metadata":{{"k":{n}}}}},"_index":{n}}}'
        )
        for n in range(3)
    },
    **{f"msg-idx:ts-m{n}": "ts-thread" for n in range(3)},
    "mastra_resources:ts-user": (
        r'{"id":"ts-user","workingMemory":"# notes","metadata":"{\"x\":[1]}",'
        r'"createdAt":"2026-01-02T03:04:05.003Z","updatedAt":"2026-01-02T03:04:05.004Z"}'
    ),
    # Its Lua spells JSON in another order, and made objects of the empty arrays.
    f"{RUN}r1": (
        '{"workflow_name":"wf","createdAt":"2026-11-26T23:09:07.542Z","run_id":"r1",'
        '"updatedAt":"2026-11-26T23:09:07.682Z","namespace":"workflows","snapshot":{"requestContext":{},'
        '"activePaths":{},"status":"running","context":{"input":{"a":{}},"s":{"status":"success",'
        '"output":[1]}},"value":{}}}'
    ),
    f"{RUN}r2:resourceId:ts-user": (
        '{"workflow_name":"wf","updatedAt":"2026-11-26T23:09:07.599Z","run_id":"r2",'
        '"createdAt":"2026-11-26T23:09:07.599Z","snapshot":{"status":"success","context":{}},'
        '"namespace":"workflows","resourceId":"ts-user"}'
    ),
    "mastra_scorers:id:s1": (
        '{"scorerId":"sc","entityId":"e","runId":"r1","input":[{"q":1}],"output":{"a":"b"},"score":1,'
        '"reason":"r","scorer":{"id":"sc"},"source":"TEST","entity":{"id":"e"},"entityType":"AGENT",'
        '"id":"s1","createdAt":"2026-11-26T23:09:07.805Z","updatedAt":"2026-11-26T23:09:07.805Z"}'
    ),
}


@pytest_asyncio.fixture
async def store(raw: Any) -> AsyncIterator[UpstashStore]:
    """A store on a database that the original used before."""
    await raw.mset(THEIRS)
    await raw.zadd("thread:ts-thread:messages", {f"ts-m{n}": n for n in range(3)})
    async with UpstashStore(id="x", url=raw.url) as opened:
        yield opened


async def test_what_the_original_wrote_is_read_by_key_at_once(store: UpstashStore) -> None:
    thread = await store.memory.get_thread_by_id("ts-thread")
    assert thread is not None
    assert (thread.title, thread.metadata) == ('From TS "é"', {"a": {"b": [1, []]}, "n": 1.5})
    assert thread.created_at == datetime(2026, 1, 2, 3, 4, 5, 1000, tzinfo=UTC)
    messages = await store.memory.list_messages_by_id(["ts-m2", "ts-m0"])
    assert [(m.text, m.content["metadata"]) for m in messages] == [
        ("hello 0", {"k": 0}),
        ("hello 2", {"k": 2}),
    ]
    resource = await store.memory.get_resource_by_id("ts-user")
    assert resource is not None
    assert (resource.working_memory, resource.metadata) == ("# notes", {"x": [1]})
    snapshot = await store.workflows.load_workflow_snapshot(workflow_name="wf", run_id="r1")
    assert snapshot is not None
    assert snapshot["context"] == {"input": {"a": {}}, "s": {"status": "success", "output": [1]}}
    score = await store.scores.get_score_by_id("s1")
    assert score is not None
    assert (score.score, type(score.score), score.input) == (1.0, float, [{"q": 1}])


async def test_it_stands_in_lists_once_it_was_adopted(store: UpstashStore) -> None:
    assert (await store.memory.list_threads(resource_id="ts-user")).threads == []
    adopted = {
        "mastra_threads": 1,
        "mastra_messages": 3,
        "mastra_resources": 1,
        "mastra_scorers": 1,
        "mastra_workflow_snapshot": 1,
    }
    for _ in range(2):
        assert await store.adopt() == adopted
        page = await store.memory.list_threads(resource_id="ts-user")
        assert [t.id for t in page.threads] == ["ts-thread"]
        listed = await store.memory.list_messages("ts-thread")
        assert [m.text for m in listed.messages] == ["hello 0", "hello 1", "hello 2"]
        assert (await store.workflows.list_workflow_runs()).total == 1
        assert (await store.scores.list_scores_by_scorer_id("sc")).total == 1


async def test_changing_it_keeps_what_we_do_not_know(store: UpstashStore, raw: Any) -> None:
    await store.adopt()
    await store.memory.update_messages([{"id": "ts-m1", "content": {"metadata": {"seen": True}}}])
    await store.memory.update_thread("ts-thread", metadata={"py": 1})
    await store.memory.update_resource("ts-user", metadata={"py": 1})
    await store.workflows.update_workflow_results(
        workflow_name="wf", run_id="r1", step_id="t", result=[]
    )
    message = json.loads(await raw.get(f"{MESSAGE}1"))
    assert (message["_index"], message["content"]["metadata"]) == (1, {"k": 1, "seen": True})
    assert await raw.zscore("thread:ts-thread:messages", "ts-m1") == 1
    resource = json.loads(await raw.get("mastra_resources:ts-user"))
    assert json.loads(resource["metadata"]) == {"x": [1], "py": 1}
    run = json.loads(await raw.get(f"{RUN}r1"))
    assert (run["namespace"], run["snapshot"]["context"]["t"]) == ("workflows", [])
    page = await store.memory.list_threads(resource_id="ts-user")
    assert [t.metadata for t in page.threads] == [{"a": {"b": [1, []]}, "n": 1.5, "py": 1}]


async def test_what_the_original_changed_is_never_listed_in_a_wrong_place(
    store: UpstashStore, raw: Any
) -> None:
    """Its writes leave our indexes as they were: such an entry is passed over, not believed."""
    await store.adopt()
    key = "mastra_threads:id:ts-thread"
    moved = (await raw.get(key)).replace('"ts-user"', '"somebody-else"')
    await raw.set(key, moved)
    assert (await store.memory.list_threads(resource_id="ts-user", per_page=5)).threads == []
    await raw.delete(f"{MESSAGE}1", "msg-idx:ts-m1")
    listed = await store.memory.list_messages("ts-thread", per_page=2, with_total=False)
    assert [m.id for m in listed.messages] == ["ts-m0", "ts-m2"]
    await store.adopt()
    page = await store.memory.list_threads(resource_id="somebody-else")
    assert [t.id for t in page.threads] == ["ts-thread"]


async def test_what_we_write_is_where_the_original_looks(raw: Any) -> None:
    async with UpstashStore(id="x", url=raw.url) as store:
        await store.memory.save_thread(
            Thread(id="t", resource_id="u", title="ours", metadata={"a": []})
        )
        content = {"format": 2, "parts": [{"type": "text", "text": "hi\n"}]}
        at = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
        said = Message(
            id="m", thread_id="t", resource_id="u", role="user", content=content, created_at=at
        )
        await store.memory.save_messages([said])
        await store.memory.save_resource(Resource(id="u", working_memory="w", metadata={"a": 1}))
        await store.workflows.persist_workflow_snapshot(
            workflow_name="wf", run_id="r", snapshot={"context": {"x": []}}
        )
        thread = json.loads(await raw.get("mastra_threads:id:t"))
        assert (thread["title"], thread["metadata"], thread["resourceId"]) == (
            "ours",
            {"a": []},
            "u",
        )
        assert json.loads(await raw.get("mastra_messages:threadId:t:id:m")) == {
            "id": "m",
            "threadId": "t",
            "resourceId": "u",
            "role": "user",
            "type": "v2",
            "createdAt": "2026-01-02T03:04:05.678Z",
            "content": content,
        }
        assert await raw.get("msg-idx:m") == "t"
        milliseconds = int(at.timestamp()) * 1000 + 678
        assert await raw.zscore("thread:t:messages", "m") == milliseconds
        assert await raw.zcard("thread:t:messages") == 1
        assert json.loads(json.loads(await raw.get("mastra_resources:u"))["metadata"]) == {"a": 1}
        run = json.loads(await raw.get(f"{RUN}r"))
        assert (run["namespace"], run["snapshot"]) == ("workflows", {"context": {"x": []}})
        await store.memory.delete_thread("t")
        assert await raw.exists("msg-idx:m", "thread:t:messages", "mastra_threads:id:t") == 0


async def test_keys_of_our_own_are_none_that_the_original_scans_for(raw: Any) -> None:
    """It reads every key that begins with a table's name as a row, and ``thread:*`` as a list."""
    async with UpstashStore(id="x", url=raw.url) as store:
        await store.memory.save_thread(Thread(id="t", resource_id="u"))
        await store.workflows.persist_workflow_snapshot(
            workflow_name="wf", run_id="r", resource_id="u", snapshot={"context": {}}
        )
        keys = [key async for key in raw.scan_iter("*")]
        theirs = [key for key in keys if not key.startswith("mastra:")]
        assert sorted(theirs) == ["mastra_threads:id:t", f"{RUN}r"]
        assert {await raw.type(key) for key in theirs} == {"string"}
