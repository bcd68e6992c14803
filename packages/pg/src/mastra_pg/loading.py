"""Many rows at once by COPY: what an INSERT of arrays does, for three quarters of its time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from mastra_core.storage.schema import Put
from mastra_pg.dialect import PostgresDialect, timestamps
from mastra_pg.pool import Connection

# Fewer rows are not worth a protocol of their own, nor a second attempt.
LEAST: Final = 200
NULL: Final = "\\N"


def loadable(put: Put) -> bool:
    """Whether rows may come by COPY: most likely none of their keys is there, and others would stay."""
    return put.fresh and put.on_conflict == "skip" and len(put.rows) >= LEAST


async def load(connection: Connection, dialect: PostgresDialect, put: Put) -> int:
    """Insert the rows in one statement; ``UniqueViolation`` where a key is there already."""
    command = f"COPY {dialect.name(put.table)} ({dialect.filled(put.table)}) FROM STDIN"
    async with connection.cursor() as cursor:
        async with cursor.copy(command.encode()) as copying:
            await copying.write(lines(dialect, put))
        return cursor.rowcount


def lines(dialect: PostgresDialect, put: Put) -> str:
    """The rows in COPY's text format: a line each, with tabs between the values."""
    columns = dialect.storable(put.table, list(zip(*put.rows, strict=True)))
    texts = [written(column) for column in columns]
    # Both columns of a time take the same text; the one without a zone leaves the Z out.
    texts += [texts[put.table.positions[name]] for name in timestamps(put.table)]
    return "\n".join(map("\t".join, zip(*texts, strict=True))) + "\n"


def written(values: Sequence[Any]) -> Sequence[str]:
    """The values of a column as texts, escaped all at once: U+0000, which none has, is between."""
    if None in values:
        given = [value for value in values if value is not None]
        texts = iter(written(given) if given else ())
        return [NULL if value is None else next(texts) for value in values]
    try:
        joined = "\0".join(values)
    except TypeError:
        return [str(value) for value in values]
    joined = joined.replace("\\", "\\\\").replace("\n", "\\n")
    return joined.replace("\r", "\\r").replace("\t", "\\t").split("\0")
