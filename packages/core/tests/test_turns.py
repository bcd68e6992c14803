"""Turns of several keys at once: nobody waits for ever, and nobody is in the way of other keys."""

from __future__ import annotations

import asyncio

import pytest

from mastra_core.storage.loops import Turns


@pytest.mark.asyncio
async def test_who_wants_the_same_keys_in_another_order_is_not_stuck():
    turns = Turns()
    inside: list[str] = []

    async def work(name: str, *keys: str) -> None:
        async with turns.all((key,) for key in keys):
            inside.append(f"{name} begins")
            await asyncio.sleep(0)
            inside.append(f"{name} ends")

    await asyncio.wait_for(asyncio.gather(work("one", "a", "b", "a"), work("two", "b", "a")), 10)
    assert inside == ["one begins", "one ends", "two begins", "two ends"]


@pytest.mark.asyncio
async def test_other_keys_are_free():
    turns = Turns()
    async with turns.all([("a",), ("b",)]):
        assert turns.at(("a",)).locked()
        await asyncio.wait_for(turns.at(("c",)).acquire(), 10)
    assert not turns.at(("a",)).locked()
