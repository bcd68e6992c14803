"""What only this vector store does: one step for several commits, lengths beyond 32 bits, ties."""

from __future__ import annotations

from pathlib import Path

import pytest

from mastra_core.errors import StorageError
from mastra_lance import LanceVector, vector

from .rows import ids

pytestmark = pytest.mark.asyncio


async def test_what_is_stale_goes_with_what_is_stored_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two commits, of which the second fails."""
    async with LanceVector(tmp_path) as vectors:
        await vectors.create_index("i", dimension=2)
        await vectors.upsert(
            "i", ids=["a", "b"], vectors=[[1, 0], [0, 1]], metadata=[{"k": 1}, {"k": 2}]
        )

        def failing(*_: object) -> object:
            async def fail() -> None:
                raise OSError("the disk had enough")

            return fail

        monkeypatch.setattr(vector, "_storing", failing)
        with pytest.raises(StorageError, match="the disk had enough"):
            await vectors.upsert("i", ids=["c"], vectors=[[1, 1]], delete_filter={"k": 1})
        assert await ids(tmp_path, "i") == ["a", "b"]
        monkeypatch.undo()
        await vectors.upsert("i", ids=["c"], vectors=[[1, 1]], delete_filter={"k": 1})
        assert await ids(tmp_path, "i") == ["b", "c"]


@pytest.mark.parametrize("metric", ["cosine", "euclidean", "dotproduct"])
async def test_lengths_beyond_what_the_engine_computes_are_found(
    metric: str, tmp_path: Path
) -> None:
    """Its 32 bits overflow, and a vector of zeros has no direction."""
    async with LanceVector(tmp_path) as vectors:
        await vectors.create_index("i", dimension=2, metric=metric)
        given = {"long": [3e30, 4e30], "short": [3e-30, 4e-30], "zero": [0, 0], "one": [0.6, 0.8]}
        await vectors.upsert("i", ids=list(given), vectors=list(given.values()))
        for asked in ([0.6, 0.8], [3e30, 4e30], [3e-30, 4e-30]):
            found = await vectors.query("i", query_vector=asked, include_vector=True)
            scores = {match.id: match.score for match in found}
            assert set(scores) == set(given)
            if metric == "cosine":
                assert scores == pytest.approx({"long": 1, "short": 1, "one": 1, "zero": 0})
            elif metric == "dotproduct":
                assert found[0].id == "long"
            else:
                near = "long" if asked[0] > 1 else "one" if asked[0] > 0.1 else "short"
                assert found[0].id == near


async def test_of_equal_scores_the_lowest_ids_are_found(tmp_path: Path) -> None:
    """Also where many more are equal than are asked for."""
    async with LanceVector(tmp_path) as vectors:
        await vectors.create_index("i", dimension=2)
        names = [f"{n:03}" for n in range(300)]
        await vectors.upsert("i", ids=names[::-1], vectors=[[1, 1]] * 300)
        found = await vectors.query("i", query_vector=[1, 1], top_k=5)
        assert [match.id for match in found] == names[:5]


async def test_an_index_can_be_optimized_by_hand(tmp_path: Path) -> None:
    """With the same answers."""
    async with LanceVector(tmp_path) as vectors:
        await vectors.create_index("i", dimension=2)
        for n in range(5):
            await vectors.upsert("i", ids=[str(n)], vectors=[[1, n]])
        before = await vectors.query("i", query_vector=[1, 1])
        await vectors.optimize("i")
        assert await vectors.query("i", query_vector=[1, 1]) == before
