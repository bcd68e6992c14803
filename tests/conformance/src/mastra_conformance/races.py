"""Calls that begin at the same moment, on instances whose operations overlap."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, TypeVar

from mastra_conformance.lab import Lab, Over
from mastra_conformance.wrappers import Yielding
from mastra_core.errors import MastraError
from mastra_core.storage.store import MastraStorage

T = TypeVar("T")


def racing(lab: Lab) -> MastraStorage:
    """A new instance whose operations overlap with those of others."""
    return Over(lab.open(), Yielding)


async def race(calls: Iterable[Callable[[], Awaitable[T]]]) -> list[T | BaseException]:
    """The outcomes of calls that begin at the same moment, errors included."""
    barrier = asyncio.Event()

    async def run(call: Callable[[], Awaitable[T]]) -> T:
        await barrier.wait()
        return await call()

    tasks = [asyncio.create_task(run(call)) for call in calls]
    await asyncio.sleep(0)
    barrier.set()
    return await asyncio.gather(*tasks, return_exceptions=True)


async def all_well(calls: Iterable[Callable[[], Awaitable[T]]]) -> list[T]:
    """The answers of calls that begin at the same moment; none may fail."""
    outcomes = await race(calls)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    return [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]


def winners(outcomes: Sequence[Any], *refusals: type[MastraError]) -> list[Any]:
    """The answers of those that succeeded; the others must have been refused properly."""
    for outcome in outcomes:
        assert not isinstance(outcome, BaseException) or isinstance(outcome, refusals), outcome
    return [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
