"""What only PostgreSQL has: twins of times, JSON encoded twice, a trigger, schemas, U+0000."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta

import msgspec
import pytest

from mastra_core.records import Resource, Span, Thread
from mastra_core.storage.tables import TABLES

from .databases import Postgres
from .original import Original, install
from .plain import at, plain, plains
from .test_messages import message, record
from .test_observability import SPAN, unstamped
from .test_scores import SCORE, save_ours
from .test_threads import RESOURCE, THREAD, thread
from .test_workflows import KEY, RESULT, RUN, THEIR_KEY, persist_ours, run

pytestmark = [pytest.mark.asyncio, pytest.mark.only("postgresql")]

NEW_YORK = timedelta(hours=-5)
UTC_TIMES = """
SELECT "createdAt", "createdAtZ" AT TIME ZONE 'UTC', "updatedAt", "updatedAtZ" AT TIME ZONE 'UTC'
"""


@pytest.fixture(scope="module")
def in_new_york(original: Original, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Original]:
    """The original in a process whose clock on the wall is New York's."""
    complaints = tmp_path_factory.mktemp("new-york") / "complaints.txt"
    with Original(install(), complaints, zone="America/New_York") as running:
        yield running


def naive(moment: datetime) -> datetime:
    return moment.replace(tzinfo=None)


async def test_both_sides_write_a_time_and_its_twin(ours, theirs, shared):
    await theirs.memory.saveThread(thread=THREAD)
    await ours.memory.save_thread(msgspec.convert(thread(id="thread-2"), Thread))

    created, updated = naive(at(0)), naive(at(1))
    rows = shared.run(f"{UTC_TIMES} FROM mastra_threads ORDER BY id")
    assert rows == [(created, created, updated, updated)] * 2


async def test_absent_times_are_absent_in_the_twin_too(ours, theirs, shared):
    bare = {name: value for name, value in SPAN.items() if name != "endedAt"}
    await ours.observability.create_span(msgspec.convert(bare, Span))

    assert shared.run('SELECT "endedAt", "endedAtZ" FROM mastra_ai_spans') == [(None, None)]
    found = await theirs.observability.getSpan(traceId="trace-1", spanId="span-1")
    assert found["span"].get("endedAt") is None


async def test_a_run_written_on_another_clock_has_the_time_of_its_twin(ours, in_new_york, shared):
    theirs = in_new_york.store(shared.url)
    await theirs.workflows.persistWorkflowSnapshot(**RUN)
    ((column, twin, _, _),) = shared.run(f"{UTC_TIMES} FROM mastra_workflow_snapshot")
    assert (column, twin) == (naive(at(0)) + NEW_YORK, naive(at(0)))

    assert plain(await ours.workflows.get_workflow_run_by_id("run-1")) == RUN
    around = {"from_date": at(0), "to_date": at(0)}
    assert plains((await ours.workflows.list_workflow_runs(**around)).runs) == [RUN]
    await ours.workflows.update_workflow_results(**KEY, step_id="step-2", result=RESULT)
    changed = await ours.workflows.get_workflow_run_by_id("run-1")
    assert changed.created_at == at(0)
    assert changed.updated_at > at(1)
    assert plain(await theirs.workflows.getWorkflowRunById(runId="run-1")) == plain(changed)
    await theirs.close()


async def test_a_run_of_ours_is_read_and_persisted_again_on_another_clock(
    ours, in_new_york, shared
):
    theirs = in_new_york.store(shared.url)
    await persist_ours(ours, RUN)
    assert plain(await theirs.workflows.getWorkflowRunById(runId="run-1")) == RUN

    again = run(createdAt=at(50), updatedAt=at(60))
    await theirs.workflows.persistWorkflowSnapshot(**again)
    expected = {**again, "createdAt": at(0)}
    assert plain(await ours.workflows.get_workflow_run_by_id("run-1")) == expected
    await theirs.workflows.updateWorkflowState(**THEIR_KEY, opts={"status": "running"})
    assert (await ours.workflows.load_workflow_snapshot(**KEY))["status"] == "running"
    await theirs.close()


