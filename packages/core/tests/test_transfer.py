"""Copies, comparisons and files of JSON Lines between stores in memory; what databases spell otherwise."""

from __future__ import annotations

import io
import json
import math
from datetime import UTC, datetime

import msgspec
import pytest

from mastra_core import InMemoryStore, Message, Thread
from mastra_core.errors import (
    ConfigurationError,
    ConflictError,
    CorruptDataError,
    InvalidArgumentError,
    LimitExceededError,
    UnavailableError,
)
from mastra_core.storage.inmemory import InMemoryBackend
from mastra_core.storage.layers.retry import Retry
from mastra_core.storage.schema import Put, Query, Table
from mastra_core.storage.store import BackendStore, MastraStorage
from mastra_core.storage.tables import MESSAGES, SCORERS, SPANS, TABLES, THREADS
from mastra_core.transfer import Journal, compare, copy, export_lines, import_lines, streams
from mastra_core.transfer.fingerprints import Tally, cleaned, fingerprints

pytestmark = pytest.mark.asyncio
AT = datetime(2026, 3, 1, 12, 30, 15, 123_000, tzinfo=UTC)
VALUES = {
    "text": "a\n\"ü😀'",
    "timestamp": AT,
    "json": '{"b":1,"a":[1.5,null,"x"]}',
    "integer": 7,
    "bigint": 2**53 + 1,
    "float": 0.1,
    "boolean": True,
}


def row(table: Table, number: int, **given: object) -> tuple:
    """A row whose columns have all their values, or where they may have none by turns."""
    values = []
    for i, column in enumerate(table.columns):
        value = VALUES[column.type]
        if column.name in table.key:
            value = number if column.type == "integer" else f"{column.name}-{number:04}"
        elif column.nullable and (number + i) % 2:
            value = None
        values.append(given.get(column.name, value))
    return tuple(values)


async def filled(count: int = 3) -> InMemoryStore:
    store = InMemoryStore()
    for table in TABLES:
        await store.backend.write(Put(table, [row(table, n) for n in range(count)]))
    return store


async def rows_of(store: BackendStore, table: Table) -> list[tuple]:
    return await store.backend.find(table, Query())


class Unsteady(InMemoryBackend):
    """A backend that is not there for some of its calls, and takes few rows at once."""

    def __init__(self, *, failures: int = 0, most: int | None = None) -> None:
        super().__init__()
        self.failures = failures
        self.most = most
        self.writes: list[int] = []

    async def _write(self, changes):
        done = await super()._write(changes) if self.failures % 2 == 0 else None
        if self.failures:
            self.failures -= 1
            raise UnavailableError("gone for a moment")
        rows = sum(len(change.rows) for change in changes)
        if self.most is not None and rows > self.most:
            raise LimitExceededError(f"{rows} rows are too many")
        self.writes.append(rows)
        return done


async def test_every_table_of_every_domain_goes_over_with_every_value():
    source, target = await filled(), InMemoryStore()
    found = await copy(source, target)
    assert sorted(table.table for table in found) == sorted(table.name for table in TABLES)
    assert {(table.rows, table.new, table.verified) for table in found} == {(3, 3, True)}
    for table in TABLES:
        assert await rows_of(target, table) == await rows_of(source, table)


async def test_copying_twice_is_copying_once():
    source, target = await filled(), InMemoryStore()
    first, second = await copy(source, target), await copy(source, target)
    assert {(table.new, table.same) for table in second} == {(0, 3)}
    assert [table.checksum for table in first] == [table.checksum for table in second]


async def test_rows_of_the_target_stay_unless_they_may_go():
    source, target = await filled(), InMemoryStore()
    mine = row(THREADS, 1, title="mine")
    other = row(THREADS, 77)
    await target.backend.write(Put(THREADS, [mine, other]))
    with pytest.raises(ConflictError, match=r"id-0001.*overwrite"):
        await copy(source, target, domains=["memory"])
    assert mine in await rows_of(target, THREADS)

    found = await copy(source, target, domains=["memory"], overwrite=True)
    assert (found[0].new, found[0].same, found[0].replaced) == (0, 2, 1)
    # The sums differ, for the target has more: so it was looked row by row.
    assert (found[0].verified, found[0].others) == (True, 1)
    assert sorted(await rows_of(target, THREADS)) == sorted(
        [*await rows_of(source, THREADS), other]
    )


