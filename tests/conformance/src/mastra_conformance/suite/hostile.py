"""Values and arguments that break what is careless: nothing is lost, executed or given away."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Sequence
from typing import Any, cast

import msgspec
import pytest

from mastra_conformance.lab import Lab, Site, fresh
from mastra_conformance.records import message, saved, score, thread
from mastra_conformance.rows import at
from mastra_conformance.tiers import area, base
from mastra_core.errors import InvalidArgumentError, MastraError
from mastra_core.plugins import installed, scheme_of
from mastra_core.storage.tables import TABLES

TEXTS: tuple[str, ...] = (
    "it's",
    '"quoted"',
    "back\\slash",
    "percent % under _ star *",
    "tab\tline\nreturn\r\n",
    "emoji 😀👩‍👩‍👧‍👦 \U0001f1e9\U0001f1ea",
    "ünïcödé ß ı İ ﬁ",
    "e\u0301 is not \u00e9",
    "עברית العربية \u202e",
    "\u2028\u2029\ufeff\ufffe\uffff",
    "\x01\x1f\x7f\x80\x9f",
    "${jndi:x} {{x}} %(x)s {0} $1 :x ?",
    "; DROP TABLE mastra_threads; --",
    "' OR '1'='1",
    "*/ -- #",
    "null",
    "\\u0000 \\x00 \\ud800",
    "__proto__ constructor a.b $where",
    " blanks around ",
    "/../ \\..\\ //",
)
JSON: list[Any] = [
    {"__proto__": {"polluted": True}, "constructor": {"prototype": 1}, "toString": 1},
    {"a.b": 1, "a": {"b": 2}, "$set": {"x": 1}, "$a": "$b", "": "empty key", "a[0]": 1, "0": 2},
    {"lc": 1, "type": "constructor", "id": ["os", "system"], "__class__": "x", "py/object": "y"},
    {"n": [0, -1, 1.5, -0.0, 1e-7, 1e15, 2**31, 2**53, 2**53 + 1, -(2**63), 2**63, 2**64 + 1]},
    {"deep": [[[[[[{"a": [None, [None], {}]}]]]]]]},
    {"empty": ["", [], {}, None, [[]], [{}], {"a": {}}]},
    {"t": True, "f": False, "one": 1, "text": "true", "number": "1"},
    {text: text for text in TEXTS},
]
# Integers beyond are as good as floats.
EXACT = 2**80


def same(a: Any, b: Any) -> bool:
    """Whether two JSON values are equal in type too."""
    kinds: set[type] = {type(a), type(b)}
    if isinstance(a, dict) and isinstance(b, dict):
        left, right = cast("dict[str, Any]", a), cast("dict[str, Any]", b)
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(a, list) and isinstance(b, list):
        first, second = cast("Sequence[Any]", a), cast("Sequence[Any]", b)
        return len(first) == len(second) and all(map(same, first, second))
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    x, y = cast("float", a), cast("float", b)
    if kinds == {int, float} and abs(x) > EXACT:
        # A database that keeps decimal numbers says 1e300 with all its digits: read, an integer.
        return float(x) == float(y)
    return bool(a == b) and (len(kinds) == 1 or kinds == {int, float})


@area("hostile")
@pytest.mark.asyncio(loop_scope="function")
class TestValues:
    """Values come back as they were."""

    @base
    async def test_texts_survive_everywhere(self, lab: Lab) -> None:
        """In titles, ids, metadata keys and values, parts, working memory and scores."""
        memory, scores = lab.store.memory, lab.store.scores
        for text in TEXTS:
            given = thread(id=f"{fresh()} {text}"[:255], title=text, metadata={text: [text]})
            said = message(given, content={"format": 2, "parts": [{"type": "text", "text": text}]})
            await memory.save_messages([said], create=given)
            found = await memory.get_thread_by_id(given.id)
            assert found is not None
            assert (found.id, found.title, found.metadata) == (given.id, text, {text: [text]})
            assert (await memory.list_messages(given.id)).messages == [said]
            resource = await memory.update_resource(given.resource_id, working_memory=text)
            assert await memory.get_resource_by_id(given.resource_id) == resource
            assert resource.working_memory == text
            kept = await scores.save_score(score(reason=text, output=text, scorer={text: text}))
            assert await scores.get_score_by_id(kept.id) == kept
            assert (kept.reason, kept.output) == (text, text)

    async def test_json_survives_everywhere(self, lab: Lab) -> None:
        """Keys that look like paths, operators or prototypes; numbers beyond a double's integers."""
        memory, workflows, datasets = lab.store.memory, lab.store.workflows, lab.store.datasets
        owner = await datasets.create_dataset("hostile")
        for value in JSON:
            given = thread(metadata=value)
            content = {"format": 2, "parts": [{"type": "data-x", "data": value}], "metadata": value}
            await memory.save_messages([message(given, content=content)], create=given)
            found = await memory.get_thread_by_id(given.id)
            assert found is not None
            assert same(found.metadata, value)
            assert same((await memory.list_messages(given.id)).messages[0].content, content)
            key: dict[str, Any] = {"workflow_name": fresh("workflow"), "run_id": fresh("run")}
            await workflows.persist_workflow_snapshot(**key, snapshot={"context": {"input": value}})
            context = await workflows.update_workflow_results(**key, step_id="s", result=value)
            assert same(context, {"input": value, "s": value})
            loaded = await workflows.load_workflow_snapshot(**key)
            assert loaded is not None
            assert same(loaded["context"], context)
            item = await datasets.add_item(owner.id, input=value)
            read = await datasets.get_item_by_id(item.id)
            assert read is not None
            assert same(read.input, value)

    async def test_merging_keeps_hostile_keys_as_data(self, lab: Lab) -> None:
        """Merges inside databases take keys for paths and values for formulas."""
        memory, given = lab.store.memory, thread(metadata={"a": {"b": 1}, "keep": "$keep"})
        await memory.save_thread(given)
        wanted: dict[str, Any] = dict(given.metadata or {})
        for value in JSON:
            wanted = {**wanted, **value}
            changed = await memory.update_thread(given.id, metadata=value)
            assert same(changed.metadata, wanted)
            found = await memory.get_thread_by_id(given.id)
            assert found is not None
            assert same(found.metadata, wanted)

    async def test_nul_and_lone_surrogates_do_no_harm(self, lab: Lab) -> None:
        """Dropped and replaced in text and JSON, because no two databases agree; refused in ids."""
        memory, text = lab.store.memory, "a\0b\ud800c"
        given = thread(title=text, metadata={text: [text]})
        await memory.save_thread(given)
        found = await memory.get_thread_by_id(given.id)
        assert found is not None
        clean = "ab\ufffdc"
        assert (found.title, found.metadata) == (clean, {clean: [clean]})
        said = message(given, content={"format": 2, "parts": [{"type": "text", "text": text}]})
        await memory.save_messages([said])
        assert (await memory.list_messages(given.id)).messages[0].text == clean
        await memory.update_resource(given.resource_id, working_memory=text, metadata={"k": text})
        resource = await memory.get_resource_by_id(given.resource_id)
        assert resource is not None
        assert (resource.working_memory, resource.metadata) == (clean, {"k": clean})
        for bad in ("a\0b", "a\ud800b"):
            with pytest.raises(InvalidArgumentError):
                await memory.save_thread(thread(id=bad))
            with pytest.raises(InvalidArgumentError):
                await memory.get_thread_by_id(bad)

    async def test_ids_are_exact(self, lab: Lab) -> None:
        """Case, blanks, accents, forms and length count: no two of these are one."""
        memory, resource, stem = lab.store.memory, fresh("resource"), fresh()[3:23]
        variants = [
            "a",
            "A",
            "a ",
            " a",
            "á",
            "a\u0301",
            "ａ",
            "a:b",
            "a/b",
            "a#b",
            "a%b",
            "a\tb",
            "😀",
        ]
        names = [f"{stem}{variant}" for variant in variants]
        names += [f"{stem}{'x' * (255 - len(stem))}", f"{stem}{'x' * (254 - len(stem))}"]
        for name in names:
            await memory.save_thread(thread(resource, id=name, title=name))
        for name in names:
            found = await memory.get_thread_by_id(name)
            assert found is not None
            assert (found.id, found.title) == (name, name)
        page = await memory.list_threads(resource_id=resource)
        assert sorted(t.id for t in page.threads) == sorted(names)
        await memory.delete_thread(names[0])
        assert (await memory.list_threads(resource_id=resource)).total == len(names) - 1

    async def test_large_values_are_whole_or_refused(self, lab: Lab) -> None:
        """A megabyte comes back as it was, or an error says that it is too much; never a part."""
        memory = lab.store.memory
        owner = await memory.save_thread(thread())
        text = "äöü😀" * 100_000
        given = message(owner, content={"format": 2, "parts": [{"type": "text", "text": text}]})
        bound = lab.backend.limits.value_bytes
        if bound is not None and bound < 1_100_000:
            with pytest.raises(MastraError):
                await memory.save_messages([given])
            assert (await memory.list_messages(owner.id)).messages == []
        else:
            await memory.save_messages([given])
            assert (await memory.list_messages(owner.id)).messages == [given]

    async def test_deeply_nested_json_is_kept_or_refused(self, lab: Lab) -> None:
        """A hundred levels are kept; what no parser takes is an error, not a crash."""
        memory = lab.store.memory
        value: Any = "leaf"
        for _ in range(100):
            value = {"a": [value]}
        given = thread(metadata=value)
        await memory.save_thread(given)
        assert await memory.get_thread_by_id(given.id) == given
        for _ in range(100_000):
            value = [value]
        with pytest.raises(InvalidArgumentError):
            await memory.save_thread(thread(metadata={"a": value}))

    async def test_times_far_and_near_are_exact(self, lab: Lab) -> None:
        """Before 1970, far ahead, in other zones, and cut (not rounded) to milliseconds."""
        memory, resource = lab.store.memory, fresh("resource")
        offsets = [-(10**12), -1, 0, 999, 86_399_999, 10**12]
        for i, offset in enumerate(offsets):
            await memory.save_thread(
                thread(resource, title=str(i), created_at=at(offset).replace(microsecond=999_999))
            )
        order = {"direction": "ASC"}
        page = await memory.list_threads(resource_id=resource, order_by=order)
        assert [t.created_at for t in page.threads] == sorted(t.created_at for t in page.threads)
        assert {t.created_at.microsecond for t in page.threads} == {999_000}
        assert all(t.created_at.utcoffset() is not None for t in page.threads)


