"""Values in filters, against the database: nothing that a value holds is ever a part of the filter."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import lancedb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mastra_core.errors import InvalidArgumentError
from mastra_core.vector.filters import holds, parse
from mastra_lance.literals import listed, literal, name
from mastra_lance.vector_filters import COLUMN, entries, number, translated

TRICKY = "'\"`\\;-/*%_()\n\r\t\x01\x02\x03\x04\x05\x06\x07\x7f\u2028é😀$?:{}N"
TEXTS = st.one_of(
    st.text(st.sampled_from(TRICKY), max_size=12),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12),
    st.sampled_from(["'; DELETE --", "x' OR 1=1 --", "NULL", "\\'", "''", "%", "", "a'b''c"]),
)
KINDS: dict[str, Any] = {
    "text": pa.string(),
    "whole": pa.int64(),
    "real": pa.float64(),
    "truth": pa.bool_(),
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Runs a coroutine on one table of one loop."""
    path = tmp_path_factory.mktemp("literals")

    async def opened() -> Any:
        connection = await lancedb.connect_async(str(path))
        fields = [("id", pa.int64()), *KINDS.items(), (COLUMN, pa.string())]
        return await connection.create_table("values", schema=pa.schema(fields))

    with asyncio.Runner() as runner:
        table = runner.run(opened())
        yield lambda work, *given: runner.run(work(table, *given))


async def equal(table: Any, column: str, values: list[Any]) -> list[list[int]]:
    """For each value the numbers of the rows that a filter for it finds."""
    await table.delete("true")
    rows = [{"id": i, column: value} for i, value in enumerate(values)]
    schema = pa.schema([("id", pa.int64()), (column, KINDS[column])])
    await table.add(pa.Table.from_pylist(rows, schema=schema))
    found: list[list[int]] = []
    for value in values:
        where = f"{name(column)} = {literal(value)} AND {name(column)} IN {listed([value])}"
        hits = await table.query().where(where).select(["id"]).to_arrow()
        found.append(sorted(hits.column("id").to_pylist()))
    return found


@settings(max_examples=40, deadline=None)
@given(values=st.lists(TEXTS, min_size=1, max_size=8, unique=True))
def test_a_text_finds_its_row_and_no_other(run, values: list[str]) -> None:
    """Whatever characters it has."""
    assert run(equal, "text", values) == [[i] for i in range(len(values))]


@settings(max_examples=25, deadline=None)
@given(values=st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=6, unique=True))
def test_an_integer_of_64_bits_finds_its_row_and_no_other(run, values: list[int]) -> None:
    """The least one too, whose sign LanceDB takes for an operator."""
    values = list(dict.fromkeys([*values, -(2**63), 2**63 - 1, 2**53 + 1]))
    assert run(equal, "whole", values) == [[i] for i in range(len(values))]


@settings(max_examples=25, deadline=None)
@given(
    values=st.lists(
        st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=6, unique=True
    )
)
def test_a_double_finds_its_row_and_no_other(run, values: list[float]) -> None:
    """To the last bit."""
    assert run(equal, "real", values) == [[i] for i in range(len(values))]


async def written(table: Any, text: str) -> tuple[str, int]:
    """A text that was written by an update, and the number of rows."""
    await table.delete("true")
    schema = pa.schema([("id", pa.int64()), ("text", pa.string())])
    await table.add(pa.table({"id": [1, 2], "text": ["", ""]}, schema=schema))
    await table.update(updates_sql={"text": literal(text)}, where=f"{name('id')} = {literal(1)}")
    rows = (await table.query().select(["id", "text"]).to_arrow()).to_pylist()
    assert [row["text"] for row in rows if row["id"] == 2] == [""]
    return next(row["text"] for row in rows if row["id"] == 1), len(rows)


@settings(max_examples=40, deadline=None)
@given(text=TEXTS)
def test_an_update_writes_the_text_and_nothing_else(run, text: str) -> None:
    """Values that are set stand in statements as well."""
    assert run(written, text) == (text, 2)


