"""What stands in the rows: what the original wrote is read right, and what we write is read by it."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime

import pytest

from mastra_core import Message, Resource, Thread
from mastra_core.errors import InvalidArgumentError
from mastra_core.storage.schema import Query, Update, Where
from mastra_core.storage.tables import DATASETS, THREADS
from mastra_pg.values import decoded_twice, encoded_twice, literal

AT = datetime(2024, 3, 1, 12, 0, 0, 5000, tzinfo=UTC)
CONTENT = {"format": 2, "parts": [{"type": "text", "text": "hello"}]}


async def execute(session, factory, sql, *params):
    return await session.execute(sql.replace("@", f'"{factory.schema}".'), params)


@pytest.mark.asyncio
async def test_a_time_is_its_twins_where_the_column_has_another_clock(factory, session):
    async with factory() as store:
        await store.init()
        # As the original's workflows write it in New York.
        await execute(
            session,
            factory,
            "INSERT INTO @mastra_workflow_snapshot VALUES "
            "('w', 'r', NULL, '{\"status\": \"running\", \"context\": {}}', '2024-03-01 07:00:00.005', "
            "'2024-03-01 07:00:00.005', '2024-03-01 12:00:00.005Z', '2024-03-01 12:00:00.005Z')",
        )
        run = await store.workflows.get_workflow_run_by_id("r")
        assert (run.created_at, run.updated_at) == (AT, AT)
        day = {"from_date": AT, "to_date": AT}
        assert (await store.workflows.list_workflow_runs(**day)).total == 1
        state = {"status": "success"}
        await store.workflows.update_workflow_state(workflow_name="w", run_id="r", opts=state)
        run = await store.workflows.get_workflow_run_by_id("r")
        assert run.snapshot == {"status": "success", "context": {}}
        assert run.created_at == AT
        assert run.updated_at > AT


@pytest.mark.asyncio
async def test_a_twin_that_the_database_filled_in_is_no_time(factory, session):
    async with factory() as store:
        await store.init()
        # As the original writes results: the twins are the time of the insert.
        await execute(
            session,
            factory,
            'INSERT INTO @mastra_experiment_results (id, "experimentId", "itemId", input, '
            '"startedAt", "completedAt", "retryCount", "createdAt") VALUES '
            "('x', 'e', 'i', '1', '2024-03-01 12:00:00.005', '2024-03-01 12:00:00.005', 0, "
            "'2024-03-01 12:00:00.005')",
        )
        result = await store.experiments.get_experiment_result_by_id("x")
        assert (result.started_at, result.completed_at, result.created_at) == (AT, AT, AT)
        await execute(
            session,
            factory,
            'INSERT INTO @mastra_experiments (id, status, "totalItems", "succeededCount", '
            '"failedCount", "skippedCount", "createdAt", "updatedAt", "createdAtZ", "updatedAtZ") '
            "VALUES ('e', 'pending', 1, 0, 0, 0, %s, %s, %s, %s)",
            *("2024-03-01 12:00:00.005",) * 2,
            *(AT,) * 2,
        )
        experiment = await store.experiments.get_experiment_by_id("e")
        assert experiment.started_at is None
        assert experiment.completed_at is None
        assert experiment.created_at == AT


@pytest.mark.asyncio
async def test_both_columns_are_written_also_where_there_is_no_time(factory, session):
    async with factory() as store:
        await store.memory.save_thread(
            Thread(id="t", resource_id="r", created_at=AT, updated_at=AT)
        )
        sql = 'SELECT "createdAt", "createdAtZ" FROM @mastra_threads'
        (row,) = await (await execute(session, factory, sql)).fetchall()
        assert row == (AT.replace(tzinfo=None), AT)
        span = {"traceId": "t", "spanId": "s", "name": "n", "spanType": "agent_run"}
        await store.observability.create_span({**span, "isEvent": False, "startedAt": AT})
        sql = 'SELECT "endedAt", "endedAtZ" FROM @mastra_ai_spans'
        assert await (await execute(session, factory, sql)).fetchall() == [(None, None)]
        moved = {"endedAt": AT}
        await store.observability.update_span("t", span_id="s", updates=moved)
        assert await (await execute(session, factory, sql)).fetchall() == [
            (AT.replace(tzinfo=None), AT)
        ]


@pytest.mark.asyncio
async def test_times_with_microseconds_are_paged_and_compared_exactly(factory, session):
    async with factory() as store:
        for i in range(5):
            await store.memory.save_thread(Thread(id=f"t{i}", resource_id="r"))
        # As the original's clock in the database writes them.
        at = "'2024-03-01 12:00:00.005123'::timestamp + interval '100 microseconds' * "
        sql = f'UPDATE @mastra_threads SET "updatedAt" = {at} right(id, 1)::int, '
        sql += f"\"updatedAtZ\" = ({at} right(id, 1)::int) AT TIME ZONE 'UTC'"
        await execute(session, factory, sql)
        for way in ("asc", "desc"):
            seen, last = [], None
            while True:
                query = Query(
                    order=(("updatedAt", way),), limit=1, after=last, columns=("id", "updatedAt")
                )
                rows = await store.backend.find(THREADS, query)
                if not rows:
                    break
                seen.append(rows[0][0])
                last = (rows[0][1], rows[0][0])
            wanted = [f"t{i}" for i in range(5)]
            assert seen == (wanted if way == "asc" else wanted[::-1])
        thread = await store.memory.update_thread("t3", title="new")
        assert thread.title == "new"


@pytest.mark.asyncio
async def test_json_that_was_encoded_twice_is_read_merged_and_compared(factory, session):
    async with factory() as store:
        await store.init()
        await execute(
            session,
            factory,
            'INSERT INTO @mastra_resources (id, metadata, "createdAt", "updatedAt") '
            "VALUES ('r', to_jsonb('{\"x\":  [1]}'::text), now(), now())",
        )
        assert (await store.memory.get_resource_by_id("r")).metadata == {"x": [1]}
        changed = await store.memory.update_resource("r", metadata={"y": 2})
        assert changed.metadata == {"x": [1], "y": 2}
        sql = "SELECT jsonb_typeof(metadata) FROM @mastra_resources"
        assert await (await execute(session, factory, sql)).fetchall() == [("object",)]


SCORE = {
    "scorer_id": "s",
    "entity_id": "e",
    "run_id": "r",
    "score": 0.5,
    "scorer": {"id": "s"},
    "entity": {"id": "e"},
    "source": "LIVE",
}


@pytest.mark.parametrize(
    "output", ["123", "true", "null", '{"a": 1}', '"quoted"', "plain", "", 123, None, {"a": [1]}]
)
@pytest.mark.asyncio
async def test_payloads_that_look_like_json_keep_their_type(factory, session, output):
    async with factory() as store:
        saved = await store.scores.save_score({**SCORE, "output": output, "input": output})
        score = await store.scores.get_score_by_id(saved.id)
        assert (score.output, score.input) == (output, output)
        # The original's reader takes the value, and if it is text that is JSON, what it says.
        sql = "SELECT output FROM @mastra_scorers"
        ((found,),) = await (await execute(session, factory, sql)).fetchall()
        if isinstance(found, str):
            with contextlib.suppress(ValueError):
                found = json.loads(found)
        assert found == output


@pytest.mark.asyncio
async def test_a_score_without_an_input_is_stored_where_the_original_forbids_it(factory):
    async with factory() as store:
        saved = await store.scores.save_score({**SCORE, "output": 1})
        assert await store.scores.get_score_by_id(saved.id) == saved


@pytest.mark.asyncio
async def test_a_score_that_the_original_wrote_is_read(factory, session):
    async with factory() as store:
        await store.init()
        twice = 'to_jsonb(\'{"id":"s"}\'::text)'
        await execute(
            session,
            factory,
            'INSERT INTO @mastra_scorers (id, "scorerId", "runId", scorer, score, input, output, '
            '"entityId", entity, source, "createdAt", "updatedAt") VALUES '
            f"('x', 's', 'r', {twice}, 1, to_jsonb('\"in\"'::text), to_jsonb('\"out\"'::text), "
            f"'e', {twice}, 'LIVE', '2024-03-01 12:00', '2024-03-01 12:00')",
        )
        score = await store.scores.get_score_by_id("x")
        assert (score.scorer, score.input, score.output) == ({"id": "s"}, "in", "out")


@pytest.mark.asyncio
async def test_jsonb_gives_keys_another_order_and_updates_notice_no_other_writer(factory):
    async with factory() as store:
        metadata = {"long key": 1, "b": 2, "a": {"z": 1, "y": 1.50}, "big": 10**30}
        await store.memory.save_thread(Thread(id="t", resource_id="r", metadata=metadata))
        changed = await store.memory.update_thread("t", metadata={"c": 3})
        assert changed.metadata == {**metadata, "c": 3}
        assert (await store.memory.get_thread_by_id("t")).metadata == {**metadata, "c": 3}
        where = (Where("metadata", "eq", '{"a": {"y":1.5, "z":1}, "x": 0}'),)
        assert await store.backend.count(THREADS, where) == 0


@pytest.mark.asyncio
async def test_nul_and_half_pairs_are_cleaned_as_everywhere(factory):
    async with factory() as store:
        text = "a\0b\ud800c"
        await store.memory.save_resource(
            Resource(id="r", working_memory=text, metadata={"k": text})
        )
        stored = await store.memory.get_resource_by_id("r")
        assert stored.working_memory == "ab\ufffdc"
        assert stored.metadata == {"k": "ab\ufffdc"}


@pytest.mark.asyncio
async def test_content_that_is_no_json_is_passed_over_by_filters(factory, session):
    async with factory() as store:
        await store.memory.save_thread(Thread(id="t", resource_id="r"))
        content = {**CONTENT, "metadata": {"k": "v", "0": "zero"}}
        messages = [
            Message(id=f"m{i}", thread_id="t", resource_id="r", role="user", content=c)
            for i, c in enumerate([CONTENT, content])
        ]
        await store.memory.save_messages(messages)
        for bad, name in (("no json", "a"), ('{"metadata":{"k":"\\u0000"}}', "b")):
            await execute(
                session,
                factory,
                "INSERT INTO @mastra_messages SELECT %s, thread_id, %s, role, type, "
                '"createdAt", "resourceId" FROM @mastra_messages WHERE id = \'m0\'',
                name,
                bad,
            )
        page = await store.memory.list_messages("t", metadata={"k": "v"})
        assert [message.id for message in page.messages] == ["m1"]


@pytest.mark.asyncio
async def test_the_originals_trigger_on_spans_does_not_stop_updates(factory, session):
    async with factory() as store:
        await store.init()
        schema = factory.schema
        await session.execute(
            f'CREATE FUNCTION "{schema}".stamp() RETURNS trigger AS $$ BEGIN '
            'NEW."updatedAt" = NOW(); NEW."updatedAtZ" = NOW(); '
            'IF TG_OP = \'INSERT\' THEN NEW."createdAt" = NOW(); NEW."createdAtZ" = NOW(); '
            "END IF; RETURN NEW; END $$ LANGUAGE plpgsql"
        )
        await session.execute(
            f'CREATE TRIGGER t BEFORE INSERT OR UPDATE ON "{schema}".mastra_ai_spans '
            f'FOR EACH ROW EXECUTE FUNCTION "{schema}".stamp()'
        )
        span = {"traceId": "t", "spanId": "s", "name": "n", "spanType": "agent_run"}
        await store.observability.create_span({**span, "isEvent": False, "startedAt": AT})
        for i in range(3):
            updates = {"output": {"i": i}}
            await store.observability.update_span("t", span_id="s", updates=updates)
        found = await store.observability.get_span("t", span_id="s")
        assert found.output == {"i": 2}
        assert found.updated_at > found.created_at > AT


@pytest.mark.asyncio
async def test_a_value_that_is_too_large_for_a_column_is_said(factory):
    async with factory() as store:
        await store.init()
        assert await store.backend.count(DATASETS, (Where("version", "eq", 2**40),)) == 0
        dataset = await store.datasets.create_dataset("d")
        where = (Where("id", "eq", dataset.id),)
        with pytest.raises(InvalidArgumentError, match="out of range"):
            await store.backend.write(Update(DATASETS, where, {"version": 2**40}))


def test_arrays_are_quoted_as_the_server_reads_them():
    assert literal([]) == "{}"
    assert literal(['a"b', "c\\d", "", "NULL", "{,}"]) == '{"a\\"b","c\\\\d","","NULL","{,}"}'
    assert literal([1, None, 2]) == "{1,NULL,2}"
    assert literal([None, "x"]) == '{NULL,"x"}'
    assert literal([True, False]) == "{True,False}"


def test_what_is_encoded_twice_comes_back():
    for text in ('"123"', '"null"', '"plain"', '{"a":1}', "null", "1", '"\\"q\\""'):
        assert decoded_twice(encoded_twice(text)) == text
    assert encoded_twice('"plain"') == '"plain"'
