"""Several statements as one, and one as several where rows of it meet twice."""

from __future__ import annotations

import re

import msgspec

from mastra_core.storage.schema import Put, Row, Value


def rounds(put: Put) -> list[Put]:
    """The rows in as many parts as a key occurs: one statement replaces a row only once."""
    at = [put.table.positions[name] for name in put.table.key]
    parts: list[dict[tuple[Value, ...], Row]] = [{}]
    for row in put.rows:
        key = tuple([row[i] for i in at])
        free = next((r for r in parts if key not in r), None)
        if free is None:
            parts.append(free := {})
        free[key] = row
    if len(parts) == 1:
        return [put]
    return [msgspec.structs.replace(put, rows=list(each.values())) for each in parts]


def _renumbered(sql: str, offset: int) -> str:
    return re.sub(r"\$(\d+)", lambda found: f"${int(found[1]) + offset}", sql) if offset else sql


def combined(parts: tuple[tuple[str, int, bool, int], ...]) -> str:
    """One statement of several: (text, number of parameters, guarded, change) of each."""
    changes: list[str] = []
    counts: list[str] = []
    offset = 0
    for i, (sql, params, guarded, change) in enumerate(parts):
        changes.append(f"c{i} AS ({_renumbered(sql, offset)} RETURNING 1)")
        offset += params
        count = "count(*)"
        if guarded:
            offset += 1
            count = (
                f"CASE WHEN count(*) = ${offset}::bigint THEN count(*)::text "
                f"ELSE 'guard {change}' END::integer"
            )
        counts.append(f"(SELECT {count} FROM c{i})")
    return f"WITH {', '.join(changes)} SELECT {', '.join(counts)}"
