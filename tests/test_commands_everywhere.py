"""The command line on a store of every provider: it shows, moves and compares the same as on a file.

Each store is at first a copy of one file, so that what is right is known from there.
"""

from __future__ import annotations

import asyncio
import io
import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, redirect_stdout
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit
from uuid import uuid4

import psycopg
import pytest
from backends import redis_server, sql_server

from mastra_core import Message, Thread, open_storage
from mastra_core.cli.app import run
from mastra_core.cli.exits import Exit
from mastra_core.records import Resource

START = datetime(2026, 3, 1, 9, 30, 15, 123_000, tzinfo=UTC)
ROWS = {
    "mastra_threads": 2,
    "mastra_messages": 4,
    "mastra_resources": 1,
    "mastra_workflow_snapshot": 1,
    "mastra_scorers": 1,
    "mastra_ai_spans": 3,
    "mastra_datasets": 1,
    "mastra_dataset_items": 2,
    "mastra_dataset_versions": 1,
    "mastra_experiments": 1,
    "mastra_experiment_results": 2,
}
# Commands that show something of a store, which stands behind the first word.
SHOWING = (("threads",), ("messages", "t1"), ("runs",), ("traces",), ("traces", "trace"))


async def fill(url: str) -> None:
    """Something of every domain."""
    async with open_storage(url) as store:
        for n, owner in enumerate(("ada", "bob")):
            at = START + timedelta(days=n)
            await store.memory.save_thread(
                Thread(id=f"t{n}", resource_id=owner, title="Brot 🍞", created_at=at)
            )
            await store.memory.save_messages(
                [
                    Message(
                        id=f"m{n}{i}",
                        thread_id=f"t{n}",
                        resource_id=owner,
                        role=("user", "assistant")[i],
                        content={"format": 2, "parts": [{"type": "text", "text": 'It\'s\n"ü"'}]},
                        created_at=at + timedelta(milliseconds=i),
                    )
                    for i in range(2)
                ]
            )
        await store.memory.save_resource(Resource(id="ada", working_memory="# Ada"))
        await store.workflows.persist_workflow_snapshot(
            workflow_name="baking", run_id="r", snapshot={"status": "suspended", "n": 2**53 + 1}
        )
        await store.scores.save_score(
            {
                "scorerId": "s",
                "entityId": "e",
                "runId": "r",
                "source": "LIVE",
                "output": None,
                "score": 0.1 + 0.2,
                "scorer": {},
                "entity": {},
            }
        )
        await store.observability.batch_create_spans(
            [span("a", None), span("b", "a"), span("c", "b")]
        )
        await store.datasets.create_dataset("Questions", dataset_id="d")
        items = await store.datasets.batch_insert_items("d", items=[{"input": 1}, {"input": {}}])
        await store.experiments.create_experiment(experiment_id="x", dataset_id="d")
        for item in items:
            await store.experiments.add_experiment_result(
                "x", item_id=item.id, input=item.input, started_at=START, completed_at=START
            )


def span(name: str, parent: str | None) -> dict[str, object]:
    at = START + timedelta(milliseconds=ord(name))
    return {
        "traceId": "trace",
        "spanId": name,
        "parentSpanId": parent,
        "name": f"step {name}",
        "spanType": "generic",
        "isEvent": False,
        "startedAt": at,
        "endedAt": at,
    }


