"""Options, clients and tables: what is made, what is never made, and whose it is."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import boto3
import pytest

from mastra_core.errors import ConfigurationError, SchemaError, StorageError
from mastra_core.plugins import open_storage
from mastra_core.records import Thread
from mastra_core.storage.domain import StorageDomain
from mastra_dynamodb import (
    DatasetsDynamoDB,
    DynamoDBStore,
    ExperimentsDynamoDB,
    MemoryDynamoDB,
    ObservabilityDynamoDB,
    ScoresDynamoDB,
    WorkflowsDynamoDB,
    definition,
)

pytestmark = pytest.mark.asyncio

THREAD = Thread(id="t", resource_id="r")
SECRET = "hunter2-secret"
KEYS = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": SECRET}


@pytest.fixture
def here(endpoint: str) -> dict[str, Any]:
    return {"endpoint_url": endpoint, "region_name": "us-east-1", **KEYS}


async def test_a_table_is_created_only_where_that_is_asked_for(here, log, table) -> None:
    store = DynamoDBStore(id="x", table_name=table, **here)
    with pytest.raises(SchemaError, match="create_table=True"):
        await store.memory.save_thread(THREAD)
    with pytest.raises(SchemaError, match=f"no DynamoDB table '{table}'"):
        await store.init()
    assert table not in log.client.list_tables()["TableNames"]
    created = DynamoDBStore(id="x", table_name=table, create_table=True, **here)
    await created.memory.save_thread(THREAD)
    found = log.client.describe_table(TableName=table)["Table"]
    assert found["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert "GlobalSecondaryIndexes" not in found
    assert await store.memory.get_thread_by_id("t") == THREAD


async def test_without_init_nothing_is_created(here, log, table) -> None:
    store = DynamoDBStore(id="x", table_name=table, create_table=True, disable_init=True, **here)
    with pytest.raises(SchemaError):
        await store.memory.get_thread_by_id("t")
    assert table not in log.client.list_tables()["TableNames"]
    await store.init()
    await store.memory.save_thread(THREAD)


async def test_a_table_of_the_users_own_making_will_do(here, log, table) -> None:
    log.client.create_table(**definition(table))
    store = DynamoDBStore(id="x", table_name=table, **here)
    await store.memory.save_thread(THREAD)
    assert await store.memory.get_thread_by_id("t") == THREAD


async def test_a_table_with_other_keys_is_refused(here, log, table) -> None:
    log.client.create_table(
        TableName=table,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )
    store = DynamoDBStore(id="x", table_name=table, create_table=True, **here)
    with pytest.raises(SchemaError, match="partition key pk and a sort key sk"):
        await store.memory.save_thread(THREAD)


async def test_two_tables_side_by_side_do_not_meet(here, table) -> None:
    stores = [
        DynamoDBStore(id="x", table_name=f"{table}.{name}", create_table=True, **here)
        for name in "ab"
    ]
    for store, title in zip(stores, "ab", strict=True):
        await store.memory.save_thread(Thread(id="t", resource_id="r", title=title))
    for store, title in zip(stores, "ab", strict=True):
        page = await store.memory.list_threads()
        assert [(thread.id, thread.title) for thread in page.threads] == [("t", title)]


async def test_a_client_that_was_given_is_used_and_never_closed(log, table) -> None:
    async with DynamoDBStore(
        id="x", table_name=table, client=log.client, create_table=True
    ) as store:
        await store.memory.save_thread(THREAD)
        assert "TransactWriteItems" in log.requests
    await store.close()
    assert table in log.client.list_tables()["TableNames"]
    assert await store.memory.get_thread_by_id("t") == THREAD


async def test_a_client_of_our_own_is_closed_and_made_again(here, table, monkeypatch) -> None:
    closed: list[Any] = []
    store = DynamoDBStore(id="x", table_name=table, create_table=True, **here)
    await store.memory.save_thread(THREAD)
    client = store.backend._wire.client
    monkeypatch.setattr(client, "close", lambda: closed.append(client))
    await store.close()
    assert closed == [client]
    assert await store.memory.get_thread_by_id("t") == THREAD
    assert store.backend._wire.client is not client
    await store.close()


async def test_the_loop_is_never_held(open_store, log) -> None:
    memory = open_store().memory
    await memory.save_thread(THREAD)
    turns = 0

    def slow(operation: str, body: Any) -> None:
        # The driver's thread waits until the loop has run; were it the loop's own, for ever.
        done.wait(20)

    import threading

    done = threading.Event()

    async def tick() -> None:
        nonlocal turns
        for _ in range(50):
            await asyncio.sleep(0)
            turns += 1
        done.set()

    log.answers.append(slow)
    found, _ = await asyncio.gather(memory.get_thread_by_id("t"), tick())
    assert found == THREAD
    assert turns == 50


async def test_only_so_many_requests_are_under_way(open_store, log) -> None:
    import threading

    store = open_store(max_workers=3)
    await store.memory.save_thread(THREAD)
    under_way, most, lock = 0, 0, threading.Lock()

    def begin(operation: str, body: Any) -> None:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)

    def end(operation: str, parsed: Any) -> None:
        nonlocal under_way
        with lock:
            under_way -= 1

    log.answers, log.after = [begin], [end]
    found = await asyncio.gather(*(store.memory.get_thread_by_id("t") for _ in range(60)))
    assert found == [THREAD] * 60
    assert 1 < most <= 3


async def test_secrets_are_in_no_repr_log_or_error(here, table, caplog) -> None:
    caplog.set_level(logging.DEBUG)
    url = (
        f"dynamodb://AKIDEXAMPLE:{SECRET}@{table}?region_name=us-east-1"
        f"&endpoint_url={here['endpoint_url']}&create_table=true"
    )
    store = open_storage(url)
    private = "what nobody else may read"
    await store.memory.save_thread(Thread(id="t", resource_id="r", title=private))
    texts = [repr(store), repr(store.memory), repr(store.memory.backend), caplog.text]
    texts.append(repr(store.memory.backend._options))
    with pytest.raises(ConfigurationError) as caught:
        open_storage(f"{url}&max_retries=3")
    texts.append(f"{caught.value!r}")
    with pytest.raises(ConfigurationError) as caught:
        DynamoDBStore(id="x", table_name=table, aws_secret_access_key=SECRET)
    texts.append(f"{caught.value!r} {caught.value.__cause__!r}")
    for text in texts:
        assert SECRET not in text
        assert private not in text


async def test_others_may_log_what_they_send(here, log, caplog) -> None:
    caplog.set_level(logging.DEBUG)
    log.client.list_tables()
    assert "ListTables" in caplog.text


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (MemoryDynamoDB, "memory"),
        (WorkflowsDynamoDB, "workflows"),
        (ScoresDynamoDB, "scores"),
        (ObservabilityDynamoDB, "observability"),
        (DatasetsDynamoDB, "datasets"),
        (ExperimentsDynamoDB, "experiments"),
    ],
)
async def test_each_domain_stands_alone(here, table, kind: Any, name: str) -> None:
    domain: StorageDomain = kind(table_name=table, create_table=True, **here)
    assert domain.name == name
    await domain.init()
    await domain.close()


async def test_a_session_and_region_of_the_environment_are_used(
    endpoint, table, monkeypatch
) -> None:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL_DYNAMODB": endpoint,
    }.items():
        monkeypatch.setenv(name, value)
    store = DynamoDBStore(id="x", table_name=table, create_table=True)
    await store.memory.save_thread(THREAD)
    assert await store.backend.server() == endpoint
    await store.close()


async def test_no_credentials_and_no_region_say_so(table, monkeypatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    with pytest.raises(StorageError, match="give region_name"):
        await DynamoDBStore(id="x", table_name=table).init()
    with pytest.raises(StorageError, match="give credentials"):
        await DynamoDBStore(id="x", table_name=table, region_name="us-east-1").init()
