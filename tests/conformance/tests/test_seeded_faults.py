"""Adapters with one fault each: the suite catches every one of them."""

from __future__ import annotations

import pytest

from .suite_run import run_suite

WAIST = """
from mastra_conformance.suite import (
    TestChanges, TestConditions, TestOrder, TestPages, TestPaths, TestPuts, TestRows,
)
"""
MEMORY = """
from mastra_conformance.suite import (
    TestIncluded, TestMessageLists, TestMessages, TestResourceScopes, TestThreadLists, TestThreads,
)
"""
UPDATES = "from mastra_conformance.suite import TestCapabilities, TestLostUpdates\n"
REPLACE = "msgspec.structs.replace"

FAULTS = {
    "a lost update: what an update expects is ignored": (
        UPDATES,
        f"""
        async def _write(self, changes):
            return await super()._write([
                c if isinstance(c, Put) else {REPLACE}(c, expect=None) for c in changes
            ])
        """,
    ),
    "rows are taken over by another thread: match is ignored": (
        MEMORY,
        f"""
        async def _write(self, changes):
            def merge(c):
                return {{k: v for k, v in c.merge.items() if v != "match"}}
            return await super()._write([
                {REPLACE}(c, merge=merge(c)) if isinstance(c, Put) else c for c in changes
            ])
        """,
    ),
    "a replaced row loses what it should keep": (
        WAIST,
        f"""
        async def _write(self, changes):
            def merge(c):
                return {{k: v for k, v in c.merge.items() if v != "keep"}}
            return await super()._write([
                {REPLACE}(c, merge=merge(c)) if isinstance(c, Put) else c for c in changes
            ])
        """,
    ),
    "a replaced row forgets what was not given again": (
        WAIST,
        f"""
        async def _write(self, changes):
            def merge(c):
                return {{k: v for k, v in c.merge.items() if v != "coalesce"}}
            return await super()._write([
                {REPLACE}(c, merge=merge(c)) if isinstance(c, Put) else c for c in changes
            ])
        """,
    ),
    "a row that is there already is overwritten instead of skipped": (
        WAIST,
        f"""
        async def _write(self, changes):
            return await super()._write([
                {REPLACE}(c, on_conflict="replace")
                if isinstance(c, Put) and c.on_conflict == "skip" else c
                for c in changes
            ])
        """,
    ),
    "time stands still: an advance sets the given time": (
        WAIST,
        f"""
        async def _write(self, changes):
            def plain(c):
                return {{k: v.at if isinstance(v, Advance) else v for k, v in c.values.items()}}
            return await super()._write([
                {REPLACE}(c, values=plain(c)) if isinstance(c, Update) else c for c in changes
            ])
        """,
    ),
    "half a batch: changes before the one that fails stay": (
        WAIST,
        """
        async def _write(self, changes):
            return [n for c in changes for n in await super(Adapter, self)._write([c])]
        """,
    ),
    "the rows of another resource are read too": (
        MEMORY,
        f"""
        async def _find(self, table, query):
            where = tuple(w for w in query.where if w.column != "resourceId")
            return await super()._find(table, {REPLACE}(query, where=where))
        """,
    ),
    "pages are off by one": (
        WAIST,
        f"""
        async def _find(self, table, query):
            offset = query.offset + 1 if query.offset else 0
            return await super()._find(table, {REPLACE}(query, offset=offset))
        """,
    ),
    "a page begins with the last row of the one before": (
        WAIST,
        f"""
        async def _find(self, table, query):
            if query.after is None or query.limit is None:
                return await super()._find(table, query)
            rows = await super()._find(table, {REPLACE}(query, after=None, limit=None, columns=()))
            names = [name for name, _ in query.order]
            values = [tuple(row[table.positions[n]] for n in names) for row in rows]
            start = values.index(query.after) if query.after in values else 0
            wanted = [table.positions[n] for n in query.columns or table.names]
            found = rows[start : start + query.limit]
            return [tuple(row[i] for i in wanted) for row in found]
        """,
    ),
    "ties are in another order": (
        WAIST,
        f"""
        async def _find(self, table, query):
            if len(query.order) < 2:
                return await super()._find(table, query)
            turned = {{"asc": "desc", "desc": "asc"}}
            name, way = query.order[-1]
            order = (*query.order[:-1], (name, turned[way]))
            return await super()._find(table, {REPLACE}(query, order=order))
        """,
    ),
    "absent values come first": (
        WAIST,
        """
        async def _find(self, table, query):
            rows = await super()._find(table, query)
            name, way = query.order[0] if query.order else ("", "")
            names = query.columns or table.names
            if name in names and way == "asc":
                rows.sort(key=lambda row: row[names.index(name)] is not None)
            return rows
        """,
    ),
    "JSON is compared without regard to its types": (
        WAIST,
        f"""
        async def _find(self, table, query):
            paths = [w for w in query.where if w.path and w.op == "eq"]
            if not paths or query.columns:
                return await super()._find(table, query)
            where = tuple(w for w in query.where if w not in paths)
            rows = await super()._find(table, {REPLACE}(query, where=where, limit=None))
            def at(w, row):
                text = row[table.positions[w.column]]
                value = None if text is None else msgspec.json.decode(text)
                for key in w.path:
                    value = value.get(key) if isinstance(value, dict) else None
                return value
            found = [row for row in rows if all(str(at(w, row)) == str(w.value) for w in paths)]
            return found[: query.limit]
        """,
    ),
    "only the first of a list is looked for": (
        WAIST,
        f"""
        async def _find(self, table, query):
            where = tuple(
                {REPLACE}(w, value=w.value[:1]) if w.op == "in" else w for w in query.where
            )
            return await super()._find(table, {REPLACE}(query, where=where))
        """,
    ),
    "the number of rows is wrong": (
        WAIST,
        """
        async def _count(self, table, where):
            return await super()._count(table, where) + 1
        """,
    ),
    "parts of messages that are not known are dropped": (
        MEMORY,
        f"""
        async def _write(self, changes):
            def row(values):
                content = msgspec.json.decode(values[2])
                content["parts"] = [p for p in content["parts"] if p.get("type") == "text"]
                text = msgspec.json.encode(content).decode()
                return (*values[:2], text, *values[3:])
            return await super()._write([
                {REPLACE}(c, rows=[row(values) for values in c.rows])
                if isinstance(c, Put) and c.table.name == "mastra_messages" else c
                for c in changes
            ])
        """,
    ),
}


def adapter(body: str) -> str:
    """A subclass with these methods."""
    return "class Adapter(Adapter):\n" + body.replace("\n        ", "\n    ")


@pytest.mark.parametrize("module", [WAIST, MEMORY])
def test_without_a_fault_nothing_is_reported(tmp_path, module):
    run = run_suite(tmp_path, module)
    assert run.of("failed") == []
    assert run.code == 0


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_caught(tmp_path, fault):
    module, body = FAULTS[fault]
    run = run_suite(tmp_path, module, "-x", adapter=adapter(body))
    assert run.code == 1, run.text
    assert run.of("failed"), run.text
