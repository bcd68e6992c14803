"""ClickHouse for the tests: the engine, or the server that is named, a database for each need."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit
from uuid import uuid4

import pytest

from mastra_clickhouse import ClickhouseStore
from mastra_clickhouse.wire import Wire
from mastra_core.plugins import open_storage
from mastra_core.storage.store import MastraStorage


class Factory:
    """Makes independent stores on one database, in this process and in others."""

    def __init__(self, url: str) -> None:
        self.url = url

    def __call__(self) -> MastraStorage:
        return open_storage(self.url, id="conformance")

    def empty(self) -> Factory:
        """The same on a new database."""
        options = {**dict(parse_qsl(urlsplit(self.url).query)), "create_database": "true"}
        place = urlsplit(self.url)._replace(path=f"/mastra_{uuid4().hex}", query=urlencode(options))
        return Factory(urlunsplit(place))


class Log:
    """The requests of stores, in order: what was asked for, of which table."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.fail: Callable[[str], Exception | None] = lambda _: None
        self.lose: Callable[[str], Exception | None] = lambda _: None

    def clear(self) -> None:
        """Forget what was written down."""
        self.requests.clear()

    def watch(self, patch: pytest.MonkeyPatch) -> None:
        """Write down what every store asks for; ``fail`` and ``lose`` give errors before and after."""
        for name in ("fetch", "insert", "command"):
            patch.setattr(Wire, name, self._watched(name, getattr(Wire, name)))

    def _watched(self, name: str, call: Any) -> Any:
        async def watched(wire: Wire, text: str, *rest: Any) -> Any:
            what = f"insert {text.split('`')[-2]}" if name == "insert" else f"{name} {text}"
            self.requests.append(what)
            error = self.fail(what)
            if error is not None:
                raise error
            found = await call(wire, text, *rest)
            error = self.lose(what)
            if error is not None:
                raise error
            return found

        return watched


@pytest.fixture(scope="session")
def conformance_share() -> float:
    """Every write is several inserts, of which the engine takes some hundred in a second."""
    return 0.02


@pytest.fixture(scope="session")
def storage_factory(clickhouse):
    """Stores on a database of this run."""
    return Factory(clickhouse.url).empty()


@pytest.fixture(scope="session")
def place(clickhouse) -> str:
    """The URL of a database that the tests of this package share."""
    return Factory(clickhouse.url).empty().url


@pytest.fixture
def open_store(place: str) -> Callable[..., ClickhouseStore]:
    """Makes stores on the shared database, under a prefix of this test unless one is given."""
    prefix = f"t{uuid4().hex[:8]}_"

    def make(**options: Any) -> ClickhouseStore:
        return ClickhouseStore(**{"id": "test", "url": place, "table_prefix": prefix, **options})

    return make


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    """What the stores of this test ask for."""
    made = Log()
    made.watch(monkeypatch)
    return made
