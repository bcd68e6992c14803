"""Options and URLs: what they mean, and what is refused before anything is opened."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from mastra_core.errors import ConfigurationError
from mastra_core.plugins import open_storage
from mastra_core.records import Message, Thread
from mastra_core.storage.backend import Capability
from mastra_dynamodb import DynamoDBStore, TimeToLive

THREAD = Thread(id="t", resource_id="r")


def test_one_store_serves_several_loops_in_turn(endpoint: str, table: str) -> None:
    store = DynamoDBStore(id="x", table_name=table, create_table=True, **here(endpoint))

    async def append(number: int) -> int | None:
        content = {"format": 2, "parts": []}
        said = Message(id=str(number), thread_id="t", resource_id="r", role="user", content=content)
        await store.memory.save_messages([said], create=THREAD)
        return (await store.memory.list_messages("t")).total

    assert [asyncio.run(append(number)) for number in range(3)] == [1, 2, 3]
    asyncio.run(store.close())


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"table_name": "ab"}, "3 to 255"),
        ({"table_name": "a/b/c"}, "3 to 255"),
        ({"table_name": ""}, "3 to 255"),
        ({"table_name": "abc", "region": "x"}, "no option region"),
        ({"table_name": "abc", "timeout": "soon"}, "timeout"),
        ({"table_name": "abc", "timeout": 0}, "positive"),
        ({"table_name": "abc", "max_workers": 0}, "positive"),
        ({"table_name": "abc", "aws_access_key_id": "x"}, "belong together"),
        ({"table_name": "abc", "client": object(), "region_name": "x"}, "either it or them"),
        ({"table_name": "abc", "ttl": {"thread": {"enabled": True}}}, "TtlSeconds"),
        ({"table_name": "abc", "ttl": {"thread": {"default_ttl_seconds": 0}}}, "from 1 to"),
        ({"table_name": "abc", "ttl": {"tread": {"default_ttl_seconds": 9}}}, "no entity 'tread'"),
        (
            {
                "table_name": "abc",
                "ttl": {"thread": {"default_ttl_seconds": 9, "attribute_name": "title"}},
            },
            "attribute_name",
        ),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        DynamoDBStore(id="x", **options)


def test_options_are_structs_or_mappings() -> None:
    given = [
        {"thread": TimeToLive(default_ttl_seconds=9)},
        {"thread": {"default_ttl_seconds": 9}},
        {"thread": {"defaultTtlSeconds": 9, "attributeName": "ttl"}},
    ]
    lifetimes = [
        DynamoDBStore(id="x", table_name="abc", ttl=ttl).backend._options.lifetimes()
        for ttl in given
    ]
    assert lifetimes[0] == lifetimes[1] == lifetimes[2]
    assert lifetimes[0]["thread"].seconds == 9


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("dynamodb://", "3 to 255"),
        ("dynamodb://table?create_table=maybe", "true or false"),
        ("dynamodb://table?timeout=soon", "a number"),
        ("dynamodb://table?colour=red", "no option colour"),
    ],
)
def test_urls_that_make_no_sense_are_refused(url: str, text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        open_storage(url)


def test_a_url_says_all_that_is_needed() -> None:
    store = open_storage(
        "dynamodb://key:se%2Fcret%40@Table_1.x?region_name=eu-west-1&shared=true&timeout=3"
    )
    options = store.memory.backend._options
    assert options.table_name == "Table_1.x"
    assert (options.aws_access_key_id, options.aws_secret_access_key) == ("key", "se/cret@")
    assert (options.region_name, options.shared, options.timeout) == ("eu-west-1", True, 3.0)
    assert options.create_table is False


def test_all_capabilities_are_declared_unless_the_table_is_shared() -> None:
    own = DynamoDBStore(id="x", table_name="abc").backend
    shared = DynamoDBStore(id="x", table_name="abc", shared=True).backend
    assert own.capabilities == frozenset(Capability)
    assert shared.capabilities == frozenset(Capability) - {Capability.CONSISTENT_READ}


def here(endpoint: str) -> dict[str, Any]:
    keys = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
    return {"endpoint_url": endpoint, "region_name": "us-east-1", **keys}
