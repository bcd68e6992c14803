"""Keys: text that sorts as values do, and is different where they are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mastra_core.errors import InvalidArgumentError
from mastra_core.storage.matching import sort_key
from mastra_core.storage.schema import Column
from mastra_dynamodb.keys import SORT_BYTES, bounded, joined, part
from mastra_dynamodb.sources import Bound, Source, Span

TEXT = Column("t", "text")
NUMBER = Column("n", "integer")
TIME = Column("at", "timestamp", nullable=False)
FLAG = Column("flag", "boolean")
REAL = Column("real", "float")
NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)

characters = st.characters(exclude_categories=("Cs",), exclude_characters="\0")
texts = st.one_of(
    st.none(),
    st.text(characters, max_size=6),
    st.sampled_from(["", " ", "!", "~", "=", "a!", "a ", "a~"]),
)
numbers = st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1))
times = st.integers(-(10**13), 10**13).map(lambda n: NOON + timedelta(milliseconds=n))
pairs = st.tuples(texts, numbers, times)


def order(values):
    return [sort_key(value) for value in values]


@given(pairs, pairs)
def test_keys_of_several_columns_sort_as_the_values_one_after_the_other(a, b) -> None:
    columns = (TEXT, NUMBER, TIME)
    first, second = joined(columns, a), joined(columns, b)
    assert (first.encode() < second.encode()) is (order(a) < order(b))
    assert (first == second) is (a == b)


@given(st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_keys_of_floats_sort_as_the_floats(a: float, b: float) -> None:
    assert (part(REAL, a) < part(REAL, b)) is (a < b)


def test_false_comes_before_true_and_absent_last() -> None:
    assert part(FLAG, False) < part(FLAG, True) < part(FLAG, None)


def test_a_column_that_must_have_a_value_has_one() -> None:
    with pytest.raises(InvalidArgumentError, match="at must have a value"):
        part(TIME, None)


def test_keys_are_readable() -> None:
    assert joined((TIME, TEXT), (NOON, "msg-1")) == "2024-03-01T12:00:00.000Z =msg-1 "


SOURCE = Source(name="s", columns=(TEXT, NUMBER, TIME), hashed=1, kind="pointers")
rows = st.tuples(st.just("p"), st.one_of(st.none(), st.integers(-3, 3)), st.sampled_from([NOON]))


def within(span: Span, row) -> bool:
    key = SOURCE.sort(row[1:])
    return (span.low is None or span.low <= key) and (span.high is None or key <= span.high)


@given(rows, st.integers(-3, 3), st.integers(-3, 3), st.booleans(), st.booleans())
def test_ranges_of_keys_are_ranges_of_values(row, low, high, with_low, with_high) -> None:
    span = SOURCE.span(("p",), Bound(low, with_low), Bound(high, with_high))
    n = row[1]
    wanted = n is not None and (n >= low if with_low else n > low)
    wanted = wanted and (n <= high if with_high else n < high)
    assert within(span, row) is wanted
    above = SOURCE.span(("p",), Bound(low, with_low))
    assert within(above, row) is (n is not None and (n >= low if with_low else n > low))


@given(rows, rows, st.booleans())
def test_continuing_behind_a_row_leaves_it_out_and_nothing_else(row, last, down) -> None:
    span = SOURCE.span(("p",), behind=(last[1:], down))
    a, b = order(row[1:]), order(last[1:])
    assert within(span, row) is (a < b if down else a > b)


def test_a_prefix_of_a_value_is_another_value() -> None:
    text = Source(name="s", columns=(TEXT, TEXT), hashed=1, kind="pointers")
    span = text.span(("p", "ab"))
    assert span.low is not None
    assert span.high is not None
    for other in ("a", "abc", "ab ", "ab!", "ab\x01", "aB"):
        key = text.sort((other,))
        assert not span.low <= key <= span.high, other
    assert span.low <= text.sort(("ab",)) <= span.high


def test_keys_that_are_too_long_stay_apart_and_within_the_limit() -> None:
    long = "😀" * 255
    keys = {bounded(joined((TIME, TEXT), (NOON, long + tail))) for tail in ("", "a", "b")}
    assert len(keys) == 3
    assert all(len(key.encode()) <= SORT_BYTES for key in keys)
    assert all(key.startswith("2024-03-01T12:00:00.000Z =😀") for key in keys)
    assert bounded("short ") == "short "
