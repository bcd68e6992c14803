"""One query as it is read: its windows, what came of them so far, and the rows in order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from mastra_core.storage.matching import after, sort_key
from mastra_core.storage.schema import Query, Row
from mastra_upstash.layout import Layout
from mastra_upstash.plans import continue_behind, path, spelled, windows

# What one request does at most: bytes of rows that it answers, and rows that it looks at.
ANSWER_BYTES: Final = 1_000_000
LOOKS: Final = 5000


class Window:
    """A part of a query that the script reads in one go, or in several."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self._plan = plan
        self.texts: list[str] = []
        self.number = 0
        self.done = not plan.get("keys", plan.get("sources"))

    def spelled(self) -> dict[str, Any]:
        """The window as the script takes it."""
        return spelled(self._plan)

    def take(self, answer: Sequence[Any]) -> None:
        """Note what the script answered, and where it goes on."""
        done, last, number, texts = answer
        self.done = bool(done)
        self.texts += texts
        self.number += number
        if "keys" in self._plan:
            self._plan["keys"] = self._plan["keys"][int(last) :]
            return
        self._plan["skip"] = number
        self._plan["limit"] -= len(texts)
        for source in () if self.done else self._plan["sources"]:
            continue_behind(source, last, desc=self._plan["desc"])


class Reading:
    """One query: windows that are asked for until they are done, then its rows."""

    def __init__(self, layout: Layout, query: Query) -> None:
        self._layout = layout
        self._query = query
        self._path = path(layout, query)
        self._windows = [Window(plan) for plan in windows(layout, self._path, query)]
        self._best: list[Row] = []

    def pending(self) -> list[Window]:
        """The windows that are not done."""
        if not self._path.ordered:
            self._best = self._sorted()
        return [window for window in self._windows if not window.done]

    def rows(self) -> list[Row]:
        """The rows of the query, of the columns asked for."""
        query = self._query
        found = self._best[query.offset :]
        if self._path.ordered:
            found = self._layout.decoded([text for w in self._windows for text in w.texts])
        return self._layout.projected(found, query.columns)

    def _sorted(self) -> list[Row]:
        """What can still be wanted of the rows so far, where no index has the order."""
        query, table = self._query, self._layout.table
        found = self._layout.decoded([text for w in self._windows for text in w.texts])
        for window in self._windows:
            window.texts.clear()
        if query.after is not None:
            at = [table.positions[name] for name, _ in query.order]
            down = [way == "desc" for _, way in query.order]
            found = [row for row in found if after([row[i] for i in at], query.after, down)]
        found = [*self._best, *found]
        for name, way in reversed(query.order):
            i = table.positions[name]
            found.sort(key=lambda row: sort_key(row[i]), reverse=way == "desc")
        return found if query.limit is None else found[: query.offset + query.limit]


class Counting:
    """The number of rows that match, counted where they are."""

    def __init__(self, layout: Layout, query: Query) -> None:
        way = path(layout, query)
        plans = windows(layout, way, Query(where=query.where))
        self._windows = [Window(plan) for plan in plans]

    def pending(self) -> list[Window]:
        """The windows that are not done."""
        return [window for window in self._windows if not window.done]

    @property
    def total(self) -> int:
        """How many rows were counted: those of a window by key come themselves."""
        return sum([window.number + len(window.texts) for window in self._windows])