@area("hostile")
@pytest.mark.asyncio(loop_scope="function")
class TestArguments:
    """Arguments are data: none is executed, none matches more than itself."""

    async def test_every_string_argument_takes_hostile_text(self, lab: Lab) -> None:
        """As an id that is unknown, or as an invalid argument; and everything is still there."""
        store = lab.store
        owner, messages = await saved(store.memory, 2)
        for text in [*TEXTS, "x' UNION SELECT * FROM mastra_threads --", '{"$gt": ""}', "*", "%"]:
            calls = _calls(store, text)
            for call in calls:
                try:
                    answer = await call
                except MastraError:
                    continue
                assert not _names(answer, owner.id), text
        assert (await store.memory.list_messages(owner.id)).messages == messages
        for table in TABLES:
            assert await lab.backend.count(table, ()) >= 0

    async def test_metadata_keys_are_names_or_refused(self, lab: Lab) -> None:
        """A key of a filter never becomes part of a statement."""
        memory = lab.store.memory
        owner, _ = await saved(memory, 1)
        keys = [
            "a') OR 1=1 --",
            'a"b',
            "a.b",
            "$where",
            "a b",
            "__proto__",
            "k;",
            "",
            "ä",
            "a" * 129,
        ]
        for key in keys:
            with pytest.raises(InvalidArgumentError):
                await memory.list_threads(metadata={key: 1})
            with pytest.raises(InvalidArgumentError):
                await memory.list_messages(owner.id, metadata={key: 1})
            with pytest.raises(InvalidArgumentError):
                await lab.store.observability.list_traces(metadata={key: 1})

    async def test_filter_values_are_compared_not_interpreted(self, lab: Lab) -> None:
        """A value that looks like an operator, a pattern or SQL equals only itself."""
        memory, resource = lab.store.memory, fresh("resource")
        for i, text in enumerate(TEXTS):
            await memory.save_thread(thread(resource, title=str(i), metadata={"k": text}))
        for i, text in enumerate(TEXTS):
            page = await memory.list_threads(resource_id=resource, metadata={"k": text})
            assert [t.title for t in page.threads] == [str(i)], text