async def test_threads_and_messages_of_another_clock_are_in_one_order(ours, in_new_york, shared):
    theirs = in_new_york.store(shared.url)
    await theirs.memory.saveThread(thread=THREAD)
    await theirs.memory.saveMessages(messages=[message(2), message(4)])
    await ours.memory.save_messages([record(message(1)), record(message(3))])

    mine = (await ours.memory.list_messages("thread-1")).messages
    assert plains(mine) == [message(number) for number in range(1, 5)]
    found = await theirs.memory.listMessages(threadId="thread-1")
    assert plains(found["messages"]) == plains(mine)
    await theirs.close()


async def test_json_of_a_score_is_text_in_json_and_read_by_both(ours, theirs, shared):
    await theirs.scores.saveScore(unstamped(SCORE))
    kinds = 'jsonb_typeof(scorer), jsonb_typeof(output), jsonb_typeof("extractStepResult")'
    assert shared.run(f"SELECT {kinds} FROM mastra_scorers") == [("string", "string", "object")]
    await save_ours(ours, {**SCORE, "id": "score-2"})

    for number in ("score-1", "score-2"):
        mine = plain(await ours.scores.get_score_by_id(number))
        assert unstamped(mine) == unstamped({**SCORE, "id": number})
        assert plain(await theirs.scores.getScoreById(id=number)) == mine


@pytest.mark.parametrize("value", ["text", '"text"', "123", "null", '{"a":1}', "", "\\"])
async def test_text_that_looks_like_json_stays_text_in_a_score(ours, theirs, value):
    sample = {**SCORE, "input": value, "output": value}
    await theirs.scores.saveScore(unstamped(sample))
    await save_ours(ours, {**sample, "id": "score-2"})

    for number in ("score-1", "score-2"):
        mine = await ours.scores.get_score_by_id(number)
        found = await theirs.scores.getScoreById(id=number)
        assert [mine.input, mine.output] == [found["input"], found["output"]] == [value, value]


async def test_metadata_of_a_resource_are_text_in_json_until_they_change(ours, theirs, shared):
    kind = "SELECT jsonb_typeof(metadata) FROM mastra_resources"
    await theirs.memory.saveResource(resource=RESOURCE)
    assert shared.run(kind) == [("string",)]
    assert plain(await ours.memory.get_resource_by_id("resource-1")) == RESOURCE

    changed = await ours.memory.update_resource("resource-1", metadata={"plan": "free"})
    assert shared.run(kind) == [("object",)]
    assert plain(await theirs.memory.getResourceById(resourceId="resource-1")) == plain(changed)
    await theirs.memory.updateResource(resourceId="resource-1", metadata={"seats": None})
    merged = {**RESOURCE["metadata"], "plan": "free", "seats": None}
    assert (await ours.memory.get_resource_by_id("resource-1")).metadata == merged


async def test_spans_are_stamped_by_the_originals_trigger_whoever_writes_them(ours, theirs, shared):
    asked = "SELECT tgname FROM pg_trigger WHERE tgrelid = 'mastra_ai_spans'::regclass"
    assert shared.run(f"{asked} AND NOT tgisinternal") == [("mastra_ai_spans_timestamps",)]
    await ours.observability.create_span(msgspec.convert(SPAN, Span))

    mine = await ours.observability.get_span("trace-1", span_id="span-1")
    assert mine.created_at > at(1000)
    found = await theirs.observability.getSpan(traceId="trace-1", spanId="span-1")
    assert plain(found["span"])["createdAt"] == plain(mine)["createdAt"]
    await ours.observability.update_span("trace-1", span_id="span-1", updates={"name": "new"})
    changed = await ours.observability.get_span("trace-1", span_id="span-1")
    assert changed.created_at == mine.created_at
    assert changed.updated_at > mine.updated_at
    # The time of a span itself is the writer's.
    assert (changed.started_at, changed.ended_at) == (at(0), at(9))


