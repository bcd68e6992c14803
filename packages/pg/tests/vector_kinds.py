"""Vector stores that keep, index and search vectors otherwise than by default, for the contract."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from mastra_core.storage.sql import Statement
from mastra_pg import PgVector


@pytest.fixture(scope="session")
def conformance_share() -> float:
    """The variants differ from each other in a few statements."""
    return 0.25


class Cleaned(PgVector):
    """Has deleted vectors taken out of the graph at once, as autovacuum does in its own time.

    The contract fills and empties one small index thousands of times within seconds. Among thousands
    of dead vectors that are equal pgvector's graph loses the way to one that lives.

    By graph is how it searches among few, too, where the contract wants every search exact: it keeps
    as many candidates as that takes.
    """

    ef = 400

    async def delete_vectors(self, index_name: str, **chosen: Any) -> None:
        """The same, and nothing of it is left in the graph."""
        await super().delete_vectors(index_name, **chosen)
        table = f'"{self._schema}"."{index_name}"'
        await self.backend.execute([Statement(f"VACUUM (TRUNCATE off) {table}")])


class Otherwise(PgVector):
    """Makes its indexes with options of its own."""

    chosen: ClassVar[dict[str, Any]]

    async def create_index(self, index_name: str, *, options: Any = None, **given: Any) -> None:
        """The same with these options, and those that are given."""
        await super().create_index(index_name, options={**self.chosen, **(options or {})}, **given)


class ByGraph(Cleaned):
    """Never looks at all vectors because they are few."""

    small = 0
    few = 0


class Flat(Otherwise):
    """Has no index by nearness: always looks at all vectors."""

    chosen: ClassVar[dict[str, Any]] = {"type": "flat"}
    exact = True
    small = 0


class Halves(Cleaned, Otherwise):
    """Keeps numbers in 16 bits."""

    chosen: ClassVar[dict[str, Any]] = {"vector_type": "halfvec"}
    bits = 16
    small = 0


class Sparse(Cleaned, Otherwise):
    """Keeps only numbers that are not 0."""

    chosen: ClassVar[dict[str, Any]] = {"vector_type": "sparsevec"}
    small = 0