def _calls(store: Any, text: str) -> list[Any]:
    """Reads and harmless writes of every domain with the same text in every place."""
    memory, workflows, scores = store.memory, store.workflows, store.scores
    observability, datasets, experiments = store.observability, store.datasets, store.experiments
    return [
        memory.get_thread_by_id(text, resource_id=text),
        memory.list_threads(resource_id=text, metadata={"k": text}),
        memory.list_messages(text, resource_id=text, metadata={"k": text}, include=[{"id": text}]),
        memory.list_messages_by_resource_id(text),
        memory.list_messages_by_id([text]),
        memory.update_thread(text, title=text),
        memory.delete_messages([text]),
        memory.delete_thread(text, resource_id=text),
        memory.get_resource_by_id(text),
        memory.clone_thread(text),
        workflows.load_workflow_snapshot(workflow_name=text, run_id=text),
        workflows.get_workflow_run_by_id(text, workflow_name=text, resource_id=text),
        workflows.list_workflow_runs(
            workflow_name=text, resource_id=text, status=text, thread_id=text
        ),
        workflows.delete_workflow_run_by_id(text, workflow_name=text),
        scores.get_score_by_id(text, organization_id=text),
        scores.list_scores_by_scorer_id(text, entity_id=text, entity_type=text, source=text),
        scores.list_scores_by_span(text, span_id=text),
        observability.get_trace(text),
        observability.get_span(text, span_id=text),
        observability.list_traces(entity_name=text, tags=[text], metadata={"k": text}),
        observability.batch_delete_traces([text]),
        datasets.get_dataset_by_id(text, organization_id=text, project_id=text),
        datasets.list_datasets(name=text, target_ids=[text], candidate_key=text),
        datasets.list_items(text, search=text),
        datasets.get_item_by_id(text),
        datasets.delete_dataset(text, organization_id=text),
        experiments.get_experiment_by_id(text),
        experiments.list_experiments(dataset_id=text, target_id=text, variant_id=text),
        experiments.list_experiment_results(text, tags=[text], trace_id=text),
        experiments.delete_experiment(text, organization_id=text),
    ]


