"""What DynamoDB limits: items of 400 KB, transactions of 100 items and 4 MB."""

from __future__ import annotations

import json

import pytest

from mastra_core.errors import LimitExceededError
from mastra_core.records import Message, Thread
from mastra_core.storage.schema import Put, Query, Where
from mastra_core.storage.tables import EXPERIMENT_RESULTS, RESOURCES, WORKFLOW_SNAPSHOT

pytestmark = pytest.mark.asyncio

RUN = {"workflow_name": "w", "run_id": "r"}


def message(number: int, size: int = 10) -> Message:
    content = {"format": 2, "parts": [{"type": "text", "text": "x" * size}]}
    return Message(
        id=f"m-{number:04}", thread_id="t", resource_id="r", role="user", content=content
    )


async def test_a_snapshot_of_three_megabytes_is_split_and_comes_back_whole(
    open_store, items
) -> None:
    workflows = open_store().workflows
    snapshot = {"status": "running", "context": {"input": "äöü😀" * 300_000}}
    await workflows.persist_workflow_snapshot(**RUN, snapshot=snapshot)
    assert await workflows.load_workflow_snapshot(**RUN) == snapshot
    chunks = [item for item in items() if "data" in item]
    assert len(chunks) == 8
    assert max(len(item["data"]["B"]) for item in chunks) <= 380_000


async def test_chunks_of_what_was_replaced_or_deleted_do_not_stay(open_store, items) -> None:
    workflows = open_store().workflows
    for text in ("a" * 500_000, "b" * 900_000):
        await workflows.persist_workflow_snapshot(**RUN, snapshot={"context": {"input": text}})
    loaded = await workflows.load_workflow_snapshot(**RUN)
    assert loaded == {"context": {"input": "b" * 900_000}}
    assert len([item for item in items() if "data" in item]) == 3
    await workflows.persist_workflow_snapshot(**RUN, snapshot={"context": {"input": "small"}})
    assert [item for item in items() if "data" in item] == []
    await workflows.persist_workflow_snapshot(**RUN, snapshot={"context": {"input": "c" * 500_000}})
    await workflows.delete_workflow_run_by_id("r", workflow_name="w")
    assert items() == []


async def test_chunks_of_a_refused_write_do_not_stay(open_store, items, log) -> None:
    workflows = open_store().workflows
    await workflows.persist_workflow_snapshot(**RUN, snapshot={"context": {}})
    changed = []

    def meddle(operation, body):
        # Somebody else writes between what this write read and what it writes.
        if operation == "TransactWriteItems" and not changed:
            changed.append(operation)
            body = json.dumps(body)
            reasons = [{"Code": "ConditionalCheckFailed"}]
            return 400, {
                "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
                "message": "canceled [ConditionalCheckFailed]",
                "CancellationReasons": reasons,
            }
        return None

    log.answers.append(meddle)
    snapshot = {"context": {"input": "x" * 500_000}}
    await workflows.persist_workflow_snapshot(**RUN, snapshot=snapshot)
    assert changed
    assert await workflows.load_workflow_snapshot(**RUN) == snapshot
    assert len([item for item in items() if "data" in item]) == 2


async def test_a_value_beyond_the_limit_is_refused_before_anything_is_sent(open_store, log) -> None:
    store = open_store()
    await store.init()
    log.clear()
    text = "x" * (store.backend.limits.value_bytes or 0)
    with pytest.raises(LimitExceededError, match="snapshot of mastra_workflow_snapshot"):
        await store.workflows.persist_workflow_snapshot(**RUN, snapshot={"context": text})
    assert log.requests == []


async def test_a_row_of_many_large_values_is_refused_whole(open_store, items) -> None:
    store = open_store()
    await store.memory.save_thread(Thread(id="t", resource_id="r"))
    before = items()
    row = [None] * len(EXPERIMENT_RESULTS.columns)
    for name, value in {
        "id": "a",
        "experimentId": "e",
        "itemId": "i",
        "retryCount": 0,
    }.items():
        row[EXPERIMENT_RESULTS.positions[name]] = value
    for name in ("input", "output", "groundTruth", "metadata", "error", "comment"):
        row[EXPERIMENT_RESULTS.positions[name]] = "7" * 7_900_000
    from mastra_conformance.rows import at

    for name in ("startedAt", "completedAt", "createdAt"):
        row[EXPERIMENT_RESULTS.positions[name]] = at(0)
    with pytest.raises(LimitExceededError, match="too large"):
        await store.backend.write(Put(EXPERIMENT_RESULTS, [tuple(row)]))
    assert items() == before


