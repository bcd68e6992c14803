"""The examples that need a PostgreSQL database do what they say, and say what they need."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from backends import Address

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(name: str, folder: Path, url: str | None, **more: str) -> subprocess.CompletedProcess[str]:
    ours = ("DATABASE_URL", "MEMORY_URL", "MEMORY_OPTIONS")
    environment = {k: v for k, v in os.environ.items() if k not in ours} | more
    if url:
        environment["DATABASE_URL"] = url
    return subprocess.run(
        [sys.executable, str(EXAMPLES / name)],
        cwd=folder,
        env={**environment, "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


@pytest.fixture
def database(postgres):
    """A database of this test."""
    name = f"d{uuid4().hex}"
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield postgres.url.rpartition("/")[0] + f"/{name}"
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def lance(tmp_path):
    """A folder of this test, which is all that LanceDB needs."""
    return Address(f"lance:{tmp_path}/lance")


def rows(url: str, sql: str):
    with psycopg.connect(url) as connection:
        return connection.execute(sql).fetchall()


@pytest.mark.parametrize("name", ["composite.py", "durable_workflow.py"])
def test_without_a_database_it_says_what_to_set(tmp_path, name):
    ran = run(name, tmp_path, None)
    assert ran.returncode == 1
    assert "DATABASE_URL=postgresql://" in ran.stderr
    assert list(tmp_path.iterdir()) == []


def test_each_domain_is_where_it_was_put(tmp_path, database):
    for _ in range(2):
        ran = run("composite.py", tmp_path, database)
        assert (ran.returncode, ran.stderr) == (0, "")
        assert re.search(r"^  memory +LibSQLBackend\('memory.db'\)", ran.stdout, re.MULTILINE)
        assert re.search(r"^  workflows +PostgresBackend\(", ran.stdout, re.MULTILINE)
        assert "storage 'composite' has no scores domain" in ran.stdout
        assert "Water the ficus.  {'status': 'running', 'context': {}}  1 span" in ran.stdout
    assert {path.name for path in tmp_path.glob("*.db")} == {"mastra.db", "memory.db", "traces.db"}
    tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
    assert rows(database, tables) == [("mastra_workflow_snapshot",)]
    assert rows(database, "SELECT count(*) FROM mastra_workflow_snapshot") == [(2,)]


@pytest.mark.parametrize(
    ("server", "backend"),
    [
        ("dynamodb", "DynamoDBBackend"),
        ("upstash", "UpstashBackend"),
        ("redis", "RedisBackend"),
        ("mssql", "MSSQLBackend"),
        ("mongodb", "MongoDBBackend"),
        ("d1", "D1Backend"),
        ("durable_objects", "CloudflareDOBackend"),
        ("lance", "LanceBackend"),
        ("clickhouse", "ClickhouseBackend"),
        ("convex", "ConvexBackend"),
    ],
)
def test_memory_is_where_it_is_wanted(tmp_path, database, request, server, backend):
    address = request.getfixturevalue(server)
    options = json.dumps(dict(address.options))
    # A front of the tests has no TLS, which the adapter's scheme otherwise means.
    url = re.sub(r"^http://(.*)", rf"{server}://\1?tls=0", address.url)
    memory = {"MEMORY_URL": url, "MEMORY_OPTIONS": options}
    for _ in range(2):
        ran = run("composite.py", tmp_path, database, **memory)
        assert (ran.returncode, ran.stderr) == (0, "")
        assert re.search(rf"^  memory +{backend}\(", ran.stdout, re.MULTILINE)
        assert "Water the ficus.  {'status': 'running', 'context': {}}  1 span" in ran.stdout
    assert {path.name for path in tmp_path.glob("*.db")} == {"mastra.db", "traces.db"}


def test_traces_are_in_clickhouse_and_all_else_is_not(tmp_path, database, clickhouse):
    for _ in range(2):
        ran = run("composite.py", tmp_path, database, TRACES_URL=clickhouse.url)
        assert (ran.returncode, ran.stderr) == (0, "")
        assert re.search(r"^  memory +LibSQLBackend\('memory.db'\)", ran.stdout, re.MULTILINE)
        assert re.search(r"^  workflows +PostgresBackend\(", ran.stdout, re.MULTILINE)
        assert re.search(r"^  observability +ClickhouseBackend\(", ran.stdout, re.MULTILINE)
        assert "Water the ficus.  {'status': 'running', 'context': {}}  1 span" in ran.stdout
    assert {path.name for path in tmp_path.glob("*.db")} == {"mastra.db", "memory.db"}


def test_a_run_outlives_the_process_that_began_it(tmp_path, database):
    ran = run("durable_workflow.py", tmp_path, database)
    assert (ran.returncode, ran.stderr) == (0, "")
    lines = [" ".join(line.split()) for line in ran.stdout.splitlines()]
    assert re.fullmatch(r"process \d+ began, suspended; killed with code -9", lines[0])
    assert lines[1:] == [
        "PostgreSQL status suspended, steps ['approval', 'facts', 'input', 'links', 'spelling']",
        "another process resumed: True",
        "another process resumed: False",
        "PostgreSQL status success, result {'published': ['facts', 'links', 'spelling']}",
    ]
    sql = "SELECT snapshot->>'status' FROM mastra_workflow_snapshot"
    assert rows(database, sql) == [("success",)]