async def test_what_changes_behind_a_copy_is_told_and_the_next_copy_begins_anew(tmp_path):
    source, target = await filled(), InMemoryStore()
    path = tmp_path / "journal.json"

    async def behind(table):
        await source.backend.write(Put(THREADS, [row(THREADS, 0, title="later")]))
        await source.backend.write(Put(MESSAGES, [row(MESSAGES, -5)]))

    seen = []

    def progress(told):
        if told.verifying and not seen:
            seen.append(told)
            # (Operations in memory never wait, so that this coroutine ends at its first step.)
            with pytest.raises(StopIteration):
                behind(told.table).send(None)

    found = await copy(source, target, journal=Journal(path), progress=progress)
    threads, messages = found[0], found[1]
    assert seen[0].table == THREADS.name
    assert (threads.verified, threads.different) == (True, 0)
    assert messages.verified is True
    await source.backend.write(Put(MESSAGES, [row(MESSAGES, -6)]))
    again = await copy(source, target, domains=["memory"], overwrite=True, journal=Journal(path))
    assert (again[0].replaced, again[1].new, again[1].verified) == (1, 1, True)
    assert not path.exists()


async def test_a_copy_goes_on_where_it_was_broken_off_and_sums_up_the_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(streams, "FIRST_ROWS", 10)
    monkeypatch.setattr(streams, "MOST_ROWS", 10)
    source, target = InMemoryStore(), InMemoryStore()
    await source.backend.write(Put(MESSAGES, [row(MESSAGES, n) for n in range(100)]))
    path = tmp_path / "deep" / "journal.json"

    def stop(told):
        if told.rows == 60:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await copy(source, target, journal=Journal(path), progress=stop)
    # The target may have been given the next page meanwhile, of which the journal knows nothing.
    ahead = await target.backend.count(MESSAGES) - 60
    assert ahead in {0, 10}
    found = (await copy(source, target, journal=Journal(path)))[1]
    counts = (found.resumed, found.new, found.same, found.rows)
    assert counts == (60, 40 - ahead, ahead, 100)
    assert found.verified
    assert found.checksum == (await copy(source, target))[1].checksum


async def test_a_journal_of_another_target_is_not_believed(tmp_path, monkeypatch):
    monkeypatch.setattr(streams, "FIRST_ROWS", 10)
    monkeypatch.setattr(streams, "MOST_ROWS", 10)
    source, target = await filled(30), InMemoryStore()
    path = tmp_path / "journal.json"

    def stop(told):
        if told.table == MESSAGES.name and told.rows == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await copy(source, target, journal=Journal(path), progress=stop)
    emptied = InMemoryStore()
    found = await copy(source, emptied, journal=Journal(path))
    assert {(table.new, table.resumed, table.verified) for table in found} == {(30, 0, True)}
    path.write_text('{"mastra_threads": {"rows"')
    assert not Journal(path).begun


async def test_a_target_that_is_away_for_a_moment_is_asked_again(monkeypatch):
    monkeypatch.setattr(streams, "PATIENCE", Retry(attempts=4, first_pause=1e-6))
    backend = Unsteady(failures=2)
    source, target = await filled(), BackendStore(backend, id="unsteady")
    # Of the two writes that failed one was done all the same: its rows are there, and are the same.
    found = await copy(source, target, domains=["memory"])
    assert all(table.verified for table in found)
    backend.failures = 99
    await source.backend.write(Put(THREADS, [row(THREADS, 50)]))
    with pytest.raises(UnavailableError):
        await copy(source, target, domains=["memory"])