async def test_nul_and_half_characters_reach_neither_the_database_nor_the_original(ours, theirs):
    text = "a\0b\ud800c"
    hostile = thread(title=text, metadata={"t": text, "k\0": [text]})
    await ours.memory.save_thread(msgspec.convert(hostile, Thread))
    content = {"format": 2, "parts": [{"type": "text", "text": text}]}
    await ours.memory.save_messages([record(message(1, content=content))])
    await persist_ours(ours, run(snapshot={"status": "running", "context": {"input": text}}))
    await save_ours(ours, {**SCORE, "output": text, "input": {"t": text}})

    clean = "ab\ufffdc"
    found = await theirs.memory.getThreadById(threadId="thread-1")
    assert (found["title"], found["metadata"]) == (clean, {"t": clean, "k": [clean]})
    listed = (await theirs.memory.listMessages(threadId="thread-1"))["messages"]
    assert listed[0]["content"]["parts"][0]["text"] == clean
    snapshot = await theirs.workflows.loadWorkflowSnapshot(**THEIR_KEY)
    assert snapshot["context"] == {"input": clean}
    score = await theirs.scores.getScoreById(id="score-1")
    assert (score["output"], score["input"]) == (clean, {"t": clean})


async def test_escaped_nul_in_a_message_of_the_original_is_read_without_it(ours, theirs, shared):
    # The column is text, so that the escape can be there.
    content = {"format": 2, "parts": [{"type": "text", "text": "a\0b"}]}
    await theirs.memory.saveThread(thread=THREAD)
    await theirs.memory.saveMessages(messages=[message(1, content=content)])
    ((stored,),) = shared.run("SELECT content FROM mastra_messages")
    assert json.loads(stored) == content

    mine = (await ours.memory.list_messages("thread-1")).messages
    assert mine[0].content["parts"][0]["text"] == "ab"
    await ours.memory.update_messages([{"id": "message-001", "content": {"more": 1}}])
    listed = (await theirs.memory.listMessages(threadId="thread-1"))["messages"]
    assert listed[0]["content"] == {**mine[0].content, "more": 1}


async def test_columns_of_a_later_version_keep_their_values_when_we_write(new_database, original):
    theirs = original.store(new_database.url)
    await theirs.init()
    await theirs.memory.saveThread(thread=THREAD)
    await theirs.memory.saveMessages(messages=[message(1)])
    await theirs.memory.saveResource(resource=RESOURCE)
    await theirs.workflows.persistWorkflowSnapshot(**RUN)
    await theirs.observability.createSpan(span=unstamped(SPAN))
    for table in TABLES:
        new_database.run(f'ALTER TABLE {table.name} ADD COLUMN "laterColumn" TEXT')
        new_database.run(f"UPDATE {table.name} SET \"laterColumn\" = 'kept'")

    async with new_database.ours() as store:
        await store.memory.save_thread(msgspec.convert(thread(title="again"), Thread))
        await store.memory.save_messages([record(message(1))])
        await store.memory.save_resource(msgspec.convert(RESOURCE, Resource))
        await persist_ours(store, RUN)
        await store.observability.create_span(msgspec.convert(SPAN, Span))
    for name in ("threads", "messages", "resources", "workflow_snapshot", "ai_spans"):
        assert new_database.run(f'SELECT "laterColumn" FROM mastra_{name}') == [("kept",)]
    assert (await theirs.memory.getThreadById(threadId="thread-1"))["title"] == "again"
    await theirs.close()


@pytest.mark.parametrize("first", ["original", "ours"])
async def test_both_sides_meet_in_a_schema_of_any_name(original, new_database, first):
    place = Postgres(new_database.address, "Agents_1")
    # A process of the original makes a schema of one name only once, in whatever database.
    place.run('CREATE SCHEMA "Agents_1"')
    theirs = original.store(place.url)
    if first == "original":
        await theirs.init()
    async with place.ours() as ours:
        await ours.init()
        await theirs.init()
        await theirs.memory.saveThread(thread=THREAD)
        await ours.memory.save_messages([record(message(1))])
        await theirs.memory.saveMessages(messages=[message(2)])
        await persist_ours(ours, RUN)

        assert plains((await ours.memory.list_messages("thread-1")).messages) == [
            message(1),
            message(2),
        ]
        found = await theirs.memory.listMessages(threadId="thread-1")
        assert plains(found["messages"]) == [message(1), message(2)]
        assert plain(await theirs.workflows.getWorkflowRunById(runId="run-1")) == RUN
    asked = "SELECT count(*) FROM pg_tables WHERE schemaname = $1"
    assert place.run(asked, "public") == [(0,)]
    assert place.run("SELECT count(*) FROM mastra_messages") == [(2,)]
    await theirs.close()
