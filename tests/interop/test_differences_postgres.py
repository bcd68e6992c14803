"""Where the original's PostgreSQL store loses or mixes up data, and ours does not (see README.md)."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from mastra_core.errors import InvalidArgumentError
from mastra_core.records import Resource, Thread

from .answers import UNANSWERED
from .original import OriginalError
from .plain import at, plain
from .test_experiments import RESULT, add_theirs, create_theirs
from .test_messages import message, record
from .test_observability import SPAN, span, unstamped
from .test_threads import RESOURCE, THREAD, thread
from .test_workflows import RUN

pytestmark = [pytest.mark.asyncio, pytest.mark.only("postgresql")]

WRITERS = 6


async def test_every_field_of_a_span_is_answered(ours, theirs):
    await theirs.observability.createSpan(span=unstamped(SPAN))

    found = await theirs.observability.getTrace(traceId="trace-1")
    assert SPAN.keys() - plain(found["spans"][0]).keys() == UNANSWERED
    mine = await ours.observability.get_trace("trace-1")
    assert SPAN.keys() - plain(mine.spans[0]).keys() == set()


async def test_text_of_a_span_stays_text(ours, theirs):
    await theirs.observability.createSpan(span=unstamped(span(1, input="123", output='{"a":1}')))

    original = (await theirs.observability.getRootSpan(traceId="trace-1"))["span"]
    assert (original["input"], original["output"]) == (123, {"a": 1})
    mine = await ours.observability.get_root_span("trace-1")
    assert (mine.input, mine.output) == ("123", '{"a":1}')


async def test_times_of_a_result_are_those_that_were_given(ours, theirs):
    await create_theirs(theirs)
    number = (await add_theirs(theirs))["id"]

    original = await theirs.experiments.getExperimentResultById(id=number)
    assert original["startedAt"] == original["completedAt"] > at(1000)
    mine = await ours.experiments.get_experiment_result_by_id(number)
    assert (mine.started_at, mine.completed_at) == (RESULT["startedAt"], RESULT["completedAt"])


async def test_numbers_and_truth_of_a_result_are_answered(ours, theirs):
    await create_theirs(theirs)
    number = (await add_theirs(theirs, input=1.5, output=0, groundTruth=False))["id"]

    original = await theirs.experiments.getExperimentResultById(id=number)
    assert (original["input"], original["output"], original["groundTruth"]) == ({}, None, None)
    mine = await ours.experiments.get_experiment_result_by_id(number)
    assert (mine.input, mine.output, mine.ground_truth) == (1.5, 0, False)


async def test_a_resource_is_saved_again(ours, theirs):
    await theirs.memory.saveResource(resource=RESOURCE)

    with pytest.raises(OriginalError, match="duplicate key"):
        await theirs.memory.saveResource(resource=RESOURCE)
    again = {**RESOURCE, "workingMemory": "again"}
    await ours.memory.save_resource(msgspec.convert(again, Resource))
    assert (await theirs.memory.getResourceById(resourceId="resource-1"))[
        "workingMemory"
    ] == "again"


async def test_first_updates_of_a_resource_at_once_are_all_done(ours, theirs):
    outcomes = await asyncio.gather(
        *(
            theirs.memory.updateResource(resourceId="a", metadata={f"k{n}": n})
            for n in range(WRITERS)
        ),
        return_exceptions=True,
    )
    assert any(isinstance(one, OriginalError) for one in outcomes)

    await asyncio.gather(
        *(ours.memory.update_resource("b", metadata={f"k{n}": n}) for n in range(WRITERS))
    )
    expected = {f"k{n}": n for n in range(WRITERS)}
    assert (await theirs.memory.getResourceById(resourceId="b"))["metadata"] == expected


async def test_updates_of_one_thread_at_once_are_all_kept_on_a_server(ours, theirs):
    for number in ("thread-1", "thread-2"):
        await ours.memory.save_thread(msgspec.convert(thread(id=number, metadata={}), Thread))
    updates = [{f"k{n}": n} for n in range(WRITERS)]
    await asyncio.gather(
        *(theirs.memory.updateThread(id="thread-1", metadata=one) for one in updates)
    )
    await asyncio.gather(*(ours.memory.update_thread("thread-2", metadata=one) for one in updates))

    lost = (await theirs.memory.getThreadById(threadId="thread-1"))["metadata"]
    assert len(lost) < WRITERS
    kept = (await theirs.memory.getThreadById(threadId="thread-2"))["metadata"]
    assert kept == {f"k{n}": n for n in range(WRITERS)}


async def test_deleting_no_traces_is_no_error(ours, theirs):
    await theirs.observability.createSpan(span=unstamped(SPAN))

    with pytest.raises(OriginalError, match="syntax error"):
        await theirs.observability.batchDeleteTraces(traceIds=[])
    await ours.observability.batch_delete_traces([])
    assert await theirs.observability.getTrace(traceId="trace-1") is not None


async def test_a_page_before_the_first_is_named_not_sent(ours, theirs):
    await theirs.workflows.persistWorkflowSnapshot(**RUN)

    with pytest.raises(OriginalError, match="OFFSET must not be negative"):
        await theirs.workflows.listWorkflowRuns(page=-1, perPage=5)
    with pytest.raises(InvalidArgumentError, match="page"):
        await ours.workflows.list_workflow_runs(page=-1, per_page=5)


async def test_a_message_is_there_though_others_have_its_time(ours, theirs):
    await theirs.memory.saveThread(thread=THREAD)
    await ours.memory.save_messages([record(message(n, createdAt=at(0))) for n in range(3)])
    include = [{"id": "message-000"}]

    original = await theirs.memory.listMessages(threadId="thread-1", include=include, perPage=0)
    assert "message-000" not in {one["id"] for one in original["messages"]}
    mine = await ours.memory.list_messages("thread-1", include=include, per_page=0)
    assert [one.id for one in mine.messages] == ["message-000"]
