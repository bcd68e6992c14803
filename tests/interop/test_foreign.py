"""Data that neither side writes today: ties, older and newer columns, other spellings of a value."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import libsql
import msgspec
import pytest

from mastra_core.records import Message, Resource, Span, Thread
from mastra_core.storage.tables import TABLES

from . import test_datasets as datasets
from . import test_experiments as experiments
from .plain import at, plain, plains
from .test_datasets import snake
from .test_messages import CONTENT, MESSAGE, ids, message, record
from .test_observability import SPAN
from .test_scores import SCORE, save_ours
from .test_threads import RESOURCE, THREAD, thread
from .test_workflows import KEY, RUN, persist_ours

pytestmark = [pytest.mark.asyncio, pytest.mark.only("libsql")]

Sql = Callable[..., list[tuple]]


@pytest.fixture
def sql(path: Path) -> Sql:
    """Run one statement on the file, past both sides."""

    def run(statement: str, *values) -> list[tuple]:
        connection = libsql.connect(str(path), isolation_level=None, timeout=5)
        try:
            return connection.execute(statement, values).fetchall()
        finally:
            connection.close()

    return run


async def test_messages_of_one_millisecond_have_one_order_and_no_page_loses_any(ours, theirs):
    await theirs.memory.saveThread(thread=THREAD)
    tied = [message(number, createdAt=at(0)) for number in (4, 1, 3, 0, 2)]
    await theirs.memory.saveMessages(messages=tied)

    everything = ids((await ours.memory.list_messages("thread-1")).messages)
    assert everything == [f"message-00{number}" for number in range(5)]
    for direction, expected in (("ASC", everything), ("DESC", everything[::-1])):
        paged = [
            await ours.memory.list_messages(
                "thread-1", page=page, per_page=2, order_by={"direction": direction}
            )
            for page in range(3)
        ]
        assert [number for page in paged for number in ids(page.messages)] == expected
    assert [m.id async for m in ours.memory.iter_messages("thread-1")] == everything


async def test_a_window_around_a_tied_message_has_it_and_its_neighbours(ours, theirs):
    await theirs.memory.saveThread(thread=THREAD)
    await theirs.memory.saveMessages(
        messages=[message(number, createdAt=at(0)) for number in range(5)]
    )

    include = [{"id": "message-002", "withPreviousMessages": 1, "withNextMessages": 1}]
    page = await ours.memory.list_messages("thread-1", include=include, per_page=0)
    assert ids(page.messages) == ["message-001", "message-002", "message-003"]


async def test_columns_of_a_later_version_keep_their_values_when_we_write(ours, theirs, sql):
    item = await one_of_everything(theirs)
    for table in TABLES:
        sql(f'ALTER TABLE {table.name} ADD COLUMN "laterColumn" TEXT')
        sql(f"UPDATE {table.name} SET \"laterColumn\" = 'kept'")

    await ours.memory.save_thread(msgspec.convert(thread(title="again"), Thread))
    await ours.memory.update_thread("thread-1", metadata={"more": 1})
    await ours.memory.save_messages([msgspec.convert(MESSAGE, Message)])
    await ours.memory.update_messages([{"id": "message-1", "content": {"more": 1}}])
    await ours.memory.save_resource(msgspec.convert(RESOURCE, Resource))
    await ours.memory.update_resource("resource-1", metadata={"more": 1})
    await persist_ours(ours, RUN)
    await ours.workflows.update_workflow_results(**KEY, step_id="s", result={"status": "success"})
    await ours.workflows.update_workflow_state(**KEY, opts={"status": "success"})
    await save_ours(ours, {**SCORE, "reason": "again"})
    await ours.observability.create_span(msgspec.convert(SPAN, Span))
    await ours.observability.update_span("trace-1", span_id="span-1", updates={"name": "again"})
    await ours.datasets.update_dataset("dataset-1", name="again")
    await ours.datasets.update_item(item, dataset_id="dataset-1", metadata={"more": 1})
    await ours.datasets.purge_item(item, dataset_id="dataset-1")
    await ours.experiments.update_experiment("experiment-1", name="again")
    result = {**snake(experiments.RESULT), "output": "again"}
    await ours.experiments.upsert_experiment_result("experiment-1", **result)

    for table in TABLES:
        found = sql(f'SELECT "laterColumn" FROM {table.name} ORDER BY rowid LIMIT 1')
        assert found in ([("kept",)], []), table.name
    assert (await theirs.memory.getThreadById(threadId="thread-1"))["title"] == "again"
    assert (await theirs.scores.getScoreById(id="score-1"))["reason"] == "again"


async def one_of_everything(theirs) -> str:
    """Have the original write one row of each table that both sides write; the item's id."""
    await theirs.memory.saveThread(thread=THREAD)
    await theirs.memory.saveMessages(messages=[MESSAGE])
    await theirs.memory.saveResource(resource=RESOURCE)
    await theirs.workflows.persistWorkflowSnapshot(**RUN)
    await theirs.scores.saveScore({k: v for k, v in SCORE.items() if not k.endswith("edAt")})
    await theirs.observability.createSpan(span=SPAN)
    await datasets.create_theirs(theirs)
    item = await datasets.add_theirs(theirs)
    await experiments.create_theirs(theirs)
    await experiments.add_theirs(theirs)
    return item["id"]


