"""A table that the TypeScript framework uses too: its items read, ours as it needs them.

``original_items.json`` has what ``@mastra/dynamodb`` 1.0.0 wrote.
"""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mastra_core.errors import ConflictError, SchemaError
from mastra_core.records import Message, Thread
from mastra_core.storage.backend import Capability
from mastra_dynamodb import definition

pytestmark = pytest.mark.asyncio

NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)
ITEMS: list[dict[str, Any]] = json.loads(
    Path(__file__).with_name("original_items.json").read_text()
)
RUN = {"workflow_name": "Flow", "run_id": "Run-1"}


def at(milliseconds: int) -> datetime:
    return NOON + timedelta(milliseconds=milliseconds)


def message(name: str, thread_id: str, number: int) -> Message:
    content = {"format": 2, "parts": [{"type": "text", "text": name}]}
    return Message(
        id=name,
        thread_id=thread_id,
        resource_id="User-1",
        role="user",
        content=content,
        created_at=at(number),
    )


@pytest.fixture
def original(log, table) -> None:
    """The table as the original has it."""
    log.client.create_table(**definition(table, shared=True))
    for item in ITEMS:
        log.client.put_item(TableName=table, Item=item)


@pytest.fixture
def shared(original, open_store) -> Any:
    return open_store()


async def test_a_table_with_the_originals_indexes_is_taken_for_shared(shared) -> None:
    assert Capability.CONSISTENT_READ in shared.backend.capabilities
    await shared.init()
    assert Capability.CONSISTENT_READ not in shared.backend.capabilities


async def test_sharing_needs_the_originals_indexes(open_store) -> None:
    await open_store(shared=False).init()
    with pytest.raises(SchemaError, match="lacks the indexes gsi1, gsi2"):
        await open_store(shared=True).init()


async def test_a_shared_table_can_be_created(open_store, log, table) -> None:
    await open_store(shared=True).init()
    found = log.client.describe_table(TableName=table)["Table"]["GlobalSecondaryIndexes"]
    assert sorted(index["IndexName"] for index in found) == [f"gsi{n}" for n in range(1, 8)]
    assert {index["Projection"]["ProjectionType"] for index in found} == {"ALL"}


async def test_threads_of_the_original_are_read(shared) -> None:
    memory = shared.memory
    thread = await memory.get_thread_by_id("Thread-A")
    assert thread is not None
    assert (thread.id, thread.resource_id, thread.title) == ("Thread-A", "User-1", "Plants")
    assert (thread.metadata, thread.created_at) == ({"k": {"a": [1]}}, at(0))
    assert await memory.get_thread_by_id("thread-a") is None, "another id"
    page = await memory.list_threads(resource_id="User-1")
    assert [t.id for t in page.threads] == ["thread-b", "Thread-A"]
    assert (await memory.list_threads(resource_id="user-1")).threads == []
    by_update = await memory.list_threads(
        resource_id="User-1", order_by={"field": "updatedAt", "direction": "ASC"}
    )
    assert len(by_update.threads) == 2


async def test_messages_of_the_original_are_read_in_order(shared) -> None:
    memory = shared.memory
    page = await memory.list_messages("Thread-A")
    assert [(m.id, m.text, m.created_at) for m in page.messages] == [
        ("m-0", "hello 0", at(10)),
        ("m-1", "hello 1", at(10)),
        ("m-2", "hello 2", at(11)),
    ]
    assert page.messages[0].content["metadata"] == {"n": 0}
    newest = await memory.list_messages(
        "Thread-A", per_page=2, order_by={"direction": "DESC"}, with_total=False
    )
    assert [m.id for m in newest.messages] == ["m-2", "m-1"]
    assert newest.has_more
    later = await memory.list_messages("Thread-A", date_range={"start": at(11)})
    assert [m.id for m in later.messages] == ["m-2"]
    # Times that are tied, page after page.
    ids = [
        (await memory.list_messages("Thread-A", per_page=1, page=n)).messages[0].id
        for n in range(3)
    ]
    assert ids == ["m-0", "m-1", "m-2"]
    assert [m.id async for m in memory.iter_messages("Thread-A")] == ids


async def test_resources_and_runs_of_the_original_are_read(shared) -> None:
    resource = await shared.memory.get_resource_by_id("User-1")
    assert resource is not None
    assert (resource.working_memory, resource.metadata) == ('{"b":  1}', {"x": 1})
    snapshot = await shared.workflows.load_workflow_snapshot(**RUN)
    assert snapshot is not None
    assert (snapshot["status"], snapshot["context"]) == ("suspended", {"input": {"a": 1}})
    run = await shared.workflows.get_workflow_run_by_id("Run-1")
    assert run is not None
    assert (run.workflow_name, run.resource_id, run.created_at) == ("Flow", "User-1", at(0))
    assert await shared.workflows.get_workflow_run_by_id("run-1") is None