async def test_a_batch_that_is_too_much_is_taken_in_halves_and_a_bad_row_is_named():
    backend = Unsteady(most=2)
    source, target = await filled(8), BackendStore(backend, id="small")
    await copy(source, target, domains=["scores"])
    assert await backend.count(SCORERS) == 8
    assert max(backend.writes) <= 2

    class Picky(InMemoryBackend):
        async def _write(self, changes):
            if any("id-0005" in each for each in changes[0].rows):
                raise InvalidArgumentError("no fives")
            return await super()._write(changes)

    picky = BackendStore(Picky(), id="picky")
    with pytest.raises(InvalidArgumentError, match=r"id-0005 does not fit.*no fives"):
        await copy(source, picky, domains=["memory"])
    assert await picky.backend.count(THREADS) == 5


async def test_a_domain_that_one_of_them_has_not_is_told():
    source = await filled()
    target = MastraStorage(id="some", default=InMemoryStore(), domains={"scores": None})
    with pytest.raises(ConfigurationError, match="'some' has no scores domain"):
        await copy(source, target)
    with pytest.raises(ConfigurationError, match="there is no domain 'score'"):
        await copy(source, target, domains=["score"])
    assert (await copy(source, target, domains=["memory"]))[0].verified


async def test_a_comparison_counts_and_names_what_differs():
    first, second = await filled(), await filled()
    assert all(table.equal for table in await compare(first, second))
    await first.backend.write(Put(SPANS, [row(SPANS, 9), row(SPANS, 1, name="x", source="y")]))
    await second.backend.write(Put(SPANS, [row(SPANS, 4), row(SPANS, 5)]))
    found = next(t for t in await compare(first, second, examples=9) if t.table == SPANS.name)
    assert (found.same, found.different, found.only_first, found.only_second) == (2, 1, 1, 2)
    assert [(e.key, e.where, e.columns) for e in found.examples] == [
        (("traceId-0001", "spanId-0001"), "both", ("name", "source")),
        (("traceId-0009", "spanId-0009"), "first", ()),
        (("traceId-0004", "spanId-0004"), "second", ()),
        (("traceId-0005", "spanId-0005"), "second", ()),
    ]
    few = await compare(first, second, domains=["observability"], examples=1)
    assert len(few[0].examples) == 1


async def test_all_rows_of_a_store_are_missing_in_an_empty_one():
    store, empty = await filled(), InMemoryStore()
    for table in await compare(store, empty, examples=1):
        assert (table.same, table.only_first, table.only_second) == (0, 3, 0)
        assert [(found.where, found.columns) for found in table.examples] == [("first", ())]
    for table in await compare(empty, store, examples=1):
        assert (table.same, table.only_first, table.only_second) == (0, 0, 3)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ('{"b": 1, "a": [1, 2]}', '{"a":[1,2],"b":1}', True),
        ("1.0", "1", True),
        ("[1e2, -0.0]", "[100,0]", True),
        ("1e300", "1" + "0" * 300, True),
        ("9007199254740993", "9007199254740992", False),
        ("null", None, False),
        ('"1"', "1", False),
        ("[1,2]", "[2,1]", False),
        ("0.1", "0.10000000000000001", True),
        ('"a\\u0000b"', '"ab"', True),
        ("true", "1", False),
        ("no JSON", "no JSON ", False),
    ],
)
async def test_json_is_the_same_by_its_meaning(one, other, same):
    rows = [row(THREADS, 1, metadata=one), row(THREADS, 1, metadata=other)]
    first, second = fingerprints(THREADS, cleaned(THREADS, rows))
    assert (first == second) is same


async def test_times_and_numbers_are_the_same_however_they_are_kept():
    finer = AT.replace(microsecond=123_456)
    first, second = fingerprints(
        THREADS, [row(THREADS, 2), row(THREADS, 2, createdAt=finer, updatedAt=finer)]
    )
    assert first == second
    scores = [row(SCORERS, 1, score=score) for score in (1, 1.0, math.nan, math.inf, None)]
    digests = fingerprints(SCORERS, scores)
    assert digests[0] == digests[1]
    assert len(set(digests)) == 4


async def test_a_sum_of_rows_knows_no_order_but_every_value():
    rows = [row(SPANS, n) for n in range(5)]
    forth, back, other = Tally(), Tally(), Tally()
    forth.add(fingerprints(SPANS, rows))
    for each in reversed(rows):
        back.add(fingerprints(SPANS, [each]))
    other.add(fingerprints(SPANS, [*rows[:4], row(SPANS, 4, name="other")]))
    assert forth.checksum == back.checksum != other.checksum
    assert len(forth.checksum) == 32


