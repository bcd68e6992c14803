"""Vector stores that search otherwise than by default, for the contract."""

from __future__ import annotations

import pytest

from mastra_mongodb import MongoDBVector


@pytest.fixture(scope="session")
def conformance_share() -> float:
    """The variants differ from each other in a few requests."""
    return 0.05


class BySearch(MongoDBVector):
    """Never compares all vectors because they are few."""

    small = 0
    few = 0


class VectorFactory:
    """Makes vector stores on a database."""

    kind: type[MongoDBVector] = MongoDBVector

    def __init__(self, url: str) -> None:
        self.url = url

    def __call__(self, **options) -> MongoDBVector:
        return self.kind(id="conformance", **{"url": self.url, **options})


class SearchFactory(VectorFactory):
    """Makes those that ask the search index."""

    kind = BySearch
