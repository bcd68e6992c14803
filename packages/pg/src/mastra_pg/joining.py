"""Several statements as one."""

from __future__ import annotations

import re


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
