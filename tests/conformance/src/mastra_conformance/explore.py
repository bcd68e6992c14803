"""Random programs within a budget of time: generated, played, and made small where they fail."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

from mastra_conformance.lab import Settings

T = TypeVar("T")
BATCH = 20
# How long a failing program may be made smaller, in seconds.
SHRINKING = 20.0


def explore(
    programs: SearchStrategy[T], play: Callable[[T], None], options: Settings, seconds: float
) -> int:
    """Play random programs for so many seconds; how many they were.

    A failure is the smallest program found that fails, with the seed that finds it again.
    """
    end = time.monotonic() + seconds
    failed: dict[str, str] = {}
    played = 0

    def problem(program: T) -> str:
        """What is wrong with a program's play; known ones are not played again."""
        nonlocal played
        key = repr(program)
        if key in failed:
            return failed[key]
        if failed and time.monotonic() > stop:
            return ""  # What was found must do; other programs count as passing from here on.
        try:
            play(program)
        except Exception as error:  # noqa: BLE001 (whatever the adapter raises is what was found)
            failed[key] = f"{type(error).__name__}: {error}"
            return failed[key]
        played += 1
        return ""

    def check(program: T) -> None:
        found = problem(program)
        assert not found, found

    for number in range(1_000_000):
        stop = max(end, time.monotonic()) + SHRINKING
        run = _test(check, programs, options.seed * 1000 + number)
        try:
            run()
        except Exception as error:
            error.add_note(f"to repeat: --conformance-seed {options.seed}")
            raise
        if time.monotonic() > end:
            break
    return played


def _test(check: Callable[[T], None], programs: SearchStrategy[T], number: int) -> Any:
    chosen = settings(
        max_examples=BATCH,
        deadline=None,
        database=None,
        print_blob=False,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=[HealthCheck(known) for known in HealthCheck],
    )
    return seed(number)(chosen(given(programs)(check)))
