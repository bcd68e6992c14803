"""One application, several databases: each domain where it fits best.

DATABASE_URL=postgresql://user:password@host/database python examples/composite.py

Memory is in a libSQL file, workflows in PostgreSQL, traces in another file; scores are switched off.
With MEMORY_URL memory is on any database whose adapter is installed, and MEMORY_OPTIONS are its
further options as JSON: MEMORY_URL=d1://ACCOUNT/DATABASE MEMORY_OPTIONS='{"api_token": "…"}'.
With TRACES_URL traces are elsewhere: TRACES_URL=clickhouse://user:password@host/database.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from datetime import UTC, datetime

from mastra_core import DomainNotConfigured, Mastra, MastraStorage, Message, Thread
from mastra_core.clock import uuid7
from mastra_core.plugins import open_storage
from mastra_libsql import LibSQLStore, MemoryLibSQL, ObservabilityLibSQL
from mastra_pg import WorkflowsPG


def application(url: str, memory_url: str | None = None, **options: str) -> Mastra:
    """The whole set-up."""
    memory = open_storage(memory_url, **options).memory if memory_url else None
    traces_url = os.environ.get("TRACES_URL")
    traces = open_storage(traces_url).observability if traces_url else None
    return Mastra(
        storage=MastraStorage(
            id="composite",
            default=LibSQLStore(id="everything-else", url="file:./mastra.db"),
            domains={
                "memory": memory or MemoryLibSQL(url="file:./memory.db"),
                "workflows": WorkflowsPG(connection_string=url),
                "observability": traces or ObservabilityLibSQL(url="file:./traces.db"),
                "scores": None,
            },
        )
    )


async def work(mastra: Mastra) -> None:
    """Something of each domain, and where it is afterwards."""
    storage = mastra.storage
    assert storage is not None
    run = uuid7()
    async with mastra:
        await storage.memory.save_thread(Thread(id=run, resource_id="user_123", title="Plants"))
        content = {"format": 2, "parts": [{"type": "text", "text": "Water the ficus."}]}
        message = Message(thread_id=run, resource_id="user_123", role="user", content=content)
        await storage.memory.save_messages([message])
        await storage.workflows.persist_workflow_snapshot(
            workflow_name="watering", run_id=run, snapshot={"status": "running", "context": {}}
        )
        span = {"traceId": run, "spanId": "root", "name": "watering", "spanType": "workflow_run"}
        span |= {"isEvent": False, "startedAt": datetime.now(UTC)}
        await storage.observability.create_span(span)
        for domain in ("memory", "workflows", "observability", "datasets"):
            print(f"  {domain:<14} {getattr(storage, domain).backend!r}")
        try:
            print(storage.scores)
        except DomainNotConfigured as error:
            print(f"  {'scores':<14} {error}")
        page = await storage.memory.list_messages(run, resource_id="user_123")
        state = await storage.workflows.load_workflow_snapshot(workflow_name="watering", run_id=run)
        trace = await storage.observability.get_trace(run)
        print(f"\n  {page.messages[0].text}  {state}  {len(trace.spans if trace else ())} span")


if __name__ == "__main__":
    database = os.environ.get("DATABASE_URL")
    if not database:
        sys.exit(
            "DATABASE_URL names no PostgreSQL database; set it, as in\n"
            "DATABASE_URL=postgresql://user:password@localhost/mastra python examples/composite.py"
        )
    options = json.loads(os.environ.get("MEMORY_OPTIONS", "{}"))
    asyncio.run(work(application(database, os.environ.get("MEMORY_URL"), **options)))
