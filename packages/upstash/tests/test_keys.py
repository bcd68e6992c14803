"""Keys and sort keys: no two rows share one, and bytes are ordered as values are."""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from backends import Address
from hypothesis import given
from hypothesis import strategies as st

from mastra_core.clock import uuid7
from mastra_core.errors import InvalidArgumentError, UnsupportedError
from mastra_core.records import Message, Thread
from mastra_core.storage.matching import sort_key
from mastra_core.storage.schema import Column, Index, Put, Query, Table, Where
from mastra_core.storage.tables import MESSAGES, WORKFLOW_SNAPSHOT
from mastra_upstash import UpstashStore
from mastra_upstash.layout import Kind, Layout, coded
from mastra_upstash.scripts import script

TEXTS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=6) | (
    st.text("\x01\x02\x03a", max_size=4)
)
INTEGERS = st.integers(-(2**63), 2**63 - 1) | st.integers(-12, 12)
TIMES = st.integers(-(10**13), 10**14).map(
    lambda n: datetime(2024, 1, 1, tzinfo=UTC) + timedelta(milliseconds=n)
)
COLUMNS: Sequence[tuple[Kind, Any]] = (("s", TEXTS), ("n", INTEGERS), ("s", TIMES))
# The functions of the scripts, asked by themselves.
ASK = """
local out = {}
for i = 2, #ARGV, 2 do out[#out + 1] = code(ARGV[i], ARGV[i + 1] ~= '' and ARGV[i + 1] or nil) end
for i, kinds in ipairs(plan.kinds) do
  local values = uncoded(kinds, plan.keys[i])
  for n, value in ipairs(values) do out[#out + 1] = value or '(absent)' end
end
return out
"""


@given(st.lists(st.tuples(*(st.none() | values for _, values in COLUMNS)), min_size=2, max_size=8))
def test_sort_keys_of_several_columns_are_ordered_as_the_rows_are(rows: list[Any]) -> None:
    """Text by code points, numbers by size, times by time; absent values behind all others."""

    def key(row: Sequence[Any]) -> bytes:
        pairs = zip(COLUMNS, row, strict=True)
        return "".join([coded(kind, value) for (kind, _), value in pairs]).encode()

    assert sorted(rows, key=key) == sorted(rows, key=lambda row: [sort_key(v) for v in row])
    for a, b in itertools.combinations(rows, 2):
        assert (key(a) == key(b)) == (a == b)


def test_integers_of_more_than_64_bits_have_no_sort_key() -> None:
    with pytest.raises(InvalidArgumentError, match="more than 64 bits"):
        coded("n", 2**63)


def test_what_cannot_be_sorted_here_is_no_index() -> None:
    columns = (Column("id", "text", nullable=False), Column("score", "float"))
    with pytest.raises(UnsupportedError, match="ORDERED_FIND"):
        Layout(Table("t", columns, ("id",), (Index("t_by_score", ("score", "id")),)))


def test_the_scripts_code_values_as_python_does(redis: Address) -> None:
    driver = importlib.import_module("redis")
    client = driver.Redis.from_url(redis.url, decode_responses=True)
    values: list[tuple[Kind, Any]] = [
        *(("s", text) for text in ("", "a", "é😀", "\x01", "\x02\x01", "\x02\x02", 'q"\\\n/', "~")),
        *(("n", n) for n in (0, 1, -1, 10, -10, 2**63 - 1, -(2**63), 2**53 + 1)),
        ("s", None),
        ("n", None),
    ]
    tokens = ["" if value is None else msgspec.json.encode(value).decode() for _, value in values]
    arguments = [
        part for (kind, _), token in zip(values, tokens, strict=True) for part in (kind, token)
    ]
    plan = {
        "root": "",
        "kinds": [[["c", kind] for kind, _ in values]],
        "keys": ["".join([coded(kind, value) for kind, value in values])],
    }
    shared = script("read").text.partition("local t = table_of(plan.table)")[0]
    answer = client.eval(shared + ASK, 0, msgspec.json.encode(plan).decode(), *arguments)
    client.close()
    assert answer[: len(values)] == [coded(kind, value) for kind, value in values]
    assert answer[len(values) :] == [
        "(absent)" if value is None else str(value) for _, value in values
    ]


HOSTILE = (
    "a",
    "a:id:b",
    "b",
    "a:run_id:b",
    "a:run_id",
    "run_id:b",
    "x:id",
    "id:x",
    "*",
    "[a]",
    "?",
)


