"""DynamoDB, for the contract that every adapter passes: an emulator, or the table that is named."""

from __future__ import annotations

import re
from uuid import uuid4

import pytest

from mastra_core.plugins import open_storage
from mastra_core.storage.store import MastraStorage


class Factory:
    """Makes independent stores on one table, in this process and in others."""

    def __init__(self, url: str) -> None:
        self.url = url

    def __call__(self) -> MastraStorage:
        return open_storage(self.url, id="conformance")

    def empty(self) -> Factory:
        """The same on a new table."""
        table = f"mastra-{uuid4().hex}"
        return Factory(re.sub(r"(?<=[/@])[\w.-]+(?=\?|$)", table, self.url, count=1))


@pytest.fixture(scope="session")
def storage_factory(dynamodb):
    """Stores on a table of this run."""
    return Factory(dynamodb.url)
