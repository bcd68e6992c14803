"""Both sides writing at the same time, from two processes: nothing is lost, nobody is locked out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest

from mastra_core.errors import ConflictError
from mastra_core.records import Thread

from . import test_datasets as datasets
from . import test_experiments as experiments
from .plain import at, plains
from .test_messages import message, record
from .test_threads import RESOURCE, THREAD, thread
from .test_workflows import KEY, RESULT, RUN, SNAPSHOT, THEIR_KEY

pytestmark = pytest.mark.asyncio

ROUNDS = 20


async def test_messages_saved_by_both_sides_at_once_are_all_there(ours, theirs):
    await ours.memory.save_thread(Thread(id="thread-1", resource_id="resource-1", updated_at=at(0)))
    messages = [message(number) for number in range(2 * ROUNDS)]

    await asyncio.gather(
        *(theirs.memory.saveMessages(messages=[sample]) for sample in messages[:ROUNDS]),
        *(ours.memory.save_messages([record(sample)]) for sample in messages[ROUNDS:]),
    )

    page = await ours.memory.list_messages("thread-1", per_page=False)
    assert plains(page.messages) == messages
    page = await theirs.memory.listMessages(threadId="thread-1", perPage=False)
    assert plains(page["messages"]) == messages


async def test_our_updates_are_not_lost_while_the_original_saves_messages(ours, theirs):
    await ours.memory.save_thread(Thread(id="thread-1", resource_id="resource-1", updated_at=at(0)))

    await asyncio.gather(
        *(theirs.memory.saveMessages(messages=[message(number)]) for number in range(ROUNDS)),
        *(
            ours.memory.update_thread("thread-1", metadata={str(number): number})
            for number in range(ROUNDS)
        ),
    )

    expected = {str(number): number for number in range(ROUNDS)}
    assert (await ours.memory.get_thread_by_id("thread-1")).metadata == expected
    assert (await theirs.memory.getThreadById(threadId="thread-1"))["metadata"] == expected
    assert (await ours.memory.list_messages("thread-1")).total == ROUNDS


@pytest.fixture
def meanwhile(ours, monkeypatch) -> Iterator[Callable[..., None]]:
    """Have something happen once: behind our next read (or one later) and before what follows it."""
    read = ours.backend.find
    waiting: list[Callable[[], Awaitable]] = []

    async def read_then_wait(table, query):
        rows = await read(table, query)
        if waiting:
            happens = waiting.pop(0)
            await happens()
        return rows

    async def nothing() -> None:
        return

    def arrange(happens: Callable[[], Awaitable], *, read: int = 1) -> None:
        waiting.extend([*[nothing] * (read - 1), happens])

    monkeypatch.setattr(ours.backend, "find", read_then_wait)
    yield arrange
    assert not waiting


async def test_a_thread_changed_between_our_read_and_write_keeps_the_change(
    ours, theirs, meanwhile
):
    await theirs.memory.saveThread(thread=THREAD)
    meanwhile(lambda: theirs.memory.updateThread(id="thread-1", metadata={"theirs": 1}))
    await ours.memory.update_thread("thread-1", metadata={"ours": 1})

    stored = await theirs.memory.getThreadById(threadId="thread-1")
    assert stored["metadata"] == {**THREAD["metadata"], "theirs": 1, "ours": 1}


async def test_a_message_changed_between_our_read_and_write_keeps_the_change(
    ours, theirs, meanwhile
):
    await theirs.memory.saveThread(thread=thread())
    await theirs.memory.saveMessages(messages=[message(1)])
    change = {"id": "message-001", "content": {"metadata": {"theirs": 1}}}
    meanwhile(lambda: theirs.memory.updateMessages(messages=[change]))
    await ours.memory.update_messages([{"id": "message-001", "content": {"metadata": {"ours": 1}}}])

    stored = (await theirs.memory.listMessages(threadId="thread-1"))["messages"][0]
    assert stored["content"]["metadata"] == {"theirs": 1, "ours": 1}


async def test_a_resource_changed_between_our_read_and_write_keeps_the_change(
    ours, theirs, meanwhile
):
    await theirs.memory.saveResource(resource=RESOURCE)
    meanwhile(
        lambda: theirs.memory.updateResource(
            resourceId="resource-1", workingMemory="theirs", metadata={"theirs": 1}
        )
    )
    await ours.memory.update_resource("resource-1", metadata={"ours": 1})

    stored = await theirs.memory.getResourceById(resourceId="resource-1")
    assert stored["metadata"] == {**RESOURCE["metadata"], "theirs": 1, "ours": 1}
    assert stored["workingMemory"] == "theirs"


async def test_a_state_set_between_our_read_and_write_of_a_result_is_kept(ours, theirs, meanwhile):
    # The original leaves the run's updatedAt as it is: only the snapshot tells.
    await theirs.workflows.persistWorkflowSnapshot(**RUN)
    state = {"status": "waiting"}
    meanwhile(lambda: theirs.workflows.updateWorkflowState(**THEIR_KEY, opts=state))
    await ours.workflows.update_workflow_results(**KEY, step_id="step-2", result=RESULT)

    assert await theirs.workflows.loadWorkflowSnapshot(**THEIR_KEY) == {
        **SNAPSHOT,
        **state,
        "context": {**SNAPSHOT["context"], "step-2": RESULT},
    }


async def test_a_result_stored_between_our_read_and_write_of_a_state_is_kept(
    ours, theirs, meanwhile
):
    await theirs.workflows.persistWorkflowSnapshot(**RUN)
    result = {"stepId": "step-2", "result": RESULT, "requestContext": {}}
    meanwhile(lambda: theirs.workflows.updateWorkflowResults(**THEIR_KEY, **result))
    await ours.workflows.update_workflow_state(**KEY, opts={"status": "waiting"})

    assert await theirs.workflows.loadWorkflowSnapshot(**THEIR_KEY) == {
        **SNAPSHOT,
        "status": "waiting",
        "context": {**SNAPSHOT["context"], "step-2": RESULT},
    }


async def test_a_run_resumed_by_the_original_first_is_not_resumed_by_us(ours, theirs, meanwhile):
    await theirs.workflows.persistWorkflowSnapshot(**RUN)
    claim = {"status": "running", "expectedStatus": "suspended"}
    meanwhile(lambda: theirs.workflows.updateWorkflowState(**THEIR_KEY, opts=claim))

    assert await ours.workflows.update_workflow_state(**KEY, opts=claim) is None


async def test_an_item_added_between_our_read_and_write_has_a_version_of_its_own(
    ours, theirs, meanwhile
):
    await datasets.create_theirs(theirs)
    first = (await datasets.add_theirs(theirs))["id"]
    meanwhile(lambda: datasets.add_theirs(theirs, externalId="external-2"))
    changed = await ours.datasets.update_item(first, dataset_id="dataset-1", metadata={"a": 1})

    assert changed.dataset_version == 3
    assert (await theirs.datasets.getDatasetById(id="dataset-1"))["version"] == 3
    items = await theirs.datasets.getItemsByVersion(datasetId="dataset-1", version=3)
    assert sorted(item["datasetVersion"] for item in items) == [2, 3]


async def test_a_dataset_changed_between_our_read_and_write_keeps_the_change(
    ours, theirs, meanwhile
):
    await datasets.create_theirs(theirs)
    meanwhile(lambda: theirs.datasets.updateDataset(id="dataset-1", tags=["theirs"]))
    await ours.datasets.update_dataset("dataset-1", name="ours")

    stored = await theirs.datasets.getDatasetById(id="dataset-1")
    assert (stored["name"], stored["tags"]) == ("ours", ["theirs"])


async def test_an_item_purged_between_our_read_and_write_stays_purged(ours, theirs, meanwhile):
    # The original leaves all times as they are: only the item's metadata tell.
    await datasets.create_theirs(theirs)
    first = (await datasets.add_theirs(theirs))["id"]
    meanwhile(lambda: theirs.datasets.purgeItem(id=first, datasetId="dataset-1"), read=2)
    with pytest.raises(ConflictError, match="Purged"):
        await ours.datasets.update_item(first, dataset_id="dataset-1", input={"question": "new"})

    history = await theirs.datasets.getItemHistory(first)
    assert [row["input"] for row in history] == [None]


async def test_an_item_purged_before_its_deletion_is_written_stays_purged(ours, theirs, meanwhile):
    await datasets.create_theirs(theirs)
    first = (await datasets.add_theirs(theirs))["id"]
    # The dataset, the item, and both again: the purge comes behind the last read.
    meanwhile(lambda: theirs.datasets.purgeItem(id=first, datasetId="dataset-1"), read=4)
    await ours.datasets.delete_item(first, dataset_id="dataset-1")

    history = await theirs.datasets.getItemHistory(first)
    assert [row["input"] for row in history] == [None, None]
    assert [row["isDeleted"] for row in history] == [True, False]


async def test_a_result_of_an_item_purged_meanwhile_is_erased(ours, theirs, meanwhile):
    await datasets.create_theirs(theirs)
    item = (await datasets.add_theirs(theirs))["id"]
    await experiments.create_theirs(theirs)
    # The experiment first, then the item.
    meanwhile(lambda: theirs.datasets.purgeItem(id=item, datasetId="dataset-1"), read=2)
    added = await experiments.add_ours(ours, itemId=item)

    stored = await theirs.experiments.getExperimentResultById(id=added.id)
    assert stored["input"] is None
    assert stored["metadata"]["__purged"] is True
