"""The systems under measurement, by database; another database is another entry of `SYSTEMS`."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from workload import System


@dataclass(frozen=True)
class Entry:
    """One row of the tables: known without importing the system, which may not be installed.

    `source` is `module:Class`, or a `.mjs` file that speaks the protocol of `host.py` itself and
    takes `options`, as JSON.
    `role` says how verdicts look at it: a `note` is looked at by none. `durability` is what a
    commit waits for: `normal` is a write to the log, `full` is a sync of the disk. Verdicts and
    ratios compare like with like.
    """

    title: str
    source: str
    role: Literal["bare", "ours", "peer", "note"] = "peer"
    durability: Literal["normal", "full"] = "normal"
    options: str = "{}"


SYSTEMS: dict[str, dict[str, Entry]] = {
    "sqlite": {
        "libsql": Entry("bare `libsql` {version}", "bare_libsql:BareLibSQL", "bare"),
        "libsql-full": Entry(
            "bare `libsql` {version}, FULL", "bare_libsql:BareLibSQLFull", "bare", "full"
        ),
        "sqlite3": Entry("bare `sqlite3`, Python {version}", "bare_sqlite3:BareSQLite3", "note"),
        "sqlite3-full": Entry(
            "bare `sqlite3`, Python {version}, FULL",
            "bare_sqlite3:BareSQLite3Full",
            "note",
            "full",
        ),
        "ours": Entry("**mastra-libsql {version}**", "ours_libsql:OursLibSQL", "ours"),
        "ours-full": Entry(
            "**mastra-libsql {version}, FULL**", "ours_libsql:OursLibSQLFull", "ours", "full"
        ),
        "ours-total": Entry(
            "mastra-libsql {version}, with total", "ours_libsql:OursLibSQLWithTotal", "note"
        ),
        "mastra-ts": Entry("Mastra for TypeScript, @mastra/libsql {version}", "mastra.mjs"),
        "openai-sqlite": Entry(
            "openai-agents {version} `SQLiteSession`, FULL",
            "openai_sqlite:OpenAISQLite",
            durability="full",
        ),
        "openai-sqlalchemy": Entry(
            "openai-agents {version} `SQLAlchemySession`", "openai_sqlalchemy:OpenAISQLAlchemy"
        ),
        "agno": Entry("agno {version} `SqliteDb`", "agno_sqlite:AgnoSQLite"),
        "google-adk": Entry(
            "Google ADK {version} `DatabaseSessionService`", "google_adk:GoogleADK"
        ),
        "langgraph": Entry(
            "LangGraph {version}, `add_messages` state, store", "langgraph_sqlite:LangGraph"
        ),
    },
    "pg": {
        "pg-bare": Entry("bare psycopg {version}, async", "bare_pg:BarePG", "bare"),
        "pg-ours": Entry("**mastra-pg {version}**", "ours_pg:OursPG", "ours"),
        "pg-ours-total": Entry(
            "mastra-pg {version}, with total", "ours_pg:OursPGWithTotal", "note"
        ),
        "pg-mastra-ts": Entry("Mastra for TypeScript, @mastra/pg {version}", "mastra.mjs"),
        "pg-mastra-ts-bare": Entry(
            "@mastra/pg {version}, without total", "mastra.mjs", options='{"total": false}'
        ),
        "pg-openai": Entry(
            "openai-agents {version} `SQLAlchemySession`", "openai_sqlalchemy:OpenAISQLAlchemyPG"
        ),
        "pg-agno": Entry("agno {version} `PostgresDb`", "agno_pg:AgnoPG"),
        "pg-google-adk": Entry(
            "Google ADK {version} `DatabaseSessionService`", "google_adk:GoogleADKPG"
        ),
        "pg-langgraph": Entry(
            "LangGraph {version}, `add_messages` state, store", "langgraph_pg:LangGraphPG"
        ),
    },
}
SERVERS = {"pg": "postgres"}
"""The databases that are on a server, and its name in `tests/backends`."""


def entry(name: str) -> Entry:
    """Return the entry of a system."""
    return next(group[name] for group in SYSTEMS.values() if name in group)


def load(name: str) -> type[System]:
    """Return the class of a system, importing what it needs."""
    module, _, attribute = entry(name).source.partition(":")
    found: type[System] = getattr(importlib.import_module(f"systems.{module}"), attribute)
    return found
