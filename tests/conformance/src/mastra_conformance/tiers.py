"""How a test of the suite says what it belongs to; every other test is of the ``core`` tier."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import pytest

from mastra_conformance.levels import AREAS

F = TypeVar("F", bound=Callable[..., Any])
C = TypeVar("C", bound=type)


def base(test: F) -> F:
    """What everything else of the area rests on: without it the area's level is ``none``."""
    test.__dict__["conformance_tier"] = "base"
    return test


def full(test: F) -> F:
    """What the level ``core`` does without."""
    test.__dict__["conformance_tier"] = "full"
    return test


def area(name: str) -> Callable[[C], C]:
    """The area that a class of tests belongs to."""
    assert name in AREAS, name

    def mark(kind: C) -> C:
        kind.conformance_area = name  # type: ignore[attr-defined]
        return pytest.mark.usefixtures("conformance_gap")(kind)

    return mark
