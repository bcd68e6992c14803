"""Random programs, side by side with the reference; and how many of the nearest are found."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from mastra_conformance.explore import explore
from mastra_conformance.tiers import area, base, full
from mastra_conformance.vector_lab import VectorLab, VectorSite, some_metric
from mastra_conformance.vector_programs import Call, VectorPlayer, vector_programs
from mastra_conformance.vector_rows import close, ids, kept, score, some
from mastra_core.vector.schema import METRICS, Metric

RECALL = 0.95


@area("vector model")
class TestVectorPrograms:
    """Hypothesis makes the programs, and makes a failing one small."""

    @base
    def test_programs_give_what_the_reference_gives(
        self, conformance_vector_site: VectorSite
    ) -> None:
        """Everything that can be called, with ids, vectors and metadata that meet again."""
        site = conformance_vector_site
        store = site.make()
        metrics: list[Metric] = [m for m in METRICS if m in store.metrics]
        played = 0
        with asyncio.Runner() as runner:
            for metric in metrics:
                player = VectorPlayer(store, metric)
                try:
                    played += explore(
                        vector_programs(store.operators),
                        partial(_play, runner, player),
                        site.settings,
                        site.settings.seconds / len(metrics),
                    )
                finally:
                    runner.run(store.delete_index(player.index))
            runner.run(store.close())
        site.facts.measured["random programs of vectors"] = played
        assert played > 0


@area("vector model")
@pytest.mark.asyncio(loop_scope="function")
class TestRecall:
    """An exact store finds the nearest; an approximate one nearly all of them."""

    async def test_among_few_vectors_every_search_is_exact(self, vector_lab: VectorLab) -> None:
        """200 random vectors: an index that searches approximately has no excuse."""
        assert await _recall(vector_lab, 200) == 1.0

    @full
    async def test_among_thousands_nearly_all_of_the_nearest_are_found(
        self, vector_lab: VectorLab
    ) -> None:
        """95 of 100 on average, and all of them where the store says that it is exact."""
        found = await _recall(vector_lab, 3000)
        vector_lab.measured("recall of 10 among 3,000", found)
        assert found == 1.0 if vector_lab.store.exact else found >= RECALL


def _play(runner: asyncio.Runner, player: VectorPlayer, program: list[Call]) -> None:
    runner.run(player.play(program))


async def _recall(lab: VectorLab, count: int) -> float:
    """The share of the ten nearest that searches find, of 20 questions."""
    store, metric, dimension = lab.store, some_metric(lab.store), 24
    index = await lab.index(dimension, metric)
    vectors = [kept(store, one) for one in some(count, dimension, lab.settings.seed)]
    names = [f"v{n:04}" for n in range(count)]
    await store.upsert(index, ids=names, vectors=vectors)
    questions = [kept(store, one) for one in some(20, dimension, lab.settings.seed + 1)]
    hits = 0
    for question, found in zip(
        questions, await store.query_many(index, query_vectors=questions), strict=True
    ):
        right = {n: score(metric, question, v) for n, v in zip(names, vectors, strict=True)}
        tenth = sorted(right.values(), reverse=True)[9]
        assert len(set(ids(found))) == 10
        assert all(close(match.score, right[match.id]) for match in found)
        hits += sum(right[name] >= tenth or close(right[name], tenth) for name in ids(found))
    return hits / 200
