"""Vector stores that keep, index and search vectors otherwise than by default, for the contract."""

from __future__ import annotations

from typing import Any, ClassVar

from mastra_pg import PgVector


class Otherwise(PgVector):
    """Makes its indexes with options of its own."""

    chosen: ClassVar[dict[str, Any]]

    async def create_index(self, index_name: str, *, options: Any = None, **given: Any) -> None:
        """The same with these options, and those that are given."""
        await super().create_index(index_name, options={**self.chosen, **(options or {})}, **given)


class ByGraph(PgVector):
    """Never looks at all vectors because they are few."""

    small = 0
    few = 0


class Flat(Otherwise):
    """Has no index by nearness: always looks at all vectors."""

    chosen: ClassVar[dict[str, Any]] = {"type": "flat"}
    exact = True
    small = 0


class Halves(Otherwise):
    """Keeps numbers in 16 bits."""

    chosen: ClassVar[dict[str, Any]] = {"vector_type": "halfvec"}
    bits = 16
    small = 0


class Sparse(Otherwise):
    """Keeps only numbers that are not 0."""

    chosen: ClassVar[dict[str, Any]] = {"vector_type": "sparsevec"}
    small = 0