SCALARS = st.one_of(
    TEXTS,
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.sampled_from([0, 1, -1, 1.0, 2**53, 2**53 + 1, 2.0**53, "1", True]),
)
KEYS = st.one_of(st.sampled_from(["a", "b", "a\x01b", "a\x04s", "\x02"]), TEXTS.filter(bool))
STORED = st.dictionaries(
    KEYS,
    st.one_of(
        SCALARS,
        st.none(),
        st.lists(SCALARS, max_size=3),
        st.dictionaries(KEYS, SCALARS, max_size=2),
    ),
    max_size=4,
)
OPERATORS = ["$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$contains", "$exists"]


@st.composite
def cases(draw: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Metadata of some rows, and a filter that asks for something that is in one of them."""
    rows = draw(st.lists(STORED, min_size=1, max_size=5))
    known = [(key, value) for row in rows for key, value in row.items() if "." not in key]
    key, value = draw(st.sampled_from(known)) if known else ("a", 1)
    if isinstance(value, dict):
        inner = [(k, v) for k, v in value.items() if "." not in k]
        key, value = (f"{key}.{inner[0][0]}", inner[0][1]) if inner else (key, 1)
    if isinstance(value, list):
        value = value[0] if value else 1
    operator = draw(st.sampled_from(OPERATORS))
    wanted = draw(SCALARS) if value is None or draw(st.booleans()) else value
    if operator in {"$in", "$nin"}:
        wanted = [wanted, *draw(st.lists(SCALARS, max_size=2))]
    elif operator == "$exists":
        wanted = draw(st.booleans())
    elif isinstance(wanted, bool) and operator[1] in "gl":
        wanted = 1
    elif operator == "$contains" and isinstance(wanted, str) and draw(st.booleans()):
        wanted = wanted[1:]
    return rows, {key: {operator: wanted}}


async def matching(table: Any, rows: list[dict[str, Any]], where: str) -> list[int]:
    """The numbers of the rows that the translated filter finds."""
    await table.delete("true")
    schema = pa.schema([("id", pa.int64()), (COLUMN, pa.string())])
    columns = {"id": list(range(len(rows))), COLUMN: [entries(row) for row in rows]}
    await table.add(pa.table(columns, schema=schema))
    found = await table.query().where(where).select(["id"]).to_arrow()
    return sorted(found.column("id").to_pylist())


@settings(max_examples=150, deadline=None)
@given(case=cases())
def test_a_filter_finds_what_it_means(run, case: tuple[list[dict[str, Any]], Any]) -> None:
    """``holds`` says what; keys and values have the characters that separate, too."""
    rows, asked = case
    if not all(key and not key.startswith("$") for key in asked):
        return
    if not all("..".join(asked).split(".")):
        asked = {"a": next(iter(asked.values()))}
    try:
        node = parse(asked)
    except InvalidArgumentError:
        return
    if node is not None:
        wanted = [i for i, row in enumerate(rows) if holds(node, row)]
        assert run(matching, rows, translated(node)) == wanted


@settings(max_examples=300)
@given(
    a=st.one_of(st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False)),
    b=st.one_of(st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False)),
)
def test_numbers_are_spelt_in_their_order(a: float, b: float) -> None:
    """Integers and doubles among each other, exactly."""
    assert (number(a) < number(b)) is (a < b)
    assert (number(a) == number(b)) is (a == b)


@pytest.mark.parametrize(
    "value", ["a\0b", "\ud800", 2**63, -(2**63) - 1, float("nan"), float("inf")]
)
def test_what_cannot_be_said_is_refused(value: Any) -> None:
    """Before anything is sent."""
    with pytest.raises(InvalidArgumentError):
        literal(value)


def test_a_name_cannot_end_itself() -> None:
    """Names of columns are the tables', but who knows."""
    with pytest.raises(InvalidArgumentError):
        name("a` = 1 OR `b")
    assert name("createdAt") == "`createdAt`"


def test_a_time_is_a_number_of_milliseconds() -> None:
    """As the original stores it."""
    assert literal(datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)) == "1767323045678.0"
