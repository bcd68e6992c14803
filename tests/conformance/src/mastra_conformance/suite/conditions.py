"""Conditions: what each operator of ``Where`` means, for values, absent values and JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mastra_conformance.lab import Lab, fresh
from mastra_conformance.rows import at, key, result, row, stored
from mastra_conformance.tiers import area, base
from mastra_core.storage.schema import Operator, Put, Query, Row, Where
from mastra_core.storage.tables import EXPERIMENT_RESULTS, MESSAGES

RESULTS = EXPERIMENT_RESULTS


class Shelf:
    """The rows of one fresh run, and which of them meet a condition."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.run = fresh("run")

    async def put(self, **rows: dict[str, Any]) -> None:
        """Store rows, each by its id."""
        made: list[Row] = [result(self.run, name, **values) for name, values in rows.items()]
        await self.lab.backend.write(Put(RESULTS, made))

    async def meet(self, column: str, op: Operator, value: Any, *path: str) -> str:
        """The ids of the rows that meet a condition, joined; counted as well as found."""
        if column == "id":
            value = tuple([key(self.run, name) for name in value])
        where = Where(column, op, value, path)
        found = await stored(self.lab.backend, self.run, where=(where,), columns=("id",))
        within = (Where("experimentId", "eq", self.run), where)
        assert await self.lab.backend.count(RESULTS, within) == len(found), (where, found)
        return "".join(str(name) for (name,) in found)


@area("waist")
@pytest.mark.asyncio(loop_scope="function")
class TestConditions:
    """Comparisons of columns."""

    @base
    async def test_equal_and_not_equal(self, lab: Lab) -> None:
        """``ne`` is true of absent values too; SQL's ``<>`` is not."""
        shelf = Shelf(lab)
        await shelf.put(a={"comment": "x"}, b={"comment": "y"}, c={"comment": None})
        assert await shelf.meet("comment", "eq", "x") == "a"
        assert await shelf.meet("comment", "ne", "x") == "bc"

    async def test_none_is_the_absent_value(self, lab: Lab) -> None:
        """``eq`` to ``None`` is absent and ``ne`` is present; empty text is present."""
        shelf = Shelf(lab)
        await shelf.put(a={"comment": ""}, b={"comment": None}, c={"comment": "None"})
        assert await shelf.meet("comment", "eq", None) == "b"
        assert await shelf.meet("comment", "ne", None) == "ac"
        assert await shelf.meet("comment", "eq", "") == "a"

    async def test_ranges_leave_absent_values_out(self, lab: Lab) -> None:
        """Absent is neither smaller nor greater than anything."""
        shelf = Shelf(lab)
        await shelf.put(a={"attempt": 1}, b={"attempt": 2}, c={"attempt": None}, d={"attempt": 10})
        assert await shelf.meet("attempt", "lt", 2) == "a"
        assert await shelf.meet("attempt", "lte", 2) == "ab"
        assert await shelf.meet("attempt", "gt", 2) == "d"
        assert await shelf.meet("attempt", "gte", 2) == "bd"
        assert await shelf.meet("attempt", "ne", 2) == "acd"

    async def test_times_compare_to_the_millisecond(self, lab: Lab) -> None:
        """Including times before 1970 and the last one of a day."""
        shelf = Shelf(lab)
        times = {"a": at(-(10**13)), "b": at(-1), "c": at(0), "d": at(1)}
        await shelf.put(**{n: {"createdAt": t} for n, t in times.items()})
        assert await shelf.meet("createdAt", "lt", at(0)) == "ab"
        assert await shelf.meet("createdAt", "gte", at(0)) == "cd"
        assert await shelf.meet("createdAt", "eq", at(-1)) == "b"
        assert await shelf.meet("createdAt", "in", (at(1), at(-(10**13)))) == "ad"

    async def test_a_list_of_values(self, lab: Lab) -> None:
        """An empty list matches nothing, a long one is no problem, an absent value is in none."""
        shelf = Shelf(lab)
        await shelf.put(a={"attempt": 1}, b={"attempt": None}, c={"comment": "5"})
        assert await shelf.meet("id", "in", ()) == ""
        assert await shelf.meet("id", "in", ("c", "a", "a", "zz")) == "ac"
        assert await shelf.meet("attempt", "in", (1, 2)) == "a"
        assert await shelf.meet("comment", "in", ("5", "6")) == "c"
        assert await shelf.meet("id", "in", ("b", *(fresh() for _ in range(5000)))) == "b"

    async def test_text_compares_exactly(self, lab: Lab) -> None:
        """No folding of case, accents, width, trailing blanks or Unicode forms."""
        shelf = Shelf(lab)
        texts = ["abc", "ABC", "abc ", " abc", "ábc", "a\u0301bc", "ａｂｃ", "abc\n", "ß", "ss"]
        await shelf.put(**{chr(97 + i): {"comment": text} for i, text in enumerate(texts)})
        for i, text in enumerate(texts):
            assert await shelf.meet("comment", "eq", text) == chr(97 + i), text
            assert await shelf.meet("comment", "in", (text,)) == chr(97 + i), text

    async def test_signs_of_patterns_mean_themselves(self, lab: Lab) -> None:
        """``icontains`` ignores case and takes ``%``, ``_``, ``*``, ``[`` and quotes as they are."""
        shelf = Shelf(lab)
        texts = ["100%", "100", "A_B", "aXb", "it's", 'q"q', "[x]", "x", "a\\b", "Ünï", None]
        await shelf.put(**{chr(97 + i): {"comment": text} for i, text in enumerate(texts)})
        wanted = {"0%": "a", "a_b": "c", "T'S": "e", '"': "f", "[": "g", "\\": "i", "üNÏ": "j"}
        for needle, names in wanted.items():
            assert await shelf.meet("comment", "icontains", needle) == names, needle
        assert await shelf.meet("comment", "icontains", "") == "abcdefghij"

    async def test_conditions_are_joined_by_and(self, lab: Lab) -> None:
        """Also two on one column, and an index column beside a residual one."""
        shelf = Shelf(lab)
        await shelf.put(**{n: {"attempt": i, "comment": "x"} for i, n in enumerate("abcdef")})
        where = (
            Where("attempt", "gt", 0),
            Where("attempt", "lte", 4),
            Where("id", "ne", key(shelf.run, "c")),
            Where("comment", "icontains", "X"),
        )
        found = await stored(lab.backend, shelf.run, where=where, columns=("id",))
        assert found == [("b",), ("d",), ("e",)]

    async def test_members_of_json_lists(self, lab: Lab) -> None:
        """``has_all`` and ``has_any`` look into lists of strings, and match nothing else."""
        shelf = Shelf(lab)
        lists = ['["x","y"]', '["x"]', "[]", None, '"x"', '{"x":1}', "null", '["xy","X"]']
        await shelf.put(**{chr(97 + i): {"tags": text} for i, text in enumerate(lists)})
        assert await shelf.meet("tags", "has_all", ("x", "y")) == "a"
        assert await shelf.meet("tags", "has_all", ("x",)) == "ab"
        assert await shelf.meet("tags", "has_any", ("y", "X")) == "ah"
        assert await shelf.meet("tags", "has_any", ("z",)) == ""


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