async def test_what_few_databases_keep_is_left_out_and_keys_are_not_touched():
    given = row(THREADS, 1, id="k\0", title="a\0b\ud800", metadata='{"x":"\\u0000y"}')
    (found,) = cleaned(THREADS, [given])
    assert found[:4] == ("k\0", given[1], "ab\ufffd", '{"x":"y"}')


async def test_a_file_of_lines_brings_back_every_row():
    source, target = await filled(), InMemoryStore()
    odd = row(SCORERS, 7, score=math.inf, input=' {"a":\n 1.0}', output="null", metadata=None)
    await source.backend.write(Put(SCORERS, [odd]))
    file = io.BytesIO()
    exported = await export_lines(source, file)
    lines = file.getvalue().splitlines()
    assert all(isinstance(json.loads(line), dict) for line in lines)
    assert len(lines) == sum(tally.rows for tally in exported.values()) + 2
    imported = await import_lines(target, lines)
    assert {name: found.new for name, found in imported.items()} == {
        name: tally.rows for name, tally in exported.items()
    }
    assert all(table.equal for table in await compare(source, target))
    assert (await rows_of(target, SCORERS))[3][SCORERS.positions["output"]] == "null"
    again = await import_lines(target, lines)
    assert sum(found.new for found in again.values()) == 0


async def test_a_file_that_is_cut_changed_or_none_is_refused():
    file = io.BytesIO()
    await export_lines(await filled(), file, domains=["memory"])
    lines = file.getvalue().splitlines()
    for wrong, why in (
        (lines[:-1], "has no end"),
        ([*lines[:2], *lines[3:]], "2 rows where its end says 3"),
        ([line.replace(b"id-0001", b"id-0009") for line in lines], "changed since"),
        ([*lines, lines[1]], "behind the end"),
        ([b"id,title"], "line 1 is no line"),
        ([b'{"a":1}'], "does not begin"),
        ([lines[0], b'{"table":"mastra_threads","row":{"flavour":"x"}}'], "no column flavour"),
        ([lines[0], b'{"table":"mastra_threads","row":{"title":5}}'], "line 2: mastra_threads"),
    ):
        with pytest.raises(CorruptDataError, match=why):
            await import_lines(InMemoryStore(), wrong)
    only = await import_lines(InMemoryStore(), lines, domains=["scores"])
    assert only == {}


async def test_pages_have_few_rows_where_rows_are_long(monkeypatch):
    monkeypatch.setattr(streams, "PAGE_CHARACTERS", 10_000)
    store = InMemoryStore()
    long = [row(MESSAGES, n, content="x" * (10 if n < 200 else 5_000)) for n in range(600)]
    await store.backend.write(Put(MESSAGES, long))
    sizes = [len(page) async for page in streams.pages(store.backend, MESSAGES)]
    assert sum(sizes) == 600
    assert sizes[:3] == [50, 100, 200]
    assert max(sizes[3:]) <= 2


async def test_a_failed_read_reaches_who_reads_ahead_and_leaves_no_task():
    async def failing():
        yield 1
        raise UnavailableError("gone")

    taken = []

    async def take() -> None:
        async for item in streams.ahead(failing()):
            taken.append(item)  # noqa: PERF401 (those before the error)

    with pytest.raises(UnavailableError, match="gone"):
        await take()
    assert taken == [1]


async def test_records_are_what_they_were():
    source, target = InMemoryStore(), InMemoryStore()
    thread = Thread(id="t", resource_id="ada", metadata={"x": 1})
    await source.memory.save_thread(thread)
    content = {"format": 2, "parts": [{"type": "text", "text": "Hello."}]}
    said = Message(thread_id="t", resource_id="ada", role="user", content=content)
    await source.memory.save_messages([said])
    await copy(source, target)
    stored = await target.memory.get_thread_by_id("t")
    assert msgspec.structs.asdict(stored)["metadata"] == {"x": 1}
    assert (await target.memory.list_messages("t")).messages == [said]
