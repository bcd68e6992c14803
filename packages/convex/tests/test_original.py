"""Documents of the TypeScript framework, as ``@mastra/convex`` 1.5.2 writes them, and ours as it needs them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, Final

import pytest
import pytest_asyncio
from backends import Address

from mastra_convex import ConvexStore
from mastra_core.records import Message, Resource, Score, Thread

from .conftest import Documents

pytestmark = pytest.mark.asyncio

NOON: Final = datetime(2024, 3, 1, 12, tzinfo=UTC)
AT: Final = "2024-03-01T12:00:00.000Z"
TIMES: Final = {"createdAt": AT, "updatedAt": AT}
PARTS: Final = {"format": 2, "parts": [{"type": "text", "text": "hello"}]}
THREAD: Final = {"id": "T-1", "resourceId": "User-1", "title": "Ficus", **TIMES}
MESSAGES: Final = [
    {
        "id": f"M-{number}",
        "thread_id": "T-1",
        "content": '{"format":2,"parts":[{"type":"text","text":"hello"}]}',
        "role": "user",
        "type": "v2",
        "createdAt": f"2024-03-01T12:00:0{number}.000Z",
        "resourceId": "User-1",
    }
    for number in range(3)
]
SNAPSHOT: Final = {
    "id": "Flow-Run-1",
    "workflow_name": "Flow",
    "run_id": "Run-1",
    "snapshot": '{"runId":"Run-1","status":"suspended","context":{"input":{"n":1}}}',
    **TIMES,
}
SCORE: Final = {
    "id": "S-1",
    "scorerId": "clarity",
    "runId": "Run-1",
    "entityId": "agent-1",
    "entityType": "AGENT",
    "entity": {"id": "agent-1"},
    "scorer": {"name": "clarity", "levels": [1, 2.5, None]},
    "input": [{"role": "user", "content": "hello"}],
    "output": "a bare text",
    "score": 0.5,
    "source": "LIVE",
    **TIMES,
}
OBSERVED: Final = {
    "id": "O-1",
    "lookupKey": "thread:T-1",
    "scope": "thread",
    "resourceId": "User-1",
    "threadId": "T-1",
    "activeObservations": "",
    "activeObservationsPendingUpdate": None,
    "originType": "initial",
    "config": "{}",
    "generationCount": 0,
    "lastObservedAt": None,
    "lastReflectionAt": None,
    "pendingMessageTokens": 0,
    "totalTokensObserved": 0,
    "observationTokenCount": 0,
    "isObserving": False,
    "isReflecting": False,
    "observedMessageIds": None,
    "observedTimezone": None,
    "bufferedObservationChunks": None,
    "isBufferingObservation": False,
    "isBufferingReflection": False,
    "lastBufferedAtTokens": 0,
    "lastBufferedAtTime": None,
    "metadata": None,
    **TIMES,
}


@pytest_asyncio.fixture
async def store(convex: Address, url: str) -> AsyncIterator[ConvexStore]:
    """A store on the deployment of this test."""
    async with ConvexStore(id="t", deployment_url=url, **convex.options) as made:
        yield made


@pytest.mark.parametrize("metadata", [{"a": [1, {"b": None}]}, {}, '{"a": 1}', None])
async def test_its_threads_are_ours(
    store: ConvexStore, documents: Documents, metadata: Any
) -> None:
    """Metadata are an object; a writer of raw rows may have stored text, which the framework reads, too."""
    await documents("mastra_threads", {**THREAD, **({"metadata": metadata} if metadata else {})})
    found = await store.memory.get_thread_by_id("T-1")
    assert found is not None
    assert (found.resource_id, found.title, found.created_at) == ("User-1", "Ficus", NOON)
    given = {"a": 1} if isinstance(metadata, str) else metadata
    assert (found.metadata or {}) == (given or {})
    assert (await store.memory.list_threads(resource_id="User-1")).threads == [found]


async def test_its_messages_are_ours_and_a_thread_goes_with_all_that_is_about_it(
    store: ConvexStore, documents: Documents
) -> None:
    await documents("mastra_threads", {**THREAD, "metadata": {}})
    await documents("mastra_messages", *MESSAGES)
    await documents("mastra_observational_memory", OBSERVED)
    found = (await store.memory.list_messages("T-1")).messages
    assert [one.id for one in found] == ["M-0", "M-1", "M-2"]
    assert [one.created_at.second for one in found] == [0, 1, 2]
    await store.memory.update_messages([{"id": "M-1", "role": "assistant"}])
    assert [one["role"] for one in await documents("mastra_messages")] == [
        "user",
        "assistant",
        "user",
    ]
    await store.memory.delete_thread("T-1")
    for table in ("mastra_threads", "mastra_messages", "mastra_observational_memory"):
        assert await documents(table) == []


async def test_its_working_memory_is_ours(store: ConvexStore, documents: Documents) -> None:
    one = {"id": "User-1", "workingMemory": "# Likes", "metadata": {"n": 1}, **TIMES}
    await documents("mastra_resources", one, {"id": "User-2", **TIMES})
    first = await store.memory.get_resource_by_id("User-1")
    second = await store.memory.get_resource_by_id("User-2")
    assert first is not None
    assert second is not None
    assert (first.working_memory, first.metadata) == ("# Likes", {"n": 1})
    assert second.working_memory is None
    await store.memory.update_resource("User-1", metadata={"m": 2})
    (stored, _) = await documents("mastra_resources")
    assert stored["metadata"] == {"n": 1, "m": 2}
    assert stored["workingMemory"] == "# Likes"


@pytest.mark.parametrize("as_object", [False, True])
async def test_its_runs_are_ours(store: ConvexStore, documents: Documents, as_object: bool) -> None:
    context = {"input": {"n": 1.0}}
    state = {"runId": "Run-1", "status": "suspended", "context": context}
    await documents(
        "mastra_workflow_snapshots", {**SNAPSHOT, **({"snapshot": state} if as_object else {})}
    )
    run = {"workflow_name": "Flow", "run_id": "Run-1"}
    assert await store.workflows.load_workflow_snapshot(**run) == state
    (listed,) = (await store.workflows.list_workflow_runs(status="suspended")).runs
    assert (listed.workflow_name, listed.run_id, listed.created_at) == ("Flow", "Run-1", NOON)
    await store.workflows.update_workflow_state(**run, opts={"status": "running"})
    (stored,) = await documents("mastra_workflow_snapshots")
    assert stored["id"] == "Flow-Run-1"
    assert isinstance(stored["snapshot"], str)
    assert stored["createdAt"] == AT


async def test_its_scores_are_ours(store: ConvexStore, documents: Documents) -> None:
    await documents("mastra_scorers", SCORE)
    found = await store.scores.get_score_by_id("S-1")
    assert found is not None
    assert (found.score, found.output, found.scorer) == (0.5, "a bare text", SCORE["scorer"])
    assert found.input == SCORE["input"]
    paged = await store.scores.list_scores_by_entity_id(
        entity_id="agent-1", entity_type="AGENT", page=0, per_page=5
    )
    assert paged.scores == [found]


async def test_ours_stand_as_it_writes_them(store: ConvexStore, documents: Documents) -> None:
    times = {"created_at": NOON, "updated_at": NOON}
    made = Thread(id="T-1", resource_id="User-1", title="Ficus", metadata={"a": {"b": 1}}, **times)
    await store.memory.save_thread(made)
    assert await documents("mastra_threads") == [{**THREAD, "metadata": {"a": {"b": 1}}}]
    sent = Message(
        id="M-0", thread_id="T-1", resource_id="User-1", role="user", content=PARTS, created_at=NOON
    )
    await store.memory.save_messages([sent])
    assert await documents("mastra_messages") == [MESSAGES[0]]
    await store.memory.save_resource(Resource(id="User-1", working_memory="# Likes", **times))
    (resource,) = await documents("mastra_resources")
    assert {**resource, "metadata": None} == {
        "id": "User-1",
        "workingMemory": "# Likes",
        "metadata": None,
        **TIMES,
    }
    state = {"runId": "Run-1", "status": "suspended", "context": {"input": {"n": 1}}}
    await store.workflows.persist_workflow_snapshot(
        workflow_name="Flow", run_id="Run-1", snapshot=state, **times
    )
    assert await documents("mastra_workflow_snapshots") == [SNAPSHOT]
    judged = Score(
        id="S-1",
        scorer_id="clarity",
        run_id="Run-1",
        entity_id="agent-1",
        entity_type="AGENT",
        entity={"id": "agent-1"},
        scorer={"name": "clarity", "levels": [1, 2.5, None]},
        input=[{"role": "user", "content": "hello"}],
        output="a bare text",
        score=0.5,
        source="LIVE",
        **times,
    )
    await store.scores.save_score(judged)
    (score,) = await documents("mastra_scorers")
    assert {k: v for k, v in score.items() if k not in TIMES} == {
        k: v for k, v in SCORE.items() if k not in TIMES
    }
