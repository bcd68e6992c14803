"""Statements beyond the waist: run as they are given, with errors that are ours."""

from __future__ import annotations

from typing import ClassVar

import pytest

from mastra_core.errors import ConflictError, StorageError, UnavailableError
from mastra_core.storage.sql import Statement
from mastra_core.storage.sqlbackend import SqlBackend

pytestmark = pytest.mark.asyncio
ONE, TWO = Statement("SELECT 1"), Statement("SELECT 2")


class Driver(SqlBackend):
    """A database that answers with what it is asked, or fails as it is told."""

    name = "driver"
    errors: ClassVar = {TimeoutError: UnavailableError}

    def __init__(self, failure: Exception | None = None) -> None:
        super().__init__()
        self.failure = failure

    async def _fetch(self, statement):
        if self.failure is not None:
            raise self.failure
        return [(statement.sql,)]

    async def _execute(self, statements):
        if self.failure is not None:
            raise self.failure
        return [len(statement.sql) for statement in statements]


async def test_statements_are_run_as_they_are():
    driver = Driver()
    assert await driver.fetch(ONE) == [("SELECT 1",)]
    assert await driver.fetch_many([ONE, TWO]) == [[("SELECT 1",)], [("SELECT 2",)]]
    assert await driver.fetch_many([]) == []
    assert await driver.execute([ONE, TWO]) == [8, 8]


@pytest.mark.parametrize(
    ("call", "doing"),
    [
        (lambda driver: driver.fetch(ONE), "read"),
        (lambda driver: driver.fetch_many([ONE]), "read"),
        (lambda driver: driver.execute([ONE]), "write"),
    ],
)
async def test_errors_are_this_librarys(call, doing):
    with pytest.raises(UnavailableError, match=f"driver could not {doing}: slow") as caught:
        await call(Driver(TimeoutError("slow")))
    assert isinstance(caught.value.__cause__, TimeoutError)
    with pytest.raises(StorageError, match=f"driver could not {doing}: KeyError: 'x'"):
        await call(Driver(KeyError("x")))
    ours = ConflictError("taken", change=2)
    with pytest.raises(ConflictError) as kept:
        await call(Driver(ours))
    assert kept.value is ours
