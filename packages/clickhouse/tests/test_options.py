"""Options and URLs: what they mean, what is refused, and that secrets are nowhere."""

from __future__ import annotations

from typing import Any

import pytest

from mastra_clickhouse import ClickhouseStore, ObservabilityStorageClickhouse
from mastra_clickhouse.layout import Layout, Lifetime
from mastra_clickhouse.options import Replication, checked, from_url
from mastra_clickhouse.schema import Schema
from mastra_core.errors import AuthenticationError, ConfigurationError, UnavailableError
from mastra_core.storage.retention import Policy
from mastra_core.storage.tables import SPANS, THREADS

SECRET = "s3cret-and-long"


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("http://db", {"host": "db", "port": 8123, "secure": False}),
        ("https://db", {"host": "db", "port": 8443, "secure": True}),
        ("clickhouse://db:9/x", {"host": "db", "port": 9, "secure": False, "database": "x"}),
        (
            "clickhouses://us%40er:p%3A@db",
            {"host": "db", "port": 8443, "secure": True, "username": "us@er", "password": "p:"},
        ),
        ("clickhouse://db?secure=true", {"host": "db", "port": 8443, "secure": True}),
    ],
)
def test_a_url_says_where_the_server_is(url: str, found: dict[str, Any]) -> None:
    assert from_url(url) == found


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({}, "needs a url"),
        ({"url": "postgresql://db"}, "begins with http"),
        ({"url": "http://db:port"}, "url of ClickHouse is none"),
        ({"url": "http://db?sslmode=x"}, "not sslmode"),
        ({"url": "http://db", "database": "a b"}, "database 'a b'"),
        ({"url": "http://db", "table_prefix": "a`b"}, "table_prefix"),
        ({"url": "http://db", "timeout": 0}, "timeout must be a positive"),
        ({"url": "http://db", "timeot": 1}, "no option timeot"),
        ({"url": "http://db", "client": object()}, "either client or url"),
        ({"url": "http://db", "replication": {"replicas": 2}}, "replication"),
        ({"url": "http://db", "replication": {"cluster": "a\nb"}}, "cluster cannot be"),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        ClickhouseStore(id="x", **options)


def test_secrets_are_in_no_text() -> None:
    store = ClickhouseStore(id="x", url=f"clickhouse://me:{SECRET}@db/x")
    for shown in (
        repr(store),
        repr(store.backend),
        repr(store.memory),
        repr(store.backend.options),
    ):
        assert SECRET not in shown
    with pytest.raises(ConfigurationError) as caught:
        from_url(f"clickhouse://me:{SECRET}@db:port/x")
    assert SECRET not in str(caught.value)


@pytest.mark.asyncio
async def test_a_wrong_password_is_said_and_not_shown(clickhouse) -> None:
    port = clickhouse.extra.get("port")
    if port is None:
        pytest.skip("MASTRA_CLICKHOUSE_URL names a server whose users are not known here")
    url = f"http://127.0.0.1:{port}"
    store = ClickhouseStore(id="x", url=url, username="mastra", password=SECRET)
    with pytest.raises(AuthenticationError) as caught:
        await store.memory.get_thread_by_id("t")
    assert SECRET not in str(caught.value)
    await store.close()


@pytest.mark.asyncio
async def test_a_server_that_is_not_there_is_unavailable() -> None:
    store = ClickhouseStore(id="x", url="http://127.0.0.1:1", password=SECRET)
    with pytest.raises(UnavailableError) as caught:
        await store.memory.get_thread_by_id("t")
    assert SECRET not in str(caught.value)


def test_replicated_tables_are_made_on_the_whole_cluster() -> None:
    options = checked({"url": "http://db/x", "replication": {"cluster": "all"}})
    schema = Schema(options)
    made = schema.create(Layout(THREADS))
    assert "CREATE TABLE IF NOT EXISTS `x`.`mastra_threads` ON CLUSTER 'all' (" in made
    path = "'/clickhouse/tables/{shard}/{database}/{table}', '{replica}'"
    assert f"ENGINE = ReplicatedReplacingMergeTree({path}, _version, _deleted)" in made
    journal = schema.journal()
    assert f"ENGINE = ReplicatedMergeTree({path})" in journal
    assert "SETTINGS replicated_deduplication_window = 10000" in journal
    assert "non_replicated" not in journal


def test_without_replication_the_journal_remembers_by_itself() -> None:
    schema = Schema(checked({"url": "http://db/x"}))
    assert "ENGINE = MergeTree() PARTITION BY" in schema.journal()
    assert "non_replicated_deduplication_window = 10000" in schema.journal()
    assert "ON CLUSTER" not in schema.journal() + schema.create(Layout(THREADS))


def test_replication_keeps_quotes_in_their_place() -> None:
    given = Replication(cluster="it's", zookeeper_path="/a\\b")
    schema = Schema(checked({"url": "http://db/x", "replication": given}))
    assert schema.cluster == " ON CLUSTER 'it\\'s'"
    assert "'/a\\\\b'" in schema.engine("MergeTree")


def test_retention_is_the_tables_own() -> None:
    domain = ObservabilityStorageClickhouse(url="http://db/x", retention={"spans": "30d"})
    backend: Any = domain.backend
    age = Policy(max_age="30d").age
    assert backend.lifetimes == {SPANS.name: Lifetime("startedAt", age)}
    made = backend.schema.create(backend.layout(SPANS))
    assert " TTL toDateTime(startedAt) + toIntervalSecond(2592000) " in made
    assert "PARTITION BY toYYYYMM(startedAt) ORDER BY (`traceId`, `startedAt`, `spanId`)" in made
