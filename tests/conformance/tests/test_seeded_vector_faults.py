"""Vector stores with one fault each: the suite catches every one of them."""

from __future__ import annotations

import textwrap

import pytest

from .suite_run import UNTIL_FOUND, run_suite

REPLACE = "msgspec.structs.replace"

FAULTS = {
    "the filter is ignored": (
        "TestComparisons::test_plain_values_are_equal_by_value_and_type",
        f"""
        async def _query(self, index, wanted):
            return await super()._query(index, [{REPLACE}(one, where=None) for one in wanted])
        """,
    ),
    "the filter is applied to what was found": (
        "TestFilteredSearch::test_matches_are_found_behind_thousands_that_are_nearer",
        f"""
        async def _query(self, index, wanted):
            every = [{REPLACE}(one, where=None) for one in wanted]
            found = await super()._query(index, every)
            return [
                [match for match in matches if holds(one.where, match.metadata)]
                for one, matches in zip(wanted, found)
            ]
        """,
    ),
    "a branch of several keys is flattened into its or": (
        "TestLogic::test_or_takes_what_any_matches",
        f"""
        async def _query(self, index, wanted):
            def flat(node):
                if isinstance(node, AnyOf):
                    nodes = [n for one in node.nodes for n in getattr(one, "nodes", (one,))]
                    return AnyOf(tuple(nodes))
                return node
            return await super()._query(
                index, [{REPLACE}(one, where=flat(one.where)) for one in wanted]
            )
        """,
    ),
    "what stands beside an or is lost": (
        "TestLogic::test_a_tenant_is_never_lost",
        f"""
        async def _query(self, index, wanted):
            def lost(node):
                if isinstance(node, All):
                    found = [n for n in node.nodes if isinstance(n, AnyOf)]
                    return found[0] if found else All(tuple(map(lost, node.nodes)))
                return node
            return await super()._query(
                index, [{REPLACE}(one, where=lost(one.where)) for one in wanted]
            )
        """,
    ),
    "a negation forgets what has no such key": (
        "TestComparisons::test_ne_finds_what_eq_does_not",
        f"""
        async def _query(self, index, wanted):
            def present(node):
                if isinstance(node, Compare) and node.negated and node.op != "exists":
                    return All((node, Compare(node.path, "exists", True)))
                return node
            return await super()._query(
                index, [{REPLACE}(one, where=present(one.where)) for one in wanted]
            )
        """,
    ),
    "texts are compared with numbers": (
        "TestComparisons::test_plain_values_are_equal_by_value_and_type",
        f"""
        async def _query(self, index, wanted):
            def loose(node):
                if isinstance(node, Compare) and node.op == "eq":
                    same = [node.value, str(node.value)]
                    return {REPLACE}(node, op="in", value=tuple(same))
                return node
            return await super()._query(
                index, [{REPLACE}(one, where=loose(one.where)) for one in wanted]
            )
        """,
    ),
    "the score is a distance": (
        "TestVectorScores::test_cosine_is_the_cosine",
        f"""
        async def _query(self, index, wanted):
            found = await super()._query(index, wanted)
            return [[{REPLACE}(m, score=1 - m.score) for m in matches] for matches in found]
        """,
    ),
    "the euclidean distance is squared": (
        "TestVectorScores::test_euclidean_falls_with_the_distance",
        f"""
        async def _query(self, index, wanted):
            found = await super()._query(index, wanted)
            if index.metric != "euclidean":
                return found
            def squared(score):
                return 1 / (1 + (1 / score - 1) ** 2)
            return [[{REPLACE}(m, score=squared(m.score)) for m in matches] for matches in found]
        """,
    ),
    "metadata lose what is nested": (
        "TestVectorValues::test_metadata_come_back_as_they_were",
        f"""
        async def _query(self, index, wanted):
            found = await super()._query(index, wanted)
            def flat(metadata):
                return {{k: v for k, v in metadata.items() if not isinstance(v, dict)}}
            return [
                [{REPLACE}(m, metadata=flat(m.metadata)) for m in matches] for matches in found
            ]
        """,
    ),
    "large integers in metadata become floats": (
        "TestVectorValues::test_metadata_come_back_as_they_were",
        f"""
        async def _upsert(self, index, items, stale):
            def rounded(text):
                import json
                return json.dumps(json.loads(text, parse_int=lambda n: int(float(n))))
            items = [{REPLACE}(i, metadata_json=rounded(i.metadata_json)) for i in items]
            await super()._upsert(index, items, stale)
        """,
    ),
    "storing appends instead of replacing": (
        "TestStoredVectors::test_a_vector_is_replaced_as_a_whole",
        f"""
        async def _upsert(self, index, items, stale):
            there = self._items(index)
            await super()._upsert(
                index,
                [{REPLACE}(i, id=i.id + "'") if i.id in there else i for i in items],
                stale,
            )
        """,
    ),
    "delete_filter is ignored": (
        "TestStoredVectors::test_what_matches_a_filter_is_deleted_before",
        """
        async def _upsert(self, index, items, stale):
            await super()._upsert(index, items, None)
        """,
    ),
    "only the first batch is stored": (
        "TestStoredVectors::test_many_are_stored_by_one_call",
        """
        async def _upsert(self, index, items, stale):
            await super()._upsert(index, items[: self.batch], stale)
        """,
    ),
    "an update of an unknown id makes a vector": (
        "TestChangedVectors::test_an_unknown_id_is_no_error_and_makes_nothing",
        """
        async def _update(self, index, chosen, vector, metadata_json):
            if isinstance(chosen, list) and vector is not None:
                from mastra_core.vector.schema import Item
                for key in chosen:
                    made = Item(id=key, vector=vector, metadata_json=metadata_json or "{}")
                    self._items(index).setdefault(key, made)
            await super()._update(index, chosen, vector, metadata_json)
        """,
    ),
    "metadata are merged into the old ones": (
        "TestChangedVectors::test_metadata_are_replaced_as_a_whole",
        """
        async def _update(self, index, chosen, vector, metadata_json):
            if metadata_json is not None and isinstance(chosen, list):
                for key in chosen:
                    item = self._items(index).get(key)
                    if item is not None:
                        new = msgspec.json.decode(metadata_json)
                        metadata_json = msgspec.json.encode({**item.metadata, **new}).decode()
            await super()._update(index, chosen, vector, metadata_json)
        """,
    ),
    "a deleted index is remembered": (
        "TestVectorIndexes::test_writing_into_an_index_that_another_deleted_is_an_error",
        """
        def _items(self, index):
            return self._stored.get(index.name, (index, {}))[1]
        """,
    ),
    "vectors are normalised when they are stored": (
        "TestNearest::test_vectors_come_with_their_matches_when_asked_for",
        f"""
        async def _upsert(self, index, items, stale):
            import math
            def unit(vector):
                from array import array
                length = math.hypot(*vector) or 1
                return array("f", [x / length for x in vector])
            await super()._upsert(index, [{REPLACE}(i, vector=unit(i.vector)) for i in items], stale)
        """,
    ),
    "an approximate search loses what is near": (
        "TestRecall::test_among_thousands_nearly_all_of_the_nearest_are_found",
        f"""
        exact = False

        async def _query(self, index, wanted):
            more = [{REPLACE}(one, top_k=one.top_k + 2) for one in wanted]
            found = await super()._query(index, more)
            many = len(self._items(index)) > 1000
            return [matches[2:] if many else matches for matches in found]
        """,
    ),
    "a store that says it is exact is not": (
        "TestRecall::test_among_thousands_nearly_all_of_the_nearest_are_found",
        f"""
        async def _query(self, index, wanted):
            more = [{REPLACE}(one, top_k=one.top_k + 1) for one in wanted]
            found = await super()._query(index, more)
            many = len(self._items(index)) > 1000
            return [matches[1:] if many and n == 0 else matches for n, matches in enumerate(found)]
        """,
    ),
    "vectors and metadata are written one after the other": (
        "TestSharedVectors::test_of_writers_of_one_id_one_wins_as_a_whole",
        """
        async def _upsert(self, index, items, stale):
            import asyncio
            await super()._upsert(index, items, stale)
            for item in items:
                await asyncio.sleep(0)
                await self._update(index, [item.id], None, item.metadata_json)
        """,
    ),
    "anywhere in a filter, a negation forgets what has no such key": (
        "TestVectorPrograms::test_programs_give_what_the_reference_gives",
        f"""
        async def _query(self, index, wanted):
            def present(node):
                if isinstance(node, Compare) and node.negated and node.op != "exists":
                    return All((node, Compare(node.path, "exists", True)))
                if isinstance(node, (All, AnyOf)):
                    return type(node)(tuple(map(present, node.nodes)))
                return node
            return await super()._query(
                index, [{REPLACE}(one, where=present(one.where)) for one in wanted]
            )
        """,
    ),
}


def vectors(body: str) -> str:
    """A vector store with these methods."""
    return "class Vectors(Vectors):\n" + textwrap.indent(textwrap.dedent(body), "    ")


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_a_vector_store_is_caught(tmp_path, fault):
    test, body = FAULTS[fault]
    module = f"from mastra_conformance.vectors import {test.partition('::')[0]}\n"
    options = ("-k", test.partition("::")[2], *UNTIL_FOUND)
    run = run_suite(tmp_path, module, *options, adapter=vectors(body))
    assert run.code == 1, run.text
    assert test in run.of("failed"), run.text
