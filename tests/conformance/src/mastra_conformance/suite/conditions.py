"""Conditions: what each operator of ``Where`` means, for values, absent values and JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mastra_conformance.lab import Lab, fresh
from mastra_conformance.rows import at, item, key, row, stored
from mastra_conformance.tiers import area, base
from mastra_core.storage.schema import Operator, Put, Query, Row, Where
from mastra_core.storage.tables import DATASET_ITEMS, MESSAGES

ITEMS = DATASET_ITEMS


class Shelf:
    """The rows of one fresh dataset, and which of them meet a condition."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.dataset = fresh("dataset")

    async def put(self, **rows: dict[str, Any]) -> None:
        """Store rows, each by its id."""
        made: list[Row] = [item(self.dataset, name, **values) for name, values in rows.items()]
        await self.lab.backend.write(Put(ITEMS, made))

    async def meet(self, column: str, op: Operator, value: Any, *path: str) -> str:
        """The ids of the rows that meet a condition, joined; counted as well as found."""
        if column == "id":
            value = tuple([key(self.dataset, name) for name in value])
        where = Where(column, op, value, path)
        found = await stored(self.lab.backend, self.dataset, where=(where,), columns=("id",))
        within = (Where("datasetId", "eq", self.dataset), where)
        assert await self.lab.backend.count(ITEMS, within) == len(found), (where, found)
        return "".join(str(name) for (name,) in found)


