"""Arguments that are data and nothing else; what must not be told, and what must not be loaded."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from typing import Any

import pytest

from mastra_conformance.lab import fresh
from mastra_conformance.suite.hostile import TEXTS
from mastra_conformance.tiers import area
from mastra_conformance.vector_lab import VectorLab, VectorSite
from mastra_conformance.vector_rows import AXIS, finds, ids, stored, turned
from mastra_core.errors import InvalidArgumentError, MastraError, NotFoundError, UnsupportedError
from mastra_core.plugins import installed, scheme_of

ATTACKS: tuple[str, ...] = (
    *TEXTS,
    "x' OR '1'='1' --",
    'x" OR "1"="1" --',
    "x') OR 1=1; DROP TABLE x; --",
    "$.k') IS NOT NULL OR ('1'='1",
    '{"$gt": ""}',
    "*",
    "%",
    "?",
    ":name",
    "@>",
)


@area("vector hostile")
@pytest.mark.asyncio(loop_scope="function")
class TestVectorArguments:
    """None is executed, none matches more than itself."""

    async def test_values_of_filters_are_compared_not_interpreted(
        self, vector_lab: VectorLab
    ) -> None:
        """What looks like an operator, a pattern or a statement equals only itself."""
        store, index = vector_lab.store, await vector_lab.index()
        texts = list(dict.fromkeys(ATTACKS))
        await store.upsert(
            index,
            ids=[f"v{n}" for n in range(len(texts))],
            vectors=[turned(n) for n in range(len(texts))],
            metadata=[{"k": text} for text in texts],
        )
        for n, text in enumerate(texts):
            await finds(vector_lab, index, {"k": text}, [f"v{n}"])
            await finds(vector_lab, index, {"k": {"$in": [text]}}, [f"v{n}"])
            await finds(vector_lab, index, {"k": {"$contains": [text]}}, [])
            others = {f"v{m}" for m in range(len(texts))} - {f"v{n}"}
            await finds(vector_lab, index, {"k": {"$ne": text}}, others)

    async def test_keys_of_filters_are_names_or_refused(self, vector_lab: VectorLab) -> None:
        """A key never becomes part of a statement: it finds what has it, or is an error."""
        store, index = vector_lab.store, await vector_lab.index()
        keys = [key for key in dict.fromkeys(ATTACKS) if "." not in key and key[0] != "$"]
        keys += ["a" * 1000, "k]", "a[0]", "k'", 'k"', "__proto__", "constructor", "length"]
        await store.upsert(
            index,
            ids=["secret", *(f"v{n}" for n in range(len(keys)))],
            vectors=[turned(n) for n in range(len(keys) + 1)],
            metadata=[{"k": "secret"}, *({key: "mine", "n": n} for n, key in enumerate(keys))],
        )
        for n, key in enumerate(keys):
            for condition in ("mine", {"$in": ["mine"]}, {"$exists": True}):
                given = {key: condition}
                try:
                    found = await store.query(index, query_vector=AXIS, top_k=1000, filter=given)
                except (InvalidArgumentError, UnsupportedError):
                    continue
                assert ids(found) == [f"v{n}"], key
        assert len(await stored(store, index)) == len(keys) + 1

    async def test_keys_with_dots_go_into_objects_and_nowhere_else(
        self, vector_lab: VectorLab
    ) -> None:
        """Whatever the parts of the key look like."""
        store, index = vector_lab.store, await vector_lab.index()
        parts = ["a", "'", "$x", "a b", "[0]", "ключ", "#", "*", "0"]
        metadata = [{"k": {part: {"leaf": n}}} for n, part in enumerate(parts)]
        await store.upsert(
            index,
            ids=[f"v{n}" for n in range(len(parts))],
            vectors=[AXIS] * len(parts),
            metadata=metadata,
        )
        for n, part in enumerate(parts):
            try:
                found = await store.query(
                    index, query_vector=AXIS, filter={f"k.{part}.leaf": {"$exists": True}}
                )
            except (InvalidArgumentError, UnsupportedError):
                continue
            assert ids(found) == [f"v{n}"], part

    async def test_names_and_ids_are_data(self, vector_lab: VectorLab) -> None:
        """As an index that is not there, as an id that is not there; nothing else is touched."""
        store, index = vector_lab.store, await vector_lab.index()
        await store.upsert(index, ids=["kept"], vectors=[AXIS], metadata=[{"k": 1}])
        for text in ATTACKS:
            for name in (text, f"{index}{text}", f'{index}" --', f"{index}; DROP TABLE {index}"):
                with pytest.raises(NotFoundError):
                    await store.query(name, query_vector=AXIS)
                await store.delete_index(name)
            await store.delete_vectors(index, ids=[text])
            await store.update_vector(index, id=text, vector=turned(90), metadata={})
        found = await stored(store, index)
        assert {name: (m.vector, m.metadata) for name, m in found.items()} == {
            "kept": (AXIS, {"k": 1})
        }


@area("vector hostile")
@pytest.mark.asyncio(loop_scope="function")
class TestVectorDiscretion:
    """What must not be told is not told."""

    async def test_secrets_are_neither_in_reprs_nor_in_errors_nor_logs(
        self, vector_lab: VectorLab, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Metadata, documents, and the parts of the URL that authenticate stay out of all three."""
        caplog.set_level(logging.DEBUG)
        store, index, secret = vector_lab.store, await vector_lab.index(), fresh("secret")
        stored_with: dict[str, Any] = {"metadata": [{"s": secret}], "documents": [secret]}
        await store.upsert(index, ids=["a"], vectors=[AXIS], **stored_with)
        texts = [repr(store), str(store)]
        calls = [
            store.upsert(index, vectors=[[1.0]], **stored_with),
            store.upsert(index, vectors=[AXIS], metadata=[{"s": secret, "bad": object()}]),
            store.upsert(vector_lab.name(), vectors=[AXIS], **stored_with),
            store.query(index, query_vector=[1.0], filter={"s": secret}),
            store.create_index(
                index, dimension=9, metric=(await store.describe_index(index)).metric
            ),
        ]
        for call in calls:
            with pytest.raises(MastraError) as caught:
                await call
            texts.append(f"{caught.value} {caught.value!r} {caught.value.__cause__}")
        texts.append(caplog.text)
        assert store.id in repr(store)
        for word in (secret, *_credentials(vector_lab.site)):
            assert not [text for text in texts if word in text]


