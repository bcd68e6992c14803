"""Stores as JSON Lines: one row a line, exact, readable, and known to be whole by its last line.

The first line is ``{"mastra": 1}``. Then comes ``{"table": …, "row": {column: value}}`` for each row, where
absent values are left out, JSON columns are JSON, and times ISO texts in UTC. The last line is
``{"end": {table: {"rows": …, "checksum": …}}}``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Any, BinaryIO, Final, cast

import msgspec

from mastra_core.clock import from_iso
from mastra_core.errors import CorruptDataError
from mastra_core.storage.codec import from_json, to_json
from mastra_core.storage.schema import Row, Table, Value
from mastra_core.storage.store import MastraStorage
from mastra_core.transfer.arrivals import Arrived, arrive
from mastra_core.transfer.fingerprints import Tally, cleaned, fingerprints
from mastra_core.transfer.progress import Progress, Tell, silent
from mastra_core.transfer.routes import chosen
from mastra_core.transfer.streams import PAGE_CHARACTERS, ahead, once, pages, patiently

FORMAT: Final = 1
BATCH: Final = 1000
_encode = msgspec.json.Encoder().encode


class Counted(msgspec.Struct):
    """What the last line says of a table."""

    rows: int
    checksum: str


class _Line(msgspec.Struct, omit_defaults=True):
    mastra: int | None = None
    table: str | None = None
    row: dict[str, msgspec.Raw] | None = None
    end: dict[str, Counted] | None = None


_decode = msgspec.json.Decoder(_Line).decode


async def export_lines(
    storage: MastraStorage,
    file: BinaryIO,
    *,
    domains: Sequence[str] = (),
    progress: Tell | None = None,
) -> dict[str, Tally]:
    """Write all rows of the domains, table by table; how many there were of each."""
    told = progress or silent
    found: dict[str, Tally] = {}
    file.write(_encode({"mastra": FORMAT}) + b"\n")
    for domain in chosen(storage, domains):
        for table in domain.own():
            backend = domain.backend
            total = await patiently(lambda b=backend, t=table: b.count(t))  # type: ignore[misc]
            tally = found[table.name] = Tally()
            told(Progress(table.name, 0, total))
            async with aclosing(ahead(pages(backend, table))) as stream:
                async for rows in stream:
                    file.write(b"".join([_line(table, row) for row in rows]))
                    tally.add(fingerprints(table, rows))
                    told(Progress(table.name, tally.rows, max(total, tally.rows)))
    end = {name: Counted(tally.rows, tally.checksum) for name, tally in found.items()}
    file.write(_encode({"end": end}) + b"\n")
    return found


def _line(table: Table, row: Row) -> bytes:
    pairs = zip(table.columns, row, strict=True)
    values = {c.name: _written(c.type, value) for c, value in pairs if value is not None}
    return _encode({"table": table.name, "row": values}) + b"\n"


def _written(kind: str, value: Value) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if kind != "json" or not isinstance(value, str):
        return value
    # As it is spelt, if it fits on a line.
    text = to_json(from_json(value)) if "\n" in value or "\r" in value else value
    try:
        msgspec.json.decode(text)
    except msgspec.DecodeError:
        # (Such as half surrogate pairs, and numbers beyond a float.)
        text = to_json(from_json(text), finite=False)
    return msgspec.Raw(text.encode())


async def import_lines(
    storage: MastraStorage,
    file: Iterable[bytes],
    *,
    domains: Sequence[str] = (),
    overwrite: bool = False,
    progress: Tell | None = None,
) -> dict[str, Arrived]:
    """Read what ``export_lines`` wrote; what became of the rows of each table.

    Rows that are stored already stay or are replaced as in ``copy``. A line that is none, or an
    end that is missing or counts otherwise, is a ``CorruptDataError``; what came before it is
    stored, and reading the whole file later goes on.
    """
    told = progress or silent
    places = {
        table.name: (table, domain.backend)
        for domain in chosen(storage, domains)
        for table in domain.own()
    }
    found: dict[str, Arrived] = {}
    tallies: dict[str, Tally] = {}
    for name, rows in _batches(file, {name: table for name, (table, _) in places.items()}, tallies):
        table, backend = places[name]
        arrived = await arrive(backend, table, once(table, rows), overwrite=overwrite)
        found[name] = found.get(name, Arrived()) + arrived
        told(Progress(name, tallies[name].rows, tallies[name].rows))
    return found


def _batches(
    file: Iterable[bytes], tables: Mapping[str, Table], tallies: dict[str, Tally]
) -> Iterator[tuple[str, Sequence[Row]]]:
    """The rows of the wanted tables in batches; counted, and compared with what the end says."""
    name, rows, length = "", list[Row](), 0
    end: dict[str, Counted] | None = None
    for number, text in enumerate(file, 1):
        line = _parsed(text, number)
        if end is not None:
            raise CorruptDataError(f"line {number}: there is something behind the end")
        full = length > PAGE_CHARACTERS or len(rows) >= BATCH
        if rows and (full or line.table != name):
            kept = cleaned(tables[name], rows)
            tallies.setdefault(name, Tally()).add(fingerprints(tables[name], kept))
            yield name, kept
            rows, length = [], 0
        end = line.end
        if line.table is not None and line.table in tables and line.row is not None:
            name = line.table
            rows.append(_row(tables[name], line.row, number))
            length += len(text)
    if end is None:
        raise CorruptDataError("the file has no end: it was not written to its end, or was cut off")
    for table, counted in end.items():
        tally = tallies.get(table, Tally())
        if table in tables and (tally.rows, tally.checksum) != (counted.rows, counted.checksum):
            raise CorruptDataError(
                f"{table}: the file has {tally.rows} rows where its end says {counted.rows}, or they "
                "were changed since"
            )


def _parsed(text: bytes, number: int) -> _Line:
    try:
        line = _decode(text)
    except msgspec.MsgspecError as error:
        raise CorruptDataError(f"line {number} is no line of an export: {error}") from error
    if number == 1 and line.mastra != FORMAT:
        raise CorruptDataError(
            f"the file does not begin as an export of format {FORMAT} does; is it one?"
        )
    return line


def _row(table: Table, values: Mapping[str, msgspec.Raw], number: int) -> Row:
    unknown = sorted(set(values) - set(table.names))
    if unknown:
        raise CorruptDataError(
            f"line {number}: {table.name} has no column {', '.join(unknown)}; a newer version "
            "wrote it"
        )
    try:
        return tuple(
            [_read(c.type, values[c.name]) if c.name in values else None for c in table.columns]
        )
    except (msgspec.MsgspecError, ValueError, TypeError) as error:
        raise CorruptDataError(f"line {number}: {table.name}: {error}") from error


def _read(kind: str, raw: msgspec.Raw) -> Value:
    if kind == "json":
        return bytes(raw).decode()
    wanted = {"text": str, "timestamp": str, "boolean": bool, "float": float | str}.get(kind, int)
    value = cast("Value", msgspec.json.decode(raw, type=wanted))
    if kind == "float" and value is not None:
        return float(cast("float | str", value))
    return (
        cast("datetime", from_iso(value))
        if isinstance(value, str) and kind == "timestamp"
        else value
    )
