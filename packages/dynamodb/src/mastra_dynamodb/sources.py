"""Ways to read the rows of a table: partitions of one table or index, and the order within each."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, TypeAlias

import msgspec

from mastra_core.clock import iso
from mastra_core.storage.schema import Column, Value
from mastra_dynamodb.foreign import partition_key, sort_key
from mastra_dynamodb.keys import ABSENT, PARTITION_BYTES, PAST, bounded, joined, part

Kind: TypeAlias = Literal["rows", "copies", "pointers", "foreign"]


class Span(msgspec.Struct, frozen=True):
    """Part of a partition: from one sort key to another, both included; ``None`` is no bound."""

    partition: str
    low: str | None = None
    high: str | None = None

    @property
    def empty(self) -> bool:
        """Whether no sort key can be in it."""
        return self.low is not None and self.high is not None and self.low > self.high


class Bound(msgspec.Struct, frozen=True):
    """One end of a range of a column's values."""

    value: Value
    included: bool


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """One way to read: the first ``hashed`` of ``columns`` make the partition, the others its order.

    Items are the rows themselves, ``copies`` of them, ``pointers`` to them, or, in an index of the
    original (``foreign``), rows in an order that leaves ties open: then it is not ``complete``.
    """

    name: str
    columns: tuple[Column, ...]
    hashed: int
    kind: Kind
    lead: str = ""
    index: str | None = None
    complete: bool = True
    labels: tuple[str, ...] = ()

    @property
    def foreign(self) -> bool:
        """Whether the keys are the original's."""
        return self.kind == "foreign"

    def partition(self, values: Sequence[Value]) -> str:
        """The partition of rows with these values in the hashed columns."""
        if self.foreign:
            texts = ["" if value is None else str(value) for value in values]
            return partition_key(self.name, self.labels[: self.hashed], texts)
        if self.kind == "rows":
            return bounded(self.name + named(self.columns[0], values[0]), PARTITION_BYTES)
        text = "".join([part(c, v) for c, v in zip(self.columns, values, strict=False)])
        return bounded(f"{self.name}#{text}", PARTITION_BYTES)

    def sort(self, values: Sequence[Value]) -> str:
        """The sort key of rows with these values, or its beginning where they are not all."""
        return self.lead + joined(self.columns[self.hashed : self.hashed + len(values)], values)

    def span(
        self,
        fixed: Sequence[Value],
        low: Bound | None = None,
        high: Bound | None = None,
        behind: tuple[Sequence[Value], bool] | None = None,
    ) -> Span:
        """Where rows are whose first columns are ``fixed`` and whose next one is in a range.

        ``behind`` is the place of a row, with whether the order descends, to continue behind.
        """
        partition = self.partition(fixed[: self.hashed])
        if self.foreign:
            return self._foreign_span(partition, low, high, behind)
        begin = self.sort(fixed[self.hashed :])
        lows = [begin] if len(fixed) > self.hashed else []
        highs = [begin[:-1] + PAST] if len(fixed) > self.hashed else []
        if low is not None or high is not None:
            column = self.columns[len(fixed)]
            if low is not None:
                lows.append(begin + part(column, low.value) + ("" if low.included else PAST))
            if high is not None:
                highs.append(begin + part(column, high.value) + (PAST if high.included else ""))
            elif column.nullable is not False:
                highs.append(begin + ABSENT)
        if behind is not None:
            values, down = behind
            place = bounded(self.sort(values))
            (highs if down else lows).append(place[:-1] if down else place[:-1] + PAST)
        return _span(partition, lows, highs)

    def _foreign_span(
        self,
        partition: str,
        low: Bound | None,
        high: Bound | None,
        behind: tuple[Sequence[Value], bool] | None,
    ) -> Span:
        """Bounds that may let too much in: times alone, and whatever is tied with the last row."""
        lows = [self._time(low.value)] if low is not None else []
        highs = [self._time(high.value) + ABSENT] if high is not None else []
        if behind is not None and behind[0]:
            place = self._time(behind[0][0])
            (highs if behind[1] else lows).append(place + ABSENT if behind[1] else place)
        return _span(partition, lows, highs)

    def _time(self, value: Value) -> str:
        text = iso(value) if isinstance(value, datetime) else str(value)
        return sort_key(self.name, self.labels[self.hashed], text)


def named(column: Column, value: Value) -> str:
    """A value at the end of a key, where nothing can be mixed up with it."""
    return str(value) if column.type == "text" else part(column, value)


def _span(partition: str, lows: Sequence[str], highs: Sequence[str]) -> Span:
    low = max(lows, default=None)
    high = min(highs, default=None)
    return Span(partition, low and bounded(low), high and bounded(high))
