"""Where the original's vectors lose or mix up what is asked for, and ours do not (see README.md)."""

from __future__ import annotations

import pytest
import pytest_asyncio

from mastra_core.errors import ConflictError

pytestmark = pytest.mark.asyncio

NORTH, EAST = [0.0, 1.0], [1.0, 0.0]
STORED = {
    "a": {"tenant": "x", "kind": "note", "n": 5, "tags": ["red", "blue"], "flag": True},
    "b": {"tenant": "y", "kind": "note", "n": "N/A", "tags": ["red"], "flag": 1},
    "c": {"tenant": "y", "kind": "mail", "n": -3, "tags": [], "flag": False},
    "d": {"kind": "mail"},
}


@pytest_asyncio.fixture(autouse=True)
async def stored(vectors):
    """Four vectors in one direction, told apart by their metadata."""
    await vectors.create_index("docs", dimension=2)
    await vectors.upsert(
        "docs", ids=list(STORED), vectors=[NORTH] * 4, metadata=list(STORED.values())
    )


@pytest.fixture
def both(vectors, alone):
    """The ids that each side finds with a filter, the original's first."""

    async def find(where: dict) -> tuple[list[str], list[str]]:
        # More than there are: the original then looks at every row, past its graph.
        query = {"indexName": "docs", "queryVector": NORTH, "topK": 10}
        original = await alone.vector.query(**query, filter=where)
        mine = await vectors.query("docs", query_vector=NORTH, top_k=10, filter=where)
        return sorted(match["id"] for match in original), [match.id for match in mine]

    return find


async def test_all_keys_of_a_branch_must_hold(both):
    where = {"$or": [{"tenant": "x", "kind": "mail"}, {"n": 5}]}
    assert await both(where) == (["a", "c", "d"], ["a"])


async def test_a_text_is_no_number(both):
    assert await both({"n": {"$gt": -1}}) == (["a", "b"], ["a"])


async def test_contains_with_a_list_means_all_of_it(both):
    assert await both({"tags": {"$contains": ["red", "blue"]}}) == (["a", "b"], ["a"])


async def test_what_is_absent_is_not_equal(both):
    assert await both({"tenant": {"$ne": "x"}}) == (["b", "c"], ["b", "c", "d"])
    assert await both({"tenant": {"$nin": ["x"]}}) == (["b", "c"], ["b", "c", "d"])


async def test_true_is_not_one(both):
    assert await both({"flag": True}) == (["a", "b"], ["a"])


async def test_a_score_that_is_just_enough_is_enough(vectors, alone):
    await vectors.upsert("docs", ids=["e"], vectors=[EAST])
    query = {
        "indexName": "docs",
        "queryVector": EAST,
        "topK": 9,
        "filter": {"kind": {"$exists": False}},
    }
    (exact,) = await alone.vector.query(**query)
    assert await alone.vector.query(**query, minScore=exact["score"]) == []
    found = await vectors.query("docs", query_vector=EAST, min_score=exact["score"])
    assert [match.id for match in found] == ["e"]


async def test_a_vector_of_zeros_is_found(vectors, alone):
    await vectors.upsert("docs", ids=["nought"], vectors=[[0.0, 0.0]], metadata=[{"kind": "none"}])
    query = {"indexName": "docs", "queryVector": NORTH, "topK": 9, "filter": {"kind": "none"}}
    assert await alone.vector.query(**query) == []
    found = await vectors.query("docs", query_vector=NORTH, filter={"kind": "none"})
    assert [(match.id, match.score) for match in found] == [("nought", 0.0)]


async def test_of_equal_vectors_all_are_found_after_one_was_deleted(original, vectors, tmp_path):
    apart = original.store(tmp_path / "apart.db")
    await apart.vector.createIndex(indexName="docs", dimension=2)
    # In all directions, and then five times the same one.
    others = [[float(x), float(y)] for x in range(-9, 10) for y in range(-9, 10) if x or y]
    twins = [f"twin{number}" for number in range(5)]
    names = [f"other{number}" for number in range(len(others))]
    await apart.vector.upsert(
        indexName="docs", ids=names + twins, vectors=others + [[99.0, 1.0]] * 5
    )
    await vectors.upsert("docs", ids=names + twins, vectors=others + [[99.0, 1.0]] * 5)
    await apart.vector.deleteVector(indexName="docs", id="twin0")
    await vectors.delete_vector("docs", id="twin0")

    query = {"indexName": "docs", "queryVector": [99.0, 1.0], "topK": 4}
    original_found = {match["id"] for match in await apart.vector.query(**query)}
    assert original_found < {*twins[1:], *names}
    assert original_found != set(twins[1:])
    found = await vectors.query("docs", query_vector=[99.0, 1.0], top_k=4)
    assert {match.id for match in found} == set(twins[1:])
    await apart.close()


async def test_a_delete_filter_deletes(vectors, alone):
    new = {"ids": ["new"], "vectors": [EAST], "metadata": [{}]}
    await alone.vector.upsert(indexName="docs", **new, deleteFilter={"kind": "note"})
    assert (await alone.vector.describeIndex(indexName="docs"))["count"] == 5
    await vectors.upsert("docs", **new, delete_filter={"kind": "note"})
    assert (await vectors.describe_index("docs")).count == 3


async def test_vectors_are_answered_as_they_were_stored(vectors, alone):
    exact = [1.69140625, 0.30078125]
    await vectors.upsert("docs", ids=["e"], vectors=[exact], metadata=[{"kind": "exact"}])
    query = {"indexName": "docs", "queryVector": EAST, "topK": 9, "filter": {"kind": "exact"}}
    (match,) = await alone.vector.query(**query, includeVector=True)
    assert match["vector"] == [1.69141, 0.300781]
    (mine,) = await vectors.query(
        "docs", query_vector=EAST, filter={"kind": "exact"}, include_vector=True
    )
    assert mine.vector == exact


async def test_an_index_has_the_dimension_and_the_metric_that_were_asked_for(vectors, alone):
    await alone.vector.createIndex(indexName="docs", dimension=7)
    assert (await alone.vector.describeIndex(indexName="docs"))["dimension"] == 2
    with pytest.raises(ConflictError, match="2 dimensions and the metric cosine, not 7"):
        await vectors.create_index("docs", dimension=7)

    await alone.vector.createIndex(indexName="far", dimension=2, metric="euclidean")
    assert (await alone.vector.describeIndex(indexName="far"))["metric"] == "cosine"
    await vectors.create_index("distant", dimension=2, metric="euclidean")
    assert (await vectors.describe_index("distant")).metric == "euclidean"
    await vectors.upsert("distant", ids=["a"], vectors=[[0.0, 3.0]])
    (found,) = await vectors.query("distant", query_vector=[4.0, 0.0])
    assert found.score == pytest.approx(1 / 6)