def _names(answer: Any, secret: str) -> bool:
    """Whether an answer contains an id that it has no business with."""
    return secret in msgspec.json.encode(answer).decode()


@area("hostile")
@pytest.mark.asyncio(loop_scope="function")
class TestDiscretion:
    """What must not be told is not told; what is not needed is not loaded."""

    async def test_secrets_are_neither_in_reprs_nor_in_errors_nor_logs(
        self, lab: Lab, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Contents of messages and parts of the URL that authenticate stay out of all three."""
        caplog.set_level(logging.DEBUG)
        memory, secret = lab.store.memory, fresh("secret")
        owner = await memory.save_thread(thread())
        content = {"format": 2, "parts": [{"type": "text", "text": secret}]}
        await memory.save_messages([message(owner, content=content)])
        texts = [repr(lab.store), str(lab.store), repr(lab.backend), repr(memory)]
        for wrong in ({**content, "bad": object()}, {"format": 2, "text": secret}):
            with pytest.raises(MastraError) as caught:
                await memory.save_messages([message(owner, content=wrong)])
            texts.append(f"{caught.value} {caught.value!r} {caught.value.__cause__}")
        with pytest.raises(MastraError) as caught:
            await memory.save_thread(thread(id=owner.id, title=secret, metadata={"s": secret}))
        texts.append(f"{caught.value} {caught.value!r} {caught.value.__cause__}")
        texts.append(caplog.text)
        for word in (secret, *_credentials(lab.site)):
            assert not [text for text in texts if word in text]

    async def test_errors_of_the_database_come_as_this_librarys(self, lab: Lab) -> None:
        """One tree of errors, with text that says what happened."""
        memory = lab.store.memory
        owner, _ = await saved(memory, 1)
        with pytest.raises(MastraError) as caught:
            await memory.save_thread(thread(id=owner.id))
        assert owner.id in str(caught.value)


def _credentials(site: Site) -> list[str]:
    """The user's part of the URL: its password or token."""
    authority = (site.url or "").partition("://")[2].partition("/")[0]
    user, at_sign, _ = authority.rpartition("@")
    password = user.partition(":")[2]
    return [password] if at_sign and password else []


@area("hostile")
class TestImports:
    """Installing an adapter must not slow down or break those who do not use it."""

    def test_announcing_an_adapter_imports_no_driver(self, conformance_site: Site) -> None:
        """Finding all installed adapters loads none of the drivers that this one names."""
        conformance_site.make()
        package = conformance_site.facts.adapter.partition(".")[0]
        url = conformance_site.url
        adapters = [a for found in installed().adapters.values() for a, _ in found]
        if url is not None:
            scheme = scheme_of(url)
            adapters = [a for a, _ in installed().adapters.get(scheme, ())]
        drivers = sorted({driver for adapter in adapters for driver in adapter.drivers})
        program = (
            "import sys, json, importlib; from mastra_core.plugins import installed; "
            f"importlib.import_module({package!r}); installed(); "
            f"print(json.dumps([d for d in {drivers!r} if d in sys.modules]))"
        )
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        )
        assert json.loads(done.stdout) == []