async def test_scores_of_the_original_are_read_with_strings_as_they_are(shared) -> None:
    page = await shared.scores.list_scores_by_scorer_id("Scorer")
    scores = {score.run_id: score for score in page.scores}
    assert scores["Run-1"].output == "plain text"
    assert scores["Run-1"].input == {"q": "?"}
    assert scores["Run-1"].entity == {"id": "Agent-1"}
    assert scores["Run-1"].thread_id is None
    assert scores["run-2"].output == [1]
    assert scores["run-2"].input == '{"not":"json'
    assert scores["run-2"].trace_id is None
    by_span = await shared.scores.list_scores_by_span("Trace#1", span_id="Span#1")
    assert [score.run_id for score in by_span.scores] == ["Run-1"]
    by_run = await shared.scores.list_scores_by_run_id("run-2")
    assert [score.run_id for score in by_run.scores] == ["run-2"]
    by_entity = await shared.scores.list_scores_by_entity_id("Agent-1", entity_type="AGENT")
    assert by_entity.total == 2


async def test_what_we_change_stays_where_the_original_looks(shared, items) -> None:
    before = {(item["pk"]["S"], item["sk"]["S"]) for item in items()}
    await shared.memory.update_thread("Thread-A", title="Trees", metadata={"new": 1})
    await shared.memory.update_messages([{"id": "m-0", "content": {"metadata": {"seen": True}}}])
    await shared.memory.update_resource("User-1", metadata={"y": 2})
    await shared.workflows.update_workflow_results(**RUN, step_id="s", result={"output": 1})
    found = {item["pk"]["S"]: item for item in items() if "__edb_e__" in item}
    assert {(item["pk"]["S"], item["sk"]["S"]) for item in found.values()} == before
    thread = found["$mastra#entity_thread#id_thread-a"]
    assert thread["title"] == {"S": "Trees"}
    assert json.loads(thread["metadata"]["S"]) == {"k": {"a": [1]}, "new": 1}
    said = found["$mastra#entity_message#id_m-0"]
    assert json.loads(said["content"]["S"])["metadata"] == {"n": 0, "seen": True}
    run = found["$mastra#entity_workflow_snapshot#workflow_name_flow"]
    assert json.loads(run["snapshot"]["S"])["context"]["s"] == {"output": 1}


async def test_what_we_write_has_the_items_that_the_original_writes(shared, items) -> None:
    """The same keys, in all of its indexes, with the same attributes."""
    theirs = {item["id"]["S"]: item for item in ITEMS if item["__edb_e__"]["S"] == "message"}
    thread = Thread(
        id="Thread-A",
        resource_id="User-1",
        title="Plants",
        metadata={"k": {"a": [1]}},
        created_at=at(0),
        updated_at=at(1),
    )
    content = {
        "format": 2,
        "parts": [{"type": "text", "text": "hello 0"}],
        "metadata": {"n": 0},
    }
    said = Message(
        id="m-0",
        thread_id="Thread-A",
        resource_id="User-1",
        role="user",
        content=content,
        created_at=at(10),
    )
    await shared.memory.delete_thread("Thread-A")
    assert not [i for i in items() if i.get("threadId") == {"S": "Thread-A"}]
    await shared.memory.save_messages([said], create=thread)
    ours = {item["pk"]["S"]: item for item in items() if "__edb_e__" in item}
    found = ours["$mastra#entity_message#id_m-0"]
    wanted = theirs["m-0"]
    differs = {"updatedAt", "_v"}
    assert {n: v for n, v in found.items() if n not in differs} == {
        n: v for n, v in wanted.items() if n not in differs
    }
    assert set(found["updatedAt"]) == {"S"}
    (wanted,) = [i for i in ITEMS if i["pk"]["S"] == "$mastra#entity_thread#id_thread-a"]
    found = ours["$mastra#entity_thread#id_thread-a"]
    assert {n: v for n, v in found.items() if n not in differs} == {
        n: v for n, v in wanted.items() if n not in differs
    }


async def test_ids_that_differ_by_case_do_not_collide(shared, items) -> None:
    memory = shared.memory
    names = ["Case", "case", "CASE"]
    threads = [Thread(id=name, resource_id="User-1", title=name) for name in names]
    for thread in threads:
        await memory.save_thread(thread)
        await memory.save_messages([message(f"{thread.id}-1", thread.id, 1)])
    for thread in threads:
        found = await memory.get_thread_by_id(thread.id)
        assert found is not None
        assert (found.id, found.title) == (thread.id, thread.title)
        page = await memory.list_messages(thread.id)
        assert [m.id for m in page.messages] == [f"{thread.id}-1"]
    places = {i["id"]["S"]: i["pk"]["S"] for i in items() if i.get("title", {}).get("S") in names}
    # The id that is the key has the place where the original looks, whoever was there before.
    assert places == {
        "Case": "$mastra#entity_thread#id_Case",
        "case": "$mastra#entity_thread#id_case",
        "CASE": "$mastra#entity_thread#id_CASE",
    }
    await memory.delete_thread("Case")
    assert await memory.get_thread_by_id("Case") is None
    for name in ("case", "CASE"):
        assert await memory.get_thread_by_id(name) is not None
    await memory.update_thread("CASE", title="still one")
    listed = await memory.list_threads(resource_id="User-1")
    assert sorted(t.id for t in listed.threads) == ["CASE", "Thread-A", "case", "thread-b"]