@pytest.mark.asyncio
async def test_ids_with_delimiters_are_never_one_key(store: UpstashStore) -> None:
    """Joined by the original's delimiters, ``("a", "b:run_id:c")`` and ``("a:run_id:b", "c")`` are one."""
    at = datetime(2024, 1, 1, tzinfo=UTC)
    keys = list(itertools.product(HOSTILE, repeat=2))
    rows = [(a, b, None, f'"{i}"', at, at) for i, (a, b) in enumerate(keys)]
    assert await store.backend.write(Put(WORKFLOW_SNAPSHOT, rows, "fail")) == [len(keys)]
    for i, (name, run_id) in enumerate(keys):
        where = (Where("workflow_name", "eq", name), Where("run_id", "eq", run_id))
        found = await store.backend.find(WORKFLOW_SNAPSHOT, Query(where=where))
        assert [row[3] for row in found] == [f'"{i}"']
    for name in HOSTILE:
        found = await store.workflows.list_workflow_runs(workflow_name=name)
        assert sorted(run.run_id for run in found.runs) == sorted(HOSTILE)
    for name in HOSTILE:
        await store.workflows.delete_workflow_run_by_id(name, workflow_name=name)
    assert await store.backend.count(WORKFLOW_SNAPSHOT) == len(keys) - len(HOSTILE)


@pytest.mark.asyncio
async def test_threads_with_delimiters_keep_their_own_messages(store: UpstashStore) -> None:
    content = {"format": 2, "parts": [{"type": "text", "text": "x"}]}
    for thread_id in HOSTILE:
        await store.memory.save_thread(Thread(id=thread_id, resource_id="r"))
        said = [
            Message(
                id=f"{name}|{thread_id}",
                thread_id=thread_id,
                resource_id="r",
                role="user",
                content=content,
            )
            for name in HOSTILE
        ]
        await store.memory.save_messages(said)
    for thread_id in HOSTILE:
        page = await store.memory.list_messages(thread_id)
        assert {m.id for m in page.messages} == {f"{name}|{thread_id}" for name in HOSTILE}
    await store.memory.delete_thread("a")
    assert await store.backend.count(MESSAGES) == len(HOSTILE) * (len(HOSTILE) - 1)


@pytest.mark.asyncio
async def test_two_stores_side_by_side_do_not_see_each_other(upstash: Address) -> None:
    """By their prefixes, also where one's begins like the other's."""
    stem = uuid7()
    stores = [
        UpstashStore(id="x", url=upstash.url, key_prefix=f"{stem}{end}", **upstash.options)
        for end in ("", "*", ":a", ":a:")
    ]
    for n, store in enumerate(stores):
        await store.memory.save_thread(Thread(id="t", resource_id="r", title=str(n)))
    for n, store in enumerate(stores):
        page = await store.memory.list_threads(resource_id="r")
        assert [t.title for t in page.threads] == [str(n)]
        assert (await store.adopt())["mastra_threads"] == 1
    await stores[0].memory.delete_thread("t")
    assert [await s.memory.get_thread_by_id("t") is None for s in stores] == [
        True,
        False,
        False,
        False,
    ]
    for store in stores:
        await store.close()


@pytest.mark.asyncio
async def test_an_entry_is_not_believed_by_what_a_row_says_elsewhere(redis: Address) -> None:
    """A row that the original moved, and we changed since, has an old entry that it does not show."""
    raw = importlib.import_module("redis.asyncio").Redis.from_url(redis.url, decode_responses=True)
    prefix = uuid7()
    async with UpstashStore(id="x", url=redis.url, key_prefix=prefix) as store:
        await store.memory.save_thread(Thread(id="t", resource_id="a"))
        key = f"{prefix}mastra_threads:id:t"
        row = msgspec.json.decode(await raw.get(key))
        await raw.set(key, msgspec.json.encode({**row, "resourceId": "b"}))
        metadata = {"resourceId": "a", "x": ',"resourceId":"a"', "y": {"resourceId": "a"}}
        await store.memory.update_thread("t", title=',"resourceId":"a",', metadata=metadata)
        assert (await store.memory.list_threads(resource_id="a", per_page=9)).threads == []
        page = await store.memory.list_threads(resource_id="b")
        assert [t.metadata for t in page.threads] == [metadata]
    await raw.aclose()


@pytest.mark.asyncio
async def test_values_that_json_escapes_are_found_in_their_place(store: UpstashStore) -> None:
    for name in ("a\\b", "a\b", 'a"b', "a/b", "a\u007fb", "a\u2028b"):
        for other in ("a\\b", "a\b", 'a"b'):
            await store.memory.save_thread(Thread(id=f"{name}|{other}", resource_id=name))
        page = await store.memory.list_threads(resource_id=name)
        assert len(page.threads) == 3
