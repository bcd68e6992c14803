"""What is stored beside vectors comes back as it was: ids, metadata, documents, and the numbers."""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from mastra_conformance.suite.hostile import JSON, TEXTS, same
from mastra_conformance.tiers import area, base
from mastra_conformance.vector_lab import VectorLab, nothing_sent
from mastra_conformance.vector_rows import AXIS, BITS, finds, kept, some, stored, turned
from mastra_core.errors import InvalidArgumentError

OBJECTS: list[dict[str, Any]] = [
    *JSON,
    {},
    {"": 1, " ": 2, "a.b": 3, "a": {"b": 4}, "$x": 5, '"': 6, "'": 7, "\\": 8, "ключ": 9, "😀": 10},
    {"null": None, "list": [None, [], {}], "nested": {"null": None}},
    {
        "id": 1,
        "vector": 2,
        "embedding": 3,
        "metadata": 4,
        "vector_id": 5,
        "document": 6,
        "score": 7,
    },
    {"f": [0.1, 1e-300, 1.7976931348623157e308, -1.5, 1e21, 123456789.123456789]},
]


@area("vector hostile")
@pytest.mark.asyncio(loop_scope="function")
class TestVectorValues:
    """Nothing is lost, cut or changed."""

    @base
    async def test_metadata_come_back_as_they_were(self, vector_lab: VectorLab) -> None:
        """Nested objects, null, odd keys, integers beyond 2**53, floats: in value and in type."""
        store, index = vector_lab.store, await vector_lab.index()
        names = [f"v{n}" for n in range(len(OBJECTS))]
        vectors = [turned(n) for n in range(len(OBJECTS))]
        await store.upsert(index, ids=names, vectors=vectors, metadata=OBJECTS)
        found = await stored(store, index)
        for name, given in zip(names, OBJECTS, strict=True):
            assert same(found[name].metadata, given), (found[name].metadata, given)
        for name, given in zip(names, reversed(OBJECTS), strict=True):
            await store.update_vector(index, id=name, metadata=given)
        found = await stored(store, index)
        for name, given in zip(names, reversed(OBJECTS), strict=True):
            assert same(found[name].metadata, given), (found[name].metadata, given)

    async def test_texts_come_back_as_they_were(self, vector_lab: VectorLab) -> None:
        """As documents and in metadata, as values and as keys."""
        store, index = vector_lab.store, await vector_lab.index()
        texts = ["", *TEXTS]
        await store.upsert(
            index,
            ids=[f"v{n}" for n in range(len(texts))],
            vectors=[turned(n) for n in range(len(texts))],
            metadata=[{"k": text, f"key {text}": {text: text}} for text in texts],
            documents=texts,
        )
        found = await stored(store, index)
        for n, text in enumerate(texts):
            match = found[f"v{n}"]
            assert match.document == text
            assert match.metadata == {"k": text, f"key {text}": {text: text}}

    async def test_what_no_database_takes_is_cleaned(self, vector_lab: VectorLab) -> None:
        """NUL is dropped, and half a surrogate pair becomes U+FFFD, as everywhere."""
        store, index = vector_lab.store, await vector_lab.index()
        await store.upsert(
            index,
            ids=["a"],
            vectors=[AXIS],
            metadata=[{"k\0": "x\0y", "h\ud800": ["\udc00"]}],
            documents=["a\0b\ud83d"],
        )
        found = (await stored(store, index))["a"]
        assert found.metadata == {"k": "xy", "h\ufffd": ["\ufffd"]}
        assert found.document == "ab\ufffd"
        await finds(vector_lab, index, {"k": "x\0y"}, ["a"])

    async def test_long_texts_are_whole(self, vector_lab: VectorLab) -> None:
        """100 KB in metadata, and as a document: chunks of real documents are long."""
        store, index = vector_lab.store, await vector_lab.index()
        text = "äöü😀" * 9_000
        await store.upsert(
            index, ids=["a"], vectors=[AXIS], metadata=[{"text": text, "k": 1}], documents=[text]
        )
        found = (await stored(store, index))["a"]
        assert (found.metadata, found.document) == ({"text": text, "k": 1}, text)

    async def test_what_is_no_json_is_refused(self, vector_lab: VectorLab) -> None:
        """Unsent: NaN, objects of other kinds, circles, and what is nested without end."""
        store, index = vector_lab.store, await vector_lab.index()
        circle: dict[str, Any] = {}
        circle["itself"] = circle
        deep: Any = 1
        for _ in range(100_000):
            deep = [deep]
        for wrong in (float("nan"), float("inf"), object(), circle, deep, lambda: None, 1j):
            for given in ({"k": wrong}, {"k": {"k": [wrong]}}):
                with nothing_sent(store), pytest.raises(InvalidArgumentError, match="metadata"):
                    await store.upsert(index, vectors=[AXIS], metadata=[given])
                with nothing_sent(store), pytest.raises(InvalidArgumentError, match="metadata"):
                    await store.update_vector(index, id="a", metadata=given)

    async def test_times_are_texts_that_filters_find(self, vector_lab: VectorLab) -> None:
        """An aware datetime is its UTC text with milliseconds, in metadata and in filters."""
        store, index = vector_lab.store, await vector_lab.index()
        noon = datetime(2024, 3, 1, 12, tzinfo=UTC)
        there = noon.astimezone(timezone(timedelta(hours=5)))
        later = noon + timedelta(microseconds=1_999)
        await store.upsert(
            index,
            ids=["noon", "later"],
            vectors=[AXIS, AXIS],
            metadata=[{"at": noon, "deep": [{"at": there}]}, {"at": later}],
        )
        found = await stored(store, index)
        text = "2024-03-01T12:00:00.000Z"
        assert found["noon"].metadata == {"at": text, "deep": [{"at": text}]}
        assert found["later"].metadata == {"at": "2024-03-01T12:00:00.001Z"}
        await finds(vector_lab, index, {"at": there}, ["noon"])
        await finds(vector_lab, index, {"at": {"$gt": noon}}, ["later"])
        await finds(vector_lab, index, {"at": {"$lte": later}}, ["noon", "later"])
        with pytest.raises(InvalidArgumentError, match="time zone"):
            await store.upsert(
                index,
                vectors=[AXIS],
                metadata=[{"at": datetime(2024, 1, 1)}],  # noqa: DTZ001
            )

    async def test_ids_are_exact(self, vector_lab: VectorLab) -> None:
        """Case, blanks, accents, forms and length count: no two of these are one."""
        store, index = vector_lab.store, await vector_lab.index()
        names = [
            *("a", "A", "a ", " a", "á", "a\u0301", "ａ", "a:b", "a/b", "a#b", "a%b", "a\tb", "😀"),
            *("'", '"', "--", "*", "x' OR '1'='1", "1", "01", "null", "x" * 255, "x" * 254),
            "0192f1c0-7e4b-7cc3-98c4-dc0c0c07398f",
            "message-0192f1c0-7e4b-7cc3-98c4-dc0c0c07398f-0",
        ]
        await store.upsert(
            index,
            ids=names,
            vectors=[turned(n) for n in range(len(names))],
            metadata=[{"n": n} for n in range(len(names))],
        )
        found = await stored(store, index)
        assert {name: match.metadata["n"] for name, match in found.items()} == {
            name: n for n, name in enumerate(names)
        }
        await store.update_vector(index, id="a", metadata={"n": "changed"})
        await store.delete_vectors(index, ids=["A", "*"])
        found = await stored(store, index)
        assert sorted(found) == sorted(set(names) - {"A", "*"})
        changed = [name for name, match in found.items() if match.metadata["n"] == "changed"]
        assert changed == ["a"]

    async def test_numbers_are_kept_in_32_bits(self, vector_lab: VectorLab) -> None:
        """Bit for bit what a 32-bit float can be (a 16-bit one, where the store keeps these): large, tiny, negative, of long vectors too."""
        store, index = vector_lab.store, await vector_lab.index(1536)
        largest = struct.unpack("<f", b"\xff\xff\x7f\x7f")[0]
        odd = [largest, -largest, 1e-38, 2.0**-149, 16777217.0, 0.1, 1 / 3]
        if store.bits != BITS:
            odd = [65504.0, -65504.0, 2.0**-14, 2.0**-24, 2049.0, 0.1, 1 / 3]
        given = [odd + [0.0] * (1536 - len(odd)), *some(3, 1536, vector_lab.settings.seed)]
        given = [kept(store, one) for one in given]
        names = [f"v{n}" for n in range(len(given))]
        await store.upsert(index, ids=names[1:], vectors=given[1:])
        found = await store.query(index, query_vector=given[1], include_vector=True)
        assert {match.id: match.vector for match in found} == dict(
            zip(names[1:], given[1:], strict=True)
        )
        assert found[0].id == "v1"
        await store.update_vector(index, id="v2", vector=[*given[0][2:], 0.0, 0.0])
        changed = await store.query(index, query_vector=given[1], include_vector=True)
        found_again = next(match.vector for match in changed if match.id == "v2")
        wanted = [*given[0][2:], 0.0, 0.0]
        assert struct.pack("<1536f", *(found_again or [])) == struct.pack("<1536f", *wanted)
