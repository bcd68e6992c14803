"""Rows as documents: what BSON cannot hold is kept exactly, what the original wrote is understood."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import bson
import pytest
from bson.codec_options import CodecOptions, DatetimeConversion

from mastra_core.errors import CorruptDataError
from mastra_core.storage.tables import DATASET_ITEMS, EXPERIMENT_RESULTS, SPANS, THREADS
from mastra_mongodb.documents import EXACT, decoders, encoded, row

CODEC = CodecOptions(datetime_conversion=DatetimeConversion.DATETIME_MS)


def kept(table, name: str, text: str | None, *, without: tuple[str, ...] = ()) -> str | None:
    """What is read after it went through BSON."""
    fields, _ = encoded(table, {name: text})
    return read(table, name, {k: v for k, v in fields.items() if k not in without})


def read(table, name: str, document: dict) -> str | None:
    stored = bson.decode(bson.encode(document), CODEC)
    return row(stored, decoders(table, [table.by_name[name]]))[0]


def nested(levels: int) -> str:
    return '{"k":' * levels + "1" + "}" * levels


@pytest.mark.parametrize(
    "text",
    [
        '{"b":1,"a":2}',
        '{"a.b":1,"$set":{"x":"$y"},"$":[{"$gt":1}],"":0}',
        '{"n":[0,-1,1.5,-0.0,9223372036854775807,-9223372036854775808]}',
        '{"n":[9223372036854775808,-9223372036854775809,12345678901234567890123456789]}',
        '{"n":1' + "0" * 400 + "}",
        '{"n":[2147483648.0,9007199254740991.0,1e16,3.0]}',
        '{"$ref":1}',
        '{"z":1,"$ref":"c","$id":2,"a":[]}',
        '{"text":"3000000000.0, 12345678901234567890 and \\"$ref\\""}',
        "null",
        "[]",
        "0",
        "false",
        '""',
        '"null"',
        '"[1]"',
        '"1"',
        nested(80),
        nested(99),
        nested(150),
    ],
)
@pytest.mark.parametrize(
    ("table", "name"),
    [(THREADS, "metadata"), (DATASET_ITEMS, "input"), (EXPERIMENT_RESULTS, "output")],
)
def test_json_is_read_as_it_was_written(table, name, text):
    found = kept(table, name, text)
    assert found is not None
    assert repr(json.loads(found)) == repr(json.loads(text))


def test_what_bson_holds_is_stored_once():
    fields, absent = encoded(THREADS, {"metadata": '{"a":[1,2.5,"x",null,true]}'})
    assert fields == {"metadata": {"a": [1, 2.5, "x", None, True]}}
    assert absent == [EXACT + "metadata"]


def test_what_bson_does_not_hold_is_near_for_the_original_and_exact_for_us():
    text = '{"big":12345678901234567890}'
    fields, absent = encoded(THREADS, {"metadata": text})
    assert fields == {"metadata": {"big": 12345678901234567890.0}, EXACT + "metadata": text}
    assert absent == []


def test_deep_json_is_cut_for_the_server_which_takes_a_hundred_levels():
    fields, _ = encoded(THREADS, {"metadata": nested(150)})
    levels, value = 0, fields["metadata"]
    while isinstance(value, dict):
        levels, value = levels + 1, value["k"]
    assert levels < 98
    assert value == nested(150 - levels)


def test_an_exact_text_counts_only_beside_the_value_it_was_stored_with():
    """The original changes the value and leaves the text."""
    fields, _ = encoded(THREADS, {"metadata": '{"big":12345678901234567890}'})
    changed = {**fields, "metadata": {**fields["metadata"], "title": "new"}}
    assert read(THREADS, "metadata", changed) == '{"big":1.2345678901234567e19,"title":"new"}'
    gone = {**fields, "metadata": None}
    assert read(THREADS, "metadata", gone) is None
    assert read(THREADS, "metadata", {**fields, EXACT + "metadata": "{"}) is not None


def test_null_is_absent_except_where_the_original_tells_them_apart():
    assert read(SPANS, "error", {"error": None}) is None
    assert read(SPANS, "error", {}) is None
    assert read(EXPERIMENT_RESULTS, "groundTruth", {"groundTruth": None}) is None
    assert read(EXPERIMENT_RESULTS, "input", {"input": None}) == "null"
    assert read(DATASET_ITEMS, "groundTruth", {"groundTruth": None}) == "null"
    assert read(DATASET_ITEMS, "groundTruth", {}) is None


@pytest.mark.parametrize(("table", "name"), [(SPANS, "output"), (DATASET_ITEMS, "groundTruth")])
def test_absent_and_null_are_two_things_in_what_we_write(table, name):
    assert kept(table, name, None) is None
    assert kept(table, name, "null") == "null"


def test_numbers_of_javascript_beyond_32_bits_are_integers():
    metadata = {"at": 1714557600123.0, "small": 3.0, "half": 2147483648.5, "far": 1e17}
    text = read(THREADS, "metadata", {"metadata": metadata})
    assert text == '{"at":1714557600123,"small":3.0,"half":2147483648.5,"far":1e17}'


def test_types_that_json_lacks_are_read_as_javascript_shows_them():
    at = datetime(2024, 5, 1, 10, 0, 0, 120_000, tzinfo=UTC)
    value = {"at": at, "id": bson.ObjectId("0" * 24), "n": bson.Decimal128("1.10"), "i": 2**40}
    text = read(THREADS, "metadata", {"metadata": value})
    assert json.loads(text or "") == {
        "at": "2024-05-01T10:00:00.120Z",
        "id": "0" * 24,
        "n": "1.10",
        "i": 2**40,
    }


def test_metadata_that_old_versions_stored_as_text_is_read():
    assert read(THREADS, "metadata", {"metadata": '{"a": 1}'}) == '{"a": 1}'
    assert read(DATASET_ITEMS, "input", {"input": '{"a": 1}'}) == '"{\\"a\\": 1}"'


def test_foreign_scalars_are_read_as_what_their_column_is():
    assert read(THREADS, "title", {"title": ["a"]}) == '["a"]'
    at = datetime(2024, 5, 1, 10, 0, 0, 120_000, tzinfo=UTC)
    for stored in (at, "2024-05-01T10:00:00.120Z", 1714557600120.0):
        assert read(THREADS, "createdAt", {"createdAt": stored}) == at
    assert read(DATASET_ITEMS, "datasetVersion", {"datasetVersion": 2.0}) == 2
    assert type(read(DATASET_ITEMS, "datasetVersion", {"datasetVersion": bson.Int64(2)})) is int
    for name, value in (("createdAt", {}), ("createdAt", 10**18)):
        with pytest.raises(CorruptDataError, match="time"):
            read(THREADS, name, {name: value})