async def test_large_messages_are_listed_and_found_by_id(open_store) -> None:
    memory = open_store().memory
    messages = [message(0), message(1, 600_000), message(2)]
    await memory.save_messages(messages, create=Thread(id="t", resource_id="r"))
    assert (await memory.list_messages("t")).messages == messages
    assert (await memory.list_messages_by_resource_id("r")).messages == messages
    assert await memory.list_messages_by_id(["m-0001"]) == messages[1:2]
    changed = await memory.update_messages([{"id": "m-0001", "role": "system"}])
    assert (await memory.list_messages("t")).messages == [messages[0], *changed, messages[2]]
    await memory.delete_thread("t")


async def test_pages_beyond_a_megabyte_are_read_on(open_store, log) -> None:
    memory = open_store().memory
    messages = [message(n, 100_000) for n in range(25)]
    await memory.save_messages(messages, create=Thread(id="t", resource_id="r"))
    log.clear()
    page = await memory.list_messages("t", per_page=40, with_total=False)
    assert page.messages == messages
    assert log.requests == ["Query"] * 3


async def test_an_append_of_a_thousand_messages_is_one_write(open_store, items, log) -> None:
    memory = open_store().memory
    await memory.save_thread(Thread(id="t", resource_id="r"))
    messages = [message(n) for n in range(1000)]
    log.clear()
    await memory.save_messages(messages)
    assert max(len(body.get("TransactItems", ())) for body in log.bodies) == 100
    page = await memory.list_messages("t", per_page=False)
    assert [m.id for m in page.messages] == [m.id for m in messages]
    marks = {"_tx", "_next", "_gone", "_new", "state", "keys"}
    assert [item for item in items() if marks & item.keys()] == []
    # Each is itself, in the list of its thread and in that of its resource.
    assert len(items()) == 1 + 3 + 3 * 1000


async def test_a_write_beyond_four_megabytes_is_one_write(open_store, log) -> None:
    memory = open_store().memory
    await memory.save_thread(Thread(id="t", resource_id="r"))
    messages = [message(n, 150_000) for n in range(30)]
    log.clear()
    await memory.save_messages(messages)
    sizes = [len(json.dumps(body)) for body in log.bodies]
    assert max(sizes) < 4_000_000
    assert (await memory.list_messages("t")).messages == messages


async def test_ids_as_long_as_allowed_are_kept_apart_in_every_key(open_store) -> None:
    store = open_store()
    long = "😀" * 254
    names = [long + tail for tail in ("a", "b", "é")]
    for name in names:
        await store.workflows.persist_workflow_snapshot(
            workflow_name=name, run_id=name, resource_id=name, snapshot={"runId": name}
        )
        await store.memory.save_thread(Thread(id=name, resource_id=name))
    for name in names:
        run = await store.workflows.get_workflow_run_by_id(name)
        assert run is not None
        assert run.snapshot == {"runId": name}
        page = await store.workflows.list_workflow_runs(resource_id=name)
        assert [r.run_id for r in page.runs] == [name]
        threads = (await store.memory.list_threads(resource_id=name)).threads
        assert [t.id for t in threads] == [name]
    assert (await store.workflows.list_workflow_runs()).total == 3


@pytest.mark.parametrize("text", ["", "0", "a b", "#", "$mastra#entity_thread#id_x", "~", "=", "!"])
async def test_delimiters_of_keys_are_data(open_store, text: str) -> None:
    store = open_store()
    keys = [("a" + text, "b"), ("a", text + "b"), ("a" + text + "b", "c")]
    for workflow, run in keys:
        await store.workflows.persist_workflow_snapshot(
            workflow_name=workflow, run_id=run, snapshot={"is": [workflow, run]}
        )
    for workflow, run in keys:
        loaded = await store.workflows.load_workflow_snapshot(workflow_name=workflow, run_id=run)
        assert loaded == {"is": [workflow, run]}
    rows = await store.backend.find(WORKFLOW_SNAPSHOT, Query(columns=("workflow_name", "run_id")))
    assert sorted(rows) == sorted(set(keys))


async def test_numbers_that_the_service_does_not_take_are_kept_all_the_same(open_store) -> None:
    from mastra_core.storage.tables import SCORERS

    backend = open_store().backend
    values = [1e300, -1e300, 5e-324, 1e-200, 0.1, -0.0, 1 / 3]
    rows = [
        tuple({"id": str(i), "score": value}.get(name) for name in SCORERS.names)
        for i, value in enumerate(values)
    ]
    await backend.write(Put(SCORERS, rows))
    found = await backend.find(
        SCORERS, Query(where=(Where("id", "in", tuple("0123456")),), columns=("score",))
    )
    assert [score for (score,) in found] == values


async def test_empty_values_are_not_absent(open_store) -> None:
    from mastra_conformance.rows import at

    backend = open_store().backend
    await backend.write(Put(RESOURCES, [("r", "", None, at(0), at(0))]))
    assert await backend.find(RESOURCES, Query()) == [("r", "", None, at(0), at(0))]