def json_columns() -> list[tuple[str, str]]:
    return [(t.name, c.name) for t in TABLES for c in t.columns if c.type == "json"]


@pytest.mark.parametrize("encoding", ["json", "jsonb"])
async def test_json_is_the_same_to_us_as_text_and_as_blob(ours, theirs, sql, encoding):
    item = await one_of_everything(theirs)
    sql('UPDATE mastra_ai_spans SET "parentSpanId" = NULL')

    async def everything() -> list:
        return [
            await ours.memory.list_threads(metadata={"number": 7}),
            await ours.memory.get_resource_by_id("resource-1"),
            await ours.workflows.list_workflow_runs(status="suspended"),
            await ours.scores.list_scores_by_run_id("run-1"),
            await ours.observability.list_traces(tags=["a"], metadata={"text": "x"}),
            await ours.observability.get_trace("trace-1"),
            await ours.datasets.list_datasets(target_ids=["agent-1"]),
            await ours.datasets.get_item_history(item),
            await ours.experiments.get_experiment_by_id("experiment-1"),
            await ours.experiments.list_experiment_results("experiment-1", tags=["a"]),
        ]

    before = await everything()
    assert all(before)
    for table, column in json_columns():
        sql(f'UPDATE {table} SET "{column}" = {encoding}("{column}")')
    assert await everything() == before


@pytest.mark.parametrize("encoding", ["json", "jsonb"])
async def test_metadata_is_read_and_updated_as_text_and_as_blob(ours, theirs, sql, encoding):
    await theirs.memory.saveThread(thread=THREAD)
    await theirs.memory.saveResource(resource=RESOURCE)
    sql(f"UPDATE mastra_threads SET metadata = {encoding}(metadata)")
    sql(f"UPDATE mastra_resources SET metadata = {encoding}(metadata)")

    assert plain(await ours.memory.get_thread_by_id("thread-1")) == THREAD
    assert plain(await ours.memory.get_resource_by_id("resource-1")) == RESOURCE
    assert len((await ours.memory.list_threads(metadata={"number": 7})).threads) == 1
    await ours.memory.update_thread("thread-1", metadata={"more": 1})
    await ours.memory.update_resource("resource-1", metadata={"more": 1})
    changed = await theirs.memory.getThreadById(threadId="thread-1")
    assert changed["metadata"] == {**THREAD["metadata"], "more": 1}
    changed = await theirs.memory.getResourceById(resourceId="resource-1")
    assert changed["metadata"] == {**RESOURCE["metadata"], "more": 1}


async def test_metadata_that_is_no_object_is_an_empty_one_to_an_update(ours, theirs, sql):
    await theirs.memory.saveThread(thread=THREAD)
    sql("UPDATE mastra_threads SET metadata = jsonb('null')")

    assert (await ours.memory.get_thread_by_id("thread-1")).metadata is None
    await ours.memory.update_thread("thread-1", metadata={"more": 1})
    changed = await theirs.memory.getThreadById(threadId="thread-1")
    assert changed["metadata"] == {"more": 1}


