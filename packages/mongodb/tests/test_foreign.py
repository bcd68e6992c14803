"""Documents as ``@mastra/mongodb`` writes them (taken from a database that it filled)."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import pytest_asyncio

from mastra_core.errors import ConflictError

pytestmark = pytest.mark.asyncio
AT = datetime(2024, 5, 1, 10, 0, 0, 123_000, tzinfo=UTC)
CLONE = {
    "id": "t2",
    "resourceId": "u1",
    "title": "Clone of Plants",
    "metadata": {"clone": {"sourceThreadId": "t1", "clonedAt": AT, "lastMessageId": "m3"}},
    "createdAt": AT,
    "updatedAt": AT,
}
RUN = {
    "workflow_name": "wf",
    "run_id": "r1",
    "resourceId": None,
    "createdAt": AT,
    "updatedAt": AT,
    "snapshot": {
        "runId": "r1",
        "status": "suspended",
        "timestamp": 1714557600123.0,
        "context": {"input": {"at": AT}, "s1": {"status": "success", "startedAt": 1714557600123.0}},
    },
}
SPAN = {
    "traceId": "tr",
    "spanId": "a",
    "parentSpanId": None,
    "name": "root",
    "spanType": "agent_run",
    "isEvent": False,
    "startedAt": AT,
    "endedAt": None,
    "error": None,
    "input": "x",
    "output": None,
    "tags": ["p"],
    "links": None,
    "createdAt": AT,
    "updatedAt": AT,
}


@pytest_asyncio.fixture
async def store(anywhere):
    with anywhere.database() as database:
        database.mastra_threads.insert_one(dict(CLONE))
        database.mastra_workflow_snapshot.insert_one(dict(RUN))
        database.mastra_ai_spans.insert_one(dict(SPAN))
        async with anywhere() as opened:
            opened.database = database
            yield opened


async def test_dates_inside_json_do_not_stand_in_the_way_of_changes(store):
    """Their text is not equal to them, so that what was read is compared as it is stored."""
    changed = await store.memory.update_thread("t2", metadata={"new": 1})
    clone = {"sourceThreadId": "t1", "clonedAt": "2024-05-01T10:00:00.123Z", "lastMessageId": "m3"}
    assert changed.metadata == {"clone": clone, "new": 1}
    assert await store.memory.get_thread_by_id("t2") == changed
    context = await store.workflows.update_workflow_results(
        workflow_name="wf", run_id="r1", step_id="s.2", result={"output": "$snapshot"}
    )
    assert context["input"] == {"at": "2024-05-01T10:00:00.123Z"}
    assert context["s1"] == {"status": "success", "startedAt": 1714557600123}
    assert context["s.2"] == {"output": "$snapshot"}


async def test_a_change_by_another_is_a_conflict_all_the_same(store):
    read = await store.workflows.load_workflow_snapshot(workflow_name="wf", run_id="r1")
    assert read is not None
    claimed = [
        await store.workflows.update_workflow_state(
            workflow_name="wf",
            run_id="r1",
            opts={"status": "running", "expected_status": "suspended"},
        )
        for _ in range(2)
    ]
    assert [found and found["status"] for found in claimed] == ["running", None]


async def test_null_is_absent_in_what_traces_are_listed_by(store):
    running = await store.observability.list_traces(status="running", tags=["p"])
    assert [span.span_id for span in running.spans] == ["a"]
    assert (await store.observability.list_traces(status="error")).total == 0


async def test_fields_that_this_version_does_not_know_stay(store):
    """Those of documents that are replaced too."""
    store.database.mastra_threads.update_one({"id": "t2"}, {"$set": {"archivedAt": AT}})
    found = await store.memory.get_thread_by_id("t2")
    await store.memory.save_thread(found)
    stored = store.database.mastra_threads.find_one({"id": "t2"})
    assert stored["archivedAt"] == AT.replace(tzinfo=None)


async def test_what_the_original_would_read_is_native(store):
    await store.memory.save_thread(await store.memory.get_thread_by_id("t2"))
    await store.memory.update_resource("u1", working_memory="w", metadata={"z": 1, "a": [True]})
    resource = store.database.mastra_resources.find_one({"id": "u1"})
    assert resource["metadata"] == {"z": 1, "a": [True]}
    assert isinstance(resource["createdAt"], datetime)
    found = await store.memory.get_thread_by_id("t2")
    with pytest.raises(ConflictError):
        await store.memory.save_thread(type(found)(id="t2", resource_id="somebody"))