def _credentials(site: VectorSite) -> list[str]:
    """The user's part of the URL: its password or token."""
    authority = (site.url or "").partition("://")[2].partition("/")[0]
    user, at_sign, _ = authority.rpartition("@")
    password = user.partition(":")[2]
    return [password] if at_sign and password else []


@area("vector hostile")
class TestVectorImports:
    """Installing a vector store must not slow down or break those who do not use it."""

    def test_announcing_a_vector_store_imports_no_driver(
        self, conformance_vector_site: VectorSite
    ) -> None:
        """Finding all that is installed loads none of the drivers that this one names."""
        conformance_vector_site.make()
        package = conformance_vector_site.facts.adapter.partition(".")[0]
        url = conformance_vector_site.url
        announced = [a for found in installed().vectors.values() for a, _ in found]
        if url is not None and scheme_of(url) != "memory":
            announced = [a for a, _ in installed().vectors.get(scheme_of(url), ())]
            assert announced, f"no installed package announces a vector store for {scheme_of(url)}:"
        drivers = sorted({driver for adapter in announced for driver in adapter.drivers})
        program = (
            "import sys, json, importlib; from mastra_core.plugins import installed; "
            f"importlib.import_module({package!r}); installed(); "
            f"print(json.dumps([d for d in {drivers!r} if d in sys.modules]))"
        )
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        )
        assert json.loads(done.stdout) == []