OLD_CONTENTS = {
    "plain text": {
        "format": 2,
        "parts": [{"type": "text", "text": "plain text"}],
        "content": "plain text",
    },
    '"text as JSON"': {
        "format": 2,
        "parts": [{"type": "text", "text": "text as JSON"}],
        "content": "text as JSON",
    },
    '[{"type":"text","text":"parts only"}]': {
        "format": 2,
        "parts": [{"type": "text", "text": "parts only"}],
    },
    "{broken": {
        "format": 2,
        "parts": [{"type": "text", "text": "{broken"}],
        "content": "{broken",
    },
}


@pytest.mark.parametrize("content", OLD_CONTENTS)
async def test_content_of_an_old_version_is_wrapped_as_the_original_wraps_it(
    ours, theirs, sql, content
):
    await theirs.memory.saveThread(thread=THREAD)
    sql(
        'INSERT INTO mastra_messages (id, thread_id, content, role, type, "createdAt")'
        " VALUES ('message-1', 'thread-1', ?, 'user', 'v2', '2026-01-02T03:04:05.678Z')",
        content,
    )

    mine = (await ours.memory.list_messages("thread-1")).messages
    original = (await theirs.memory.listMessages(threadId="thread-1"))["messages"]
    assert plains(mine) == plains(original)
    assert mine[0].content == OLD_CONTENTS[content]
    assert mine[0].resource_id is None


SPELLINGS = {
    "2026-01-02 03:04:05": at(-678),
    "2026-01-02T03:04:05Z": at(-678),
    "2026-01-02T03:04:05.678901Z": at(0),
    "2026-01-02T05:04:05.678+02:00": at(0),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_times_in_other_spellings_are_read_as_the_original_reads_them(
    ours, theirs, sql, spelling
):
    await theirs.memory.saveThread(thread=THREAD)
    sql('UPDATE mastra_threads SET "createdAt" = ?, "updatedAt" = ?', spelling, spelling)

    expected = thread(createdAt=SPELLINGS[spelling], updatedAt=SPELLINGS[spelling])
    assert plain(await theirs.memory.getThreadById(threadId="thread-1")) == expected
    assert plain(await ours.memory.get_thread_by_id("thread-1")) == expected


async def test_a_thread_with_a_time_in_another_spelling_is_updated(ours, theirs, sql):
    await theirs.memory.saveThread(thread=THREAD)
    sql("UPDATE mastra_threads SET \"updatedAt\" = '2026-01-02 03:04:05'")

    await ours.memory.update_thread("thread-1", metadata={"more": 1})
    changed = await theirs.memory.getThreadById(threadId="thread-1")
    assert changed["metadata"] == {**THREAD["metadata"], "more": 1}


async def test_text_that_not_every_database_takes_is_read_without_what_it_does_not(ours, theirs):
    await theirs.memory.saveThread(thread=thread(metadata={"nul": "a\0b", "half": "\ud800!"}))
    content = {"format": 2, "parts": [{"type": "text", "text": "a\0b \ud83e"}]}
    await theirs.memory.saveMessages(messages=[message(1, content=content)])

    assert (await ours.memory.get_thread_by_id("thread-1")).metadata == {"nul": "ab", "half": "�!"}
    page = await ours.memory.list_messages("thread-1")
    assert page.messages[0].content["parts"][0]["text"] == "ab �"


async def test_what_the_original_does_not_know_in_a_message_survives_its_update(ours, theirs):
    await ours.memory.save_thread(msgspec.convert(THREAD, Thread))
    await ours.memory.save_messages([record(MESSAGE)])
    await theirs.memory.updateMessages(messages=[{"id": "message-1", "role": "user"}])
    await ours.memory.update_messages([{"id": "message-1", "content": {"content": "new"}}])

    expected = {**MESSAGE, "role": "user", "content": {**CONTENT, "content": "new"}}
    assert plains((await ours.memory.list_messages("thread-1")).messages) == [expected]
    original = await theirs.memory.listMessages(threadId="thread-1")
    assert plains(original["messages"]) == [expected]