@area("waist")
@pytest.mark.asyncio(loop_scope="function")
class TestConditions:
    """Comparisons of columns."""

    @base
    async def test_equal_and_not_equal(self, lab: Lab) -> None:
        """``ne`` is true of absent values too; SQL's ``<>`` is not."""
        shelf = Shelf(lab)
        await shelf.put(a={"externalId": "x"}, b={"externalId": "y"}, c={"externalId": None})
        assert await shelf.meet("externalId", "eq", "x") == "a"
        assert await shelf.meet("externalId", "ne", "x") == "bc"

    async def test_none_is_the_absent_value(self, lab: Lab) -> None:
        """``eq`` to ``None`` is absent and ``ne`` is present; empty text is present."""
        shelf = Shelf(lab)
        await shelf.put(a={"externalId": ""}, b={"externalId": None}, c={"externalId": "None"})
        assert await shelf.meet("externalId", "eq", None) == "b"
        assert await shelf.meet("externalId", "ne", None) == "ac"
        assert await shelf.meet("externalId", "eq", "") == "a"

    async def test_ranges_leave_absent_values_out(self, lab: Lab) -> None:
        """Absent is neither smaller nor greater than anything."""
        shelf = Shelf(lab)
        await shelf.put(a={"validTo": 1}, b={"validTo": 2}, c={"validTo": None}, d={"validTo": 10})
        assert await shelf.meet("validTo", "lt", 2) == "a"
        assert await shelf.meet("validTo", "lte", 2) == "ab"
        assert await shelf.meet("validTo", "gt", 2) == "d"
        assert await shelf.meet("validTo", "gte", 2) == "bd"
        assert await shelf.meet("validTo", "ne", 2) == "acd"

    async def test_times_compare_to_the_millisecond(self, lab: Lab) -> None:
        """Including times before 1970 and the last one of a day."""
        shelf = Shelf(lab)
        times = {"a": at(-(10**13)), "b": at(-1), "c": at(0), "d": at(1)}
        await shelf.put(**{n: {"createdAt": t} for n, t in times.items()})
        assert await shelf.meet("createdAt", "lt", at(0)) == "ab"
        assert await shelf.meet("createdAt", "gte", at(0)) == "cd"
        assert await shelf.meet("createdAt", "eq", at(-1)) == "b"
        assert await shelf.meet("createdAt", "in", (at(1), at(-(10**13)))) == "ad"

    async def test_booleans(self, lab: Lab) -> None:
        """However a database stores them."""
        shelf = Shelf(lab)
        await shelf.put(a={"isDeleted": True}, b={"isDeleted": False})
        assert await shelf.meet("isDeleted", "eq", True) == "a"
        assert await shelf.meet("isDeleted", "ne", True) == "b"
        assert await shelf.meet("isDeleted", "in", (False,)) == "b"

    async def test_a_list_of_values(self, lab: Lab) -> None:
        """An empty list matches nothing, a long one is no problem, an absent value is in none."""
        shelf = Shelf(lab)
        await shelf.put(a={"validTo": 1}, b={"validTo": None}, c={"externalId": "5"})
        assert await shelf.meet("id", "in", ()) == ""
        assert await shelf.meet("id", "in", ("c", "a", "a", "zz")) == "ac"
        assert await shelf.meet("validTo", "in", (1, 2)) == "a"
        assert await shelf.meet("externalId", "in", ("5", "6")) == "c"
        assert await shelf.meet("id", "in", tuple(["b", *(fresh() for _ in range(5000))])) == "b"

    async def test_text_compares_exactly(self, lab: Lab) -> None:
        """No folding of case, accents, width, trailing blanks or Unicode forms."""
        shelf = Shelf(lab)
        texts = ["abc", "ABC", "abc ", " abc", "ábc", "a\u0301bc", "ａｂｃ", "abc\n", "ß", "ss"]
        await shelf.put(**{chr(97 + i): {"externalId": text} for i, text in enumerate(texts)})
        for i, text in enumerate(texts):
            assert await shelf.meet("externalId", "eq", text) == chr(97 + i), text
            assert await shelf.meet("externalId", "in", (text,)) == chr(97 + i), text

    async def test_signs_of_patterns_mean_themselves(self, lab: Lab) -> None:
        """``icontains`` ignores case and takes ``%``, ``_``, ``*``, ``[`` and quotes as they are."""
        shelf = Shelf(lab)
        texts = ["100%", "100", "A_B", "aXb", "it's", 'q"q', "[x]", "x", "a\\b", "Ünï", None]
        await shelf.put(**{chr(97 + i): {"externalId": text} for i, text in enumerate(texts)})
        wanted = {"0%": "a", "a_b": "c", "T'S": "e", '"': "f", "[": "g", "\\": "i", "üNÏ": "j"}
        for needle, names in wanted.items():
            assert await shelf.meet("externalId", "icontains", needle) == names, needle
        assert await shelf.meet("externalId", "icontains", "") == "abcdefghij"

    async def test_conditions_are_joined_by_and(self, lab: Lab) -> None:
        """Also two on one column, and an index column beside a residual one."""
        shelf = Shelf(lab)
        await shelf.put(**{n: {"validTo": i, "externalId": "x"} for i, n in enumerate("abcdef")})
        where = (
            Where("validTo", "gt", 0),
            Where("validTo", "lte", 4),
            Where("id", "ne", key(shelf.dataset, "c")),
            Where("externalId", "icontains", "X"),
        )
        found = await stored(lab.backend, shelf.dataset, where=where, columns=("id",))
        assert found == [("b",), ("d",), ("e",)]

    async def test_members_of_json_lists(self, lab: Lab) -> None:
        """``has_all`` and ``has_any`` look into lists of strings, and match nothing else."""
        shelf = Shelf(lab)
        lists = ['["x","y"]', '["x"]', "[]", None, '"x"', '{"x":1}', "null", '["xy","X"]']
        await shelf.put(**{chr(97 + i): {"scorerIds": text} for i, text in enumerate(lists)})
        assert await shelf.meet("scorerIds", "has_all", ("x", "y")) == "a"
        assert await shelf.meet("scorerIds", "has_all", ("x",)) == "ab"
        assert await shelf.meet("scorerIds", "has_any", ("y", "X")) == "ah"
        assert await shelf.meet("scorerIds", "has_any", ("z",)) == ""