async def test_an_id_with_capitals_is_where_the_original_looks_unless_it_is_taken(
    shared, items
) -> None:
    await shared.memory.save_thread(Thread(id="Only", resource_id="r", title="a"))
    await shared.memory.save_thread(Thread(id="taken", resource_id="r", title="a"))
    await shared.memory.save_thread(Thread(id="Taken", resource_id="r", title="a"))
    places = {i["id"]["S"]: i["pk"]["S"] for i in items() if i.get("title") == {"S": "a"}}
    assert places == {
        "Only": "$mastra#entity_thread#id_only",
        "taken": "$mastra#entity_thread#id_taken",
        "Taken": "$mastra#entity_thread#id_Taken",
    }


async def test_two_who_insert_one_id_with_capitals_make_one_row(shared, open_store) -> None:
    stores = [open_store(), open_store(), shared]
    for number in range(5):
        name = f"Race-{number}"
        threads = [Thread(id=name, resource_id=f"r{i}") for i in range(3)]
        outcomes = await asyncio.gather(
            *(s.memory.save_thread(t) for s, t in zip(stores, threads, strict=True)),
            shared.memory.save_thread(Thread(id=name.lower(), resource_id="r")),
            return_exceptions=True,
        )
        assert [isinstance(o, ConflictError) for o in outcomes].count(True) == 2
        assert not isinstance(outcomes[3], BaseException)
        found = await shared.memory.get_thread_by_id(name)
        assert found is not None
        assert found.resource_id in {o.resource_id for o in outcomes if isinstance(o, Thread)}
        assert (await shared.memory.get_thread_by_id(name.lower())) == outcomes[3]


async def test_rows_of_the_original_are_listed_everywhere_once_they_are_adopted(
    shared, items
) -> None:
    memory = shared.memory
    assert (await memory.list_messages_by_resource_id("User-1")).messages == []
    assert (await memory.list_threads()).threads == []
    assert await shared.adopt() == len(ITEMS)
    assert await shared.adopt() == 0
    found = await memory.list_messages_by_resource_id("User-1")
    assert [m.id for m in found.messages] == ["m-0", "m-1", "m-2"]
    assert [t.id for t in (await memory.list_threads()).threads] == ["thread-b", "Thread-A"]
    runs = await shared.workflows.list_workflow_runs(resource_id="User-1")
    assert [run.run_id for run in runs.runs] == ["Run-1"]
    rows = {item["pk"]["S"]: item for item in items() if "__edb_e__" in item}
    for item in ITEMS:
        adopted = rows[item["pk"]["S"]]
        assert {n: adopted.get(n) for n in item if n != "updatedAt"} == {
            n: v for n, v in item.items() if n != "updatedAt"
        }


async def test_a_table_of_the_original_can_be_taken_over(original, open_store, items) -> None:
    store = open_store(shared=False)
    assert (await store.memory.list_messages("Thread-A")).messages == []
    assert await store.adopt() == len(ITEMS)
    page = await store.memory.list_messages("Thread-A")
    assert [m.id for m in page.messages] == ["m-0", "m-1", "m-2"]
    thread = await store.memory.get_thread_by_id("Thread-A")
    assert thread is not None
    assert thread.title == "Plants"
    assert await store.workflows.load_workflow_snapshot(**RUN) is not None
    assert Capability.CONSISTENT_READ in store.backend.capabilities
    assert {i["pk"]["S"] for i in items() if i.get("title") == {"S": "Plants"}} == {
        "$mastra#entity_thread#id_Thread-A"
    }


async def test_ids_that_differ_by_case_may_come_in_one_write(shared) -> None:
    thread = Thread(id="t", resource_id="User-1")
    names = ["One", "ONE", "one", "Two", "tWO"]
    messages = [message(name, "t", n) for n, name in enumerate(names)]
    await shared.memory.save_messages(messages, create=thread)
    assert (await shared.memory.list_messages("t")).messages == messages
    found = await shared.memory.list_messages_by_id(names)
    assert {m.id: m.text for m in found} == dict(zip(names, names, strict=True))
    await shared.memory.delete_messages(["One", "two", "tWO"])
    assert [m.id for m in (await shared.memory.list_messages("t")).messages] == [
        "ONE",
        "one",
        "Two",
    ]