def listed(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


class Filled(NamedTuple):
    """A store that is known, and what commands show of it."""

    url: str
    shown: dict[tuple[str, ...], list[str]]


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Filled:
    """A libSQL file that has something of everything."""
    url = f"file:{tmp_path_factory.mktemp('commands')}/all.db"
    asyncio.run(fill(url))
    shown: dict[tuple[str, ...], list[str]] = {}
    for command in SHOWING:
        with redirect_stdout(io.StringIO()) as out:
            assert run([command[0], url, *command[1:]]) == Exit.OK
        shown[command] = listed(out.getvalue())
    assert [len(lines) for lines in shown.values()] == [4, 4, 3, 3, 4]
    return Filled(url, shown)


class Places:
    """URLs of new, empty stores, as a user would type them."""

    def __init__(self, request, folder: Path, servers: ExitStack, patch) -> None:
        self.server = request.getfixturevalue
        self.folder = folder
        self.started = servers.enter_context
        self.patch = patch
        self.name = f"m{uuid4().hex}"

    def within(self, server: str, **more: str) -> str:
        parts = urlsplit(self.server(server).url)
        query = urlencode({**dict(parse_qsl(parts.query)), **more})
        return urlunsplit(parts._replace(path=f"/{self.name}", query=query))

    def created(self, server: str) -> str:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {self.name}")
        return f"{server.rpartition('/')[0]}/{self.name}"

    def postgres(self) -> str:
        return self.created(self.server("postgres").url)

    def mongodb(self) -> str:
        return self.within("mongodb")

    def clickhouse(self) -> str:
        return self.within("clickhouse", create_database="true")

    def lance(self) -> str:
        return f"lance:{self.folder}/{self.name}"

    def dynamodb(self) -> str:
        return re.sub(r"(?<=[/@])[\w.-]+(?=\?|$)", self.name, self.server("dynamodb").url, count=1)

    def d1(self) -> str:
        server = self.server("d1")
        self.patch.setenv("CLOUDFLARE_API_TOKEN", server.options["api_token"])
        return f"{server.url}&table_prefix={self.name}_"

    def durable_objects(self) -> str:
        self.patch.setenv("MASTRA_TOKEN", self.server("durable_objects").options["token"])
        return self.within("durable_objects")

    def convex(self) -> str:
        server = self.server("convex")
        key = quote(server.options["admin_auth_token"], safe="")
        return f"convex://:{key}@{urlsplit(server.url).netloc}/d/{self.name}?tls=0"

    def upstash(self) -> str:
        # A server of its own: no URL says which keys of the shared one are this test's.
        server = self.started(redis_server.rest(self.folder))
        return f"upstash://:{server.options['token']}@{urlsplit(server.url).netloc}?tls=0"

    def mssql(self) -> str:
        beneath = self.server("mssql").extra.get("beneath")
        if beneath is None:
            pytest.skip("a new database is made beneath the front, and this is a server of yours")
        return self.started(sql_server.on(self.folder, self.created(beneath))).url


@pytest.fixture
def places(request, tmp_path, monkeypatch) -> Iterator[Places]:
    """Where a new store of each provider can be; servers that only one test has are stopped."""
    with ExitStack() as servers:
        yield Places(request, tmp_path, servers, monkeypatch)


@pytest.fixture
def mastra(capsys, monkeypatch, tmp_path) -> Callable[..., str]:
    """Run the command line; what it prints. It must end well, and complain of nothing."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    def call(*arguments: str) -> str:
        code = run(arguments)
        told = capsys.readouterr()
        assert (code, told.err) == (Exit.OK, ""), told.out + told.err
        return told.out

    return call


@pytest.mark.parametrize(
    "provider",
    [
        "postgres",
        "mongodb",
        "dynamodb",
        "upstash",
        "d1",
        "durable_objects",
        "convex",
        "lance",
        "mssql",
        "clickhouse",
    ],
)
def test_a_store_is_filled_shown_compared_and_emptied(provider, places, file, mastra, tmp_path):
    url, back = getattr(places, provider)(), f"file:{tmp_path}/back.db"
    lines = str(tmp_path / "all.jsonl")
    copied = json.loads(mastra("copy", file.url, url, "--json"))["tables"]
    assert {t["table"]: t["new"] for t in copied if t["rows"]} == ROWS
    assert all(table["verified"] for table in copied)
    findings = json.loads(mastra("doctor", url, "--json"))["findings"]
    assert {f["check"]: f["status"] for f in findings} == dict.fromkeys(
        ("connection", "schema", "round trip", "latency", "clock"), "ok"
    )
    for command, shown in file.shown.items():
        assert listed(mastra(command[0], url, *command[1:])) == shown
    mastra("copy", url, back)
    assert listed(mastra("diff", file.url, back))[-1] == "both have the same rows"
    mastra("export", url, lines)
    imported = json.loads(mastra("import", url, lines, "--json"))["tables"]
    assert {name: (t["new"], t["same"]) for name, t in imported.items()} == {
        name: (0, rows) for name, rows in ROWS.items()
    }
    pruned = mastra("prune", url, "--older-than", "1d", "--only", "memory.messages", "--yes")
    assert listed(pruned)[-2:] == ["table deleted", "memory.messages 4"]