@area("waist")
@pytest.mark.asyncio(loop_scope="function")
class TestPaths:
    """Comparisons of values inside JSON, strict about their type."""

    async def test_types_are_not_mixed_up(self, lab: Lab) -> None:
        """``1``, ``"1"`` and ``true`` differ; ``1`` and ``1.0`` do not. Casts get this wrong."""
        shelf = Shelf(lab)
        values = ["1", '"1"', "true", "1.0", "null", '"true"', "0", "false", '""', "[1]", '{"k":1}']
        await shelf.put(**{chr(97 + i): {"metadata": f'{{"k":{v}}}'} for i, v in enumerate(values)})
        for names in ({1: "ad", 0: "g"}, {True: "c", False: "h"}, {"1": "b", "true": "f", "": "i"}):
            for value, wanted in names.items():
                assert await shelf.meet("metadata", "eq", value, "k") == wanted, repr(value)
        assert await shelf.meet("metadata", "eq", 1.0, "k") == "ad"
        assert await shelf.meet("metadata", "eq", None, "k") == "e"

    async def test_an_absent_key_equals_nothing(self, lab: Lab) -> None:
        """Not even ``None``: that is JSON's ``null``. Nor does it differ from anything."""
        shelf = Shelf(lab)
        await shelf.put(
            a={"metadata": "{}"},
            b={"metadata": None},
            c={"metadata": '{"k":null}'},
            d={"metadata": '{"k":1}'},
            e={"metadata": '["k"]'},
            f={"metadata": '"k"'},
            g={"metadata": "null"},
        )
        assert await shelf.meet("metadata", "eq", None, "k") == "c"
        assert await shelf.meet("metadata", "ne", 1, "k") == "c"
        assert await shelf.meet("metadata", "ne", None, "k") == "d"

    async def test_paths_go_deeper_and_take_keys_literally(self, lab: Lab) -> None:
        """A dot, a dollar, a bracket or a star in a key is part of its name."""
        shelf = Shelf(lab)
        await shelf.put(
            a={"metadata": '{"a":{"b":1}}'},
            b={"metadata": '{"a.b":1}'},
            c={"metadata": '{"$":1,"$.a":1}'},
            d={"metadata": '{"a[0]":1,"a":[1]}'},
            e={"metadata": '{"*":1,"0":1,"ключ":1}'},
        )
        wanted = {
            ("a", "b"): "a",
            ("a.b",): "b",
            ("$",): "c",
            ("$.a",): "c",
            ("a[0]",): "d",
            ("*",): "e",
            ("0",): "e",
            ("ключ",): "e",
            ("a", "0"): "",
        }
        for path, names in wanted.items():
            assert await shelf.meet("metadata", "eq", 1, *path) == names, path

    async def test_ranges_compare_values_of_one_type(self, lab: Lab) -> None:
        """Numbers with numbers, text with text."""
        shelf = Shelf(lab)
        values = ["1", "2.5", '"2"', "null", "true", "10", '"b"']
        await shelf.put(**{chr(97 + i): {"metadata": f'{{"k":{v}}}'} for i, v in enumerate(values)})
        assert await shelf.meet("metadata", "gt", 1, "k") == "bf"
        assert await shelf.meet("metadata", "lte", 2.5, "k") == "ab"
        assert await shelf.meet("metadata", "gte", "2", "k") == "cg"
        assert await shelf.meet("metadata", "lt", "b", "k") == "c"

    async def test_strings_inside_json_compare_exactly(self, lab: Lab) -> None:
        """Quotes, backslashes, emoji and what looks like a pattern or a statement."""
        shelf = Shelf(lab)
        texts = ["it's", 'q"q', "a\\b", "😀", "%", "'; --", "a\tb", "$x", "ü", "u\u0308"]
        for i, text in enumerate(texts):
            await shelf.put(**{chr(97 + i): {"metadata": json.dumps({"k": text})}})
        for i, text in enumerate(texts):
            assert await shelf.meet("metadata", "eq", text, "k") == chr(97 + i), text

    async def test_json_in_a_text_column_and_text_that_is_none(self, lab: Lab) -> None:
        """A message's content is text; what is no JSON has no keys, and is no error."""
        thread = fresh("thread")
        contents = ['{"metadata":{"k":"v"}}', "plain text", "", '{"metadata":"k"}', '{"metadata":{']
        await lab.backend.write(
            Put(
                MESSAGES,
                [
                    row(MESSAGES, id=fresh(), thread_id=thread, content=text, createdAt=at(i))
                    for i, text in enumerate(contents)
                ],
            )
        )
        where = (Where("thread_id", "eq", thread), Where("content", "eq", "v", ("metadata", "k")))
        query = Query(where=where, columns=("content",))
        assert await lab.backend.find(MESSAGES, query) == [(contents[0],)]
        assert await lab.backend.count(MESSAGES, where) == 1
