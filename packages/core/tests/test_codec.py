"""The codec: JSON fidelity, what is cleaned, what is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import msgspec
import pytest

from mastra_core.clock import instant, iso, milliseconds, uuid7
from mastra_core.errors import CorruptDataError, InvalidArgumentError
from mastra_core.records import DatasetItem, Message, Span, Thread
from mastra_core.storage.codec import Codec, check_id, clean_text, from_json, to_json
from mastra_core.storage.tables import DATASET_ITEMS, SPANS, THREADS

THREAD = Codec(THREADS, Thread)
ITEM = Codec(DATASET_ITEMS, DatasetItem)
SPAN = Codec(SPANS, Span)


@pytest.mark.parametrize(
    "value",
    [None, False, 0, "", "null", "42", "[]", '{"x":1}', 2**53 + 1, -(2**63), 2**70, 1.5, -0.0, []],
)
def test_every_json_value_comes_back_as_it_was(value):
    assert from_json(to_json(value)) == value
    item = DatasetItem(dataset_id="d", dataset_version=1, input=value, ground_truth=value)
    back = ITEM.records([ITEM.row(item)])[0]
    assert (back.input, back.ground_truth) == (value, value)
    assert type(back.input) is type(value)


def test_absent_and_null_are_different_in_a_free_json_column():
    absent = DatasetItem(dataset_id="d", dataset_version=1, input=1)
    null = DatasetItem(dataset_id="d", dataset_version=1, input=1, ground_truth=None)
    at = DATASET_ITEMS.positions["groundTruth"]
    assert ITEM.row(absent)[at] is None
    assert ITEM.row(null)[at] == "null"
    assert ITEM.records([ITEM.row(absent)])[0].ground_truth is msgspec.UNSET
    assert ITEM.records([ITEM.row(null)])[0].ground_truth is None


def test_nul_is_dropped_and_half_pairs_become_replacement_characters():
    assert clean_text("a\0b\ud800c") == "ab\ufffdc"
    assert clean_text("\ud83d\ude00") == "\U0001f600"
    assert json.loads(to_json({"k\0": ["v\0", "\udfff"]})) == {"k": ["v", "\ufffd"]}
    assert json.loads(to_json("a literal \\u0000 stays")) == "a literal \\u0000 stays"


def test_json_that_others_wrote_with_a_lone_surrogate_is_still_read():
    assert from_json('{"a": "\\ud800"}') == {"a": "\ufffd"}


def test_nul_that_others_stored_is_left_out_when_it_is_read():
    assert from_json('{"a\\u0000": ["b\\u0000c", 1]}') == {"a": ["bc", 1]}
    assert from_json(b'"b\\u0000c"') == "bc"
    # An escaped backslash before it: six characters of text.
    assert from_json('"\\\\u0000"') == "\\u0000"


def test_times_ids_and_structs_become_the_text_that_javascript_would_write():
    at = datetime(2026, 1, 2, 3, 4, 5, 678000, UTC)
    assert json.loads(to_json(UUID(int=7))) == "00000000-0000-0000-0000-000000000007"
    assert json.loads(to_json({"at": at}))["at"].startswith("2026-01-02T03:04:05.678")
    assert iso(at) == "2026-01-02T03:04:05.678Z"


@pytest.mark.parametrize("value", [object(), {"f": print}, [1, {2}.__iter__()]])
def test_what_is_no_json_is_refused_by_name(value):
    with pytest.raises(InvalidArgumentError, match="metadata cannot be stored as JSON"):
        THREAD.row(Thread(resource_id="r", metadata={"x": value}))


def test_a_circle_is_refused():
    circle: dict[str, object] = {}
    circle["self"] = circle
    with pytest.raises(InvalidArgumentError, match="metadata cannot be stored as JSON"):
        THREAD.row(Thread(resource_id="r", metadata=circle))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("", "must be a non-empty string, not an empty one"),
        (None, "must be a non-empty string, not NoneType"),
        (7, "must be a non-empty string, not int"),
        ("x" * 1_000_000, "has 1,000,000 characters; every database takes at most 255"),
        ("a\0b", "contains a NUL"),
        ("\ud800", "half of a surrogate pair"),
    ],
)
def test_ids_that_no_database_could_keep_are_refused(value, message):
    with pytest.raises(InvalidArgumentError, match=message):
        check_id(value, "thread_id")


def test_naive_times_are_refused_and_others_are_kept_in_utc_milliseconds():
    with pytest.raises(InvalidArgumentError, match="has no time zone"):
        THREAD.row(Thread(resource_id="r", created_at=datetime(2026, 1, 1)))  # noqa: DTZ001
    east = datetime(2026, 1, 1, 2, 0, 0, 123456, timezone(timedelta(hours=2)))
    assert milliseconds(east) == datetime(2026, 1, 1, 0, 0, 0, 123000, UTC)


def test_stored_json_of_the_wrong_shape_is_reported_as_corrupt():
    row = list(
        SPAN.row(Span(trace_id="t", span_id="s", name="n", span_type="x", started_at=instant()))
    )
    row[SPANS.positions["tags"]] = '{"not": "a list"}'
    with pytest.raises(CorruptDataError, match="not of the expected shape"):
        SPAN.records([tuple(row)])
    row[SPANS.positions["tags"]] = "[broken"
    with pytest.raises(CorruptDataError, match="not JSON"):
        SPAN.records([tuple(row)])


def test_records_encode_to_the_originals_json():
    thread = Thread(id="t", resource_id="r", title="x", metadata={"a": 1})
    encoded = json.loads(msgspec.json.encode(thread))
    assert set(encoded) == {"id", "resourceId", "title", "metadata", "createdAt", "updatedAt"}


def test_ids_and_instants_strictly_increase():
    ids = [uuid7() for _ in range(5000)]
    assert ids == sorted(set(ids))
    assert all(UUID(i).version == 7 for i in ids[:10])
    times = [instant() for _ in range(50)]
    assert times == sorted(set(times))


def test_the_text_of_a_message_is_its_text_parts():
    parts = [{"type": "text", "text": "a"}, {"type": "step-start"}, {"type": "text", "text": "b"}]
    message = Message(thread_id="t", resource_id="r", role="user", content={"parts": parts})
    assert message.text == "a\nb"
