"""Content that only the key opens: what is stored, what still works, and what is noticed."""

from __future__ import annotations

import base64
import secrets

import pytest

from mastra_conformance.rows import at, row
from mastra_conformance.wrappers import Faulty
from mastra_core import (
    AuthenticationError,
    ConfigurationError,
    ConflictError,
    LimitExceededError,
    Message,
    Resource,
    Thread,
)
from mastra_core.storage.backend import Limits
from mastra_core.storage.inmemory import InMemoryBackend
from mastra_core.storage.layers import Encryption, Retry, reencrypt
from mastra_core.storage.layers.encryption import CONTENT
from mastra_core.storage.schema import Delete, Put, Query, Update, Where
from mastra_core.storage.store import BackendStore
from mastra_core.storage.tables import (
    EXPERIMENT_RESULTS,
    MESSAGES,
    RESOURCES,
    SPANS,
    TABLES,
    THREADS,
    WORKFLOW_SNAPSHOT,
)

SECRET = "a secret of Ada's ☂"
OLD, NEW = Encryption.generate_key(), Encryption.generate_key()


def message(text, **given):
    content = {"format": 2, "parts": [{"type": "text", "text": text}], "metadata": {"n": text}}
    return Message(thread_id="t", resource_id="r", role="user", content=content, **given)


@pytest.fixture
def bare():
    return InMemoryBackend()


@pytest.fixture
def open_store(bare):
    """A store on the same rows with the keys that are given."""

    def make(**given):
        return BackendStore(bare, id="s").with_layers(Encryption(**{"key": NEW, **given}))

    return make


async def raw(bare, table, *columns):
    return await bare.find(table, Query(columns=columns))


async def filled(store):
    """A thread with two messages, a resource, a run and a span, all with the secret."""
    thread = Thread(id="t", resource_id="r", title=SECRET, metadata={"topic": SECRET, "n": 1})
    said = [message(SECRET, id="m1"), message("other", id="m2")]
    await store.memory.save_messages(said, create=thread)
    await store.memory.save_resource(Resource(id="r", working_memory=SECRET))
    snapshot = {"status": "suspended", "context": {"input": SECRET}}
    key = {"workflow_name": "w", "run_id": "1"}
    await store.workflows.persist_workflow_snapshot(**key, snapshot=snapshot)
    span = {"traceId": "x", "spanId": "1", "name": "n", "spanType": "generic", "isEvent": False}
    told = {"input": SECRET, "output": [SECRET], "attributes": {"a": SECRET}, "startedAt": at(0)}
    await store.observability.batch_create_spans([{**span, **told}])


@pytest.mark.asyncio
async def test_content_is_nowhere_to_be_read_while_ids_and_times_are(bare, open_store):
    store = open_store()
    await filled(store)
    everything = repr([await raw(bare, table) for table in TABLES])
    assert "secret" not in everything
    assert (await raw(bare, MESSAGES, "id", "thread_id", "role"))[0] == ("m1", "t", "user")
    (stored,) = await raw(bare, THREADS, "title", "metadata", "resourceId")
    assert stored[0].startswith("mastra:aes256gcm:1:1:")
    assert stored[1].startswith('"mastra:aes256gcm:1:1:')
    assert stored[1].endswith('"')
    assert stored[2] == "r"

    page = await store.memory.list_messages("t")
    assert [m.text for m in page.messages] == [SECRET, "other"]
    assert (await store.memory.get_resource_by_id("r")).working_memory == SECRET
    snapshot = await store.workflows.load_workflow_snapshot(workflow_name="w", run_id="1")
    assert snapshot["context"] == {"input": SECRET}
    (span,) = (await store.observability.get_trace("x")).spans
    assert (span.input, span.output, span.attributes) == (SECRET, [SECRET], {"a": SECRET})


@pytest.mark.asyncio
async def test_filters_on_encrypted_columns_are_answered_all_the_same(open_store):
    store = open_store()
    await filled(store)
    found = await store.memory.list_threads(metadata={"topic": SECRET, "n": 1})
    assert [t.id for t in found.threads] == ["t"]
    assert (await store.memory.list_threads(metadata={"topic": "x"})).total == 0
    page = await store.memory.list_messages("t", metadata={"n": "other"})
    assert ([m.id for m in page.messages], page.total) == (["m2"], 1)
    runs = await store.workflows.list_workflow_runs(status="suspended")
    assert runs.total == 1
    ordered = Query(order=(("content", "desc"),), limit=1, columns=("id",))
    assert await store.memory.backend.find(MESSAGES, ordered) == [("m2",)]
    (both,) = await store.memory.backend.find_many(MESSAGES, [ordered])
    assert both == [("m2",)]


@pytest.mark.asyncio
async def test_usual_calls_cost_as_many_operations_as_without(bare):
    beneath = Faulty(bare)
    store = BackendStore(beneath, id="s").with_layers(Encryption(key=NEW))
    await filled(store)
    memory, workflows = store.memory, store.workflows
    step = {"workflow_name": "w", "run_id": "1", "step_id": "s", "result": {"output": SECRET}}
    content = {"metadata": {"n": 2}}
    for call, operations in (
        (lambda: memory.save_messages([message("x")]), 1),
        (lambda: memory.list_messages("t", per_page=40, with_total=False), 1),
        (lambda: memory.update_thread("t", metadata={"k": 1}), 2),
        (lambda: memory.update_resource("r", working_memory="w", metadata={"k": 1}), 2),
        (lambda: memory.update_messages([{"id": "m1", "content": content}]), 2),
        (lambda: memory.set_title("t", title="x"), 1),
        (lambda: workflows.update_workflow_results(**step, request_context={}), 2),
    ):
        beneath.operations.clear()
        await call()
        assert len(beneath.operations) == operations, beneath.operations


@pytest.mark.asyncio
async def test_a_new_key_reads_what_the_old_one_wrote_and_changes_it(bare, open_store):
    await filled(open_store(key=OLD, key_id="old"))
    store = open_store(key_id="new", old_keys={"old": OLD})
    thread = await store.memory.update_thread("t", metadata={"more": 1})
    assert (thread.title, thread.metadata["more"]) == (SECRET, 1)
    updated = {"id": "m1", "content": {"metadata": {"n": "changed"}}}
    (changed,) = await store.memory.update_messages([updated])
    assert (changed.text, changed.content["metadata"]) == (SECRET, {"n": "changed"})
    stored = dict(await raw(bare, MESSAGES, "id", "content"))
    assert stored["m1"].startswith("mastra:aes256gcm:1:new:")
    assert stored["m2"].startswith("mastra:aes256gcm:1:old:")
    with pytest.raises(AuthenticationError, match="'old', which was not given"):
        await open_store(key_id="new").memory.list_messages("t")


@pytest.mark.asyncio
async def test_rewriting_ends_a_rotation_so_that_the_old_key_is_needed_no_more(bare, open_store):
    await filled(open_store(key=OLD, key_id="old"))
    store = open_store(key_id="new", old_keys={"old": OLD})
    assert await reencrypt(store.with_layers(Retry())) == 6
    assert await reencrypt(store) == 0
    only = open_store(key_id="new")
    assert [m.text for m in (await only.memory.list_messages("t")).messages] == [SECRET, "other"]
    assert ":old:" not in repr([await raw(bare, table) for table in TABLES])


@pytest.mark.asyncio
async def test_rewriting_loses_nothing_of_what_is_written_meanwhile(bare, open_store):
    await filled(open_store(key=OLD, key_id="old"))
    store = open_store(key_id="new", old_keys={"old": OLD})
    write, turns = bare.write, [1]

    async def meanwhile(*changes):
        if turns and changes[0].table is THREADS:
            turns.pop()
            await store.memory.update_thread("t", title="newer")
        return await write(*changes)

    bare.write = meanwhile
    # (Its title was sealed with the new key by the other writer, its metadata by the rewriting.)
    assert await reencrypt(store) == 6
    assert not turns
    found = await open_store(key_id="new").memory.get_thread_by_id("t")
    assert (found.title, found.metadata) == ("newer", {"topic": SECRET, "n": 1})


@pytest.mark.asyncio
async def test_what_is_not_encrypted_is_read_only_where_that_is_said(bare, open_store):
    plain = BackendStore(bare, id="plain")
    await filled(plain)
    with pytest.raises(
        AuthenticationError, match=r"content of mastra_messages \('m1',\): it is not en"
    ):
        await open_store().memory.list_messages("t")
    store = open_store(read_plain=True)
    assert [m.text for m in (await store.memory.list_messages("t")).messages] == [SECRET, "other"]
    thread = await store.memory.update_thread("t", metadata={"topic": "x"})
    assert thread.metadata == {"topic": "x", "n": 1}
    assert await reencrypt(store) == 6
    assert "secret" not in repr([await raw(bare, table) for table in TABLES])
    assert (await open_store().memory.get_resource_by_id("r")).working_memory == SECRET


@pytest.mark.asyncio
@pytest.mark.parametrize("how", ["another key", "another row", "another column", "a changed bit"])
async def test_what_was_changed_or_moved_is_noticed_and_told_without_secrets(bare, open_store, how):
    store = open_store()
    await filled(store)
    if how == "another key":
        store = open_store(key=OLD)
    elif how == "another row":
        ((_, content),) = [r for r in await raw(bare, MESSAGES, "id", "content") if r[0] == "m2"]
        await bare.write(Update(MESSAGES, (Where("id", "eq", "m1"),), {"content": content}))
    elif how == "another column":
        ((title,),) = await raw(bare, THREADS, "title")
        await bare.write(Update(MESSAGES, (Where("id", "eq", "m1"),), {"content": title}))
    else:
        content = dict(await raw(bare, MESSAGES, "id", "content"))["m1"]
        changed = content[:-5] + ("A" if content[-5] != "A" else "B") + content[-4:]
        await bare.write(Update(MESSAGES, (Where("id", "eq", "m1"),), {"content": changed}))
    with pytest.raises(AuthenticationError) as caught:
        await store.memory.list_messages("t")
    text = str(caught.value)
    assert text.startswith("content of mastra_messages ('m1',): it does not open with the key '1'")
    assert not any(said in text for said in (OLD, NEW, SECRET, "secret"))


@pytest.mark.asyncio
async def test_what_only_looks_encrypted_is_an_error_and_what_a_user_says_so_is_not(
    bare, open_store
):
    store = open_store()
    said = "mastra:aes256gcm:1:1:AAAA"
    await store.memory.save_thread(Thread(id="t", resource_id="r", title=said))
    assert (await store.memory.get_thread_by_id("t")).title == said
    await bare.write(Update(THREADS, (), {"title": "mastra:aes256gcm:1:no key:AA=="}))
    with pytest.raises(AuthenticationError, match="begins as encrypted text does, and is none"):
        await store.memory.get_thread_by_id("t")


@pytest.mark.asyncio
async def test_equal_texts_look_different_in_each_place_and_the_same_in_one(bare, open_store):
    backend = open_store().memory.backend
    rows = [row(RESOURCES, id=n, workingMemory="x", createdAt=at(0), updatedAt=at(0)) for n in "ab"]
    await backend.write(Put(RESOURCES, rows))
    first = await raw(bare, RESOURCES, "workingMemory")
    assert len(set(first)) == 2
    await backend.write(Put(RESOURCES, rows))
    assert await raw(bare, RESOURCES, "workingMemory") == first


def result(name, **values):
    given = {"experimentId": "e", "itemId": "i", "input": '"x"', "retryCount": 0}
    times = {"startedAt": at(0), "completedAt": at(0), "createdAt": at(0)}
    return row(EXPERIMENT_RESULTS, **{**given, **times, "id": name, **values})


@pytest.mark.asyncio
async def test_a_change_of_all_rows_that_match_reaches_those_that_come_meanwhile(bare):
    """A purge erases results that were added while it looked for them."""
    beneath = Faulty(bare)
    backend = Encryption(key=NEW).over(beneath)
    await backend.write(Put(EXPERIMENT_RESULTS, [result("a"), result("b")]))
    find, late = beneath.find, [result("late")]

    async def slow_find(table, query):
        rows = await find(table, query)
        if late:
            await backend.write(Put(EXPERIMENT_RESULTS, [late.pop()]))
        return rows

    beneath.find = slow_find
    where = (Where("itemId", "eq", "i"),)
    assert await backend.write(Update(EXPERIMENT_RESULTS, where, {"input": "null"})) == [3]
    found = await backend.find(EXPERIMENT_RESULTS, Query(columns=("id", "input")))
    assert sorted(found) == [("a", "null"), ("b", "null"), ("late", "null")]


@pytest.mark.asyncio
async def test_a_write_that_looks_into_sealed_columns_notices_who_came_between(bare):
    backend = Encryption(key=NEW).over(bare)
    await backend.write(Put(EXPERIMENT_RESULTS, [result("a", comment="1")]))
    inner, turns = bare.write, [1]

    async def meanwhile(*changes):
        if turns:
            turns.pop()
            await backend.write(
                Update(EXPERIMENT_RESULTS, (Where("id", "eq", "a"),), {"comment": "2"})
            )
        return await inner(*changes)

    bare.write = meanwhile
    old = (Where("experimentId", "eq", "e"), Where("comment", "eq", "1"))
    with pytest.raises(ConflictError) as caught:
        await backend.write(
            Update(EXPERIMENT_RESULTS, (), {"attempt": 1}),
            Update(EXPERIMENT_RESULTS, old, {"comment": "3"}, expect=1),
        )
    assert caught.value.change == 1
    found = await backend.find(EXPERIMENT_RESULTS, Query(columns=("comment", "attempt")))
    assert found == [("2", None)]
    assert await backend.write(Delete(EXPERIMENT_RESULTS, old)) == [0]
    new = (Where("comment", "in", ("2", "3")),)
    assert await backend.write(Delete(EXPERIMENT_RESULTS, new, expect=1)) == [1]


@pytest.mark.asyncio
async def test_what_must_not_be_there_is_asked_for_in_the_write_itself(bare):
    """The row comes when the write was tried already, and is none of those that it was tried on."""
    backend = Encryption(key=NEW).over(bare)
    await backend.write(Put(EXPERIMENT_RESULTS, [result("a", comment="1")]))
    inner, turns = bare.write, [1]

    async def meanwhile(*changes):
        if turns:
            turns.pop()
            times = {"createdAt": at(0), "updatedAt": at(0)}
            await inner(Put(THREADS, [row(THREADS, id="t", resourceId="r", title=None, **times)]))
        return await inner(*changes)

    bare.write = meanwhile
    with pytest.raises(ConflictError) as caught:
        await backend.write(
            Update(EXPERIMENT_RESULTS, (Where("comment", "eq", "1"),), {"attempt": 1}),
            Update(THREADS, (Where("resourceId", "eq", "r"),), {"resourceId": "r"}, expect=0),
        )
    assert caught.value.change == 1
    assert await backend.find(EXPERIMENT_RESULTS, Query(columns=("attempt",))) == [(None,)]


@pytest.mark.asyncio
async def test_while_keys_are_rotated_a_conditional_write_costs_one_read_more(bare):
    beneath = Faulty(bare)
    layer = Encryption(key=NEW, key_id="new", old_keys={"old": OLD})
    store = BackendStore(beneath, id="s").with_layers(layer)
    await filled(store)
    changes = [{"id": name, "content": {"metadata": {"n": 2}}} for name in ("m1", "m2")]
    beneath.operations.clear()
    await store.memory.update_messages(changes)
    # One for each table of the write, beside the read and the write of the call itself.
    assert sorted(beneath.operations)[:3] == [
        "find mastra_messages",
        "find mastra_messages",
        "find mastra_threads",
    ]
    assert len(beneath.operations) == 4


@pytest.mark.asyncio
async def test_a_row_whose_key_changes_is_sealed_for_its_new_place(open_store):
    backend = open_store().memory.backend
    times = {"createdAt": at(0), "updatedAt": at(0)}
    run = row(WORKFLOW_SNAPSHOT, workflow_name="w", run_id="1", snapshot='{"k":1}', **times)
    await backend.write(Put(WORKFLOW_SNAPSHOT, [run]))
    where = (Where("workflow_name", "eq", "w"), Where("run_id", "eq", "1"))
    assert await backend.write(Update(WORKFLOW_SNAPSHOT, where, {"run_id": "2"})) == [1]
    query = Query(columns=("run_id", "snapshot"))
    assert await backend.find(WORKFLOW_SNAPSHOT, query) == [("2", '{"k":1}')]


@pytest.mark.asyncio
async def test_chosen_columns_take_the_place_of_the_usual_ones(bare, open_store):
    columns = {"mastra_threads": ["title"], "mastra_resources": []}
    store = open_store(columns=columns)
    await filled(store)
    (thread,) = await raw(bare, THREADS, "title", "metadata")
    assert thread[0].startswith("mastra:")
    assert thread[1] == f'{{"topic":"{SECRET}","n":1}}'
    assert await raw(bare, RESOURCES, "workingMemory") == [(SECRET,)]
    assert "secret" not in repr(await raw(bare, SPANS))


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"mastra_threads": ["id"]}, "'id' of mastra_threads cannot be encrypted"),
        ({"mastra_threads": ["createdAt"]}, "'createdAt'"),
        ({"mastra_messages": ["thread_id"]}, "'thread_id'"),
        ({"mastra_threads": ["nothing"]}, "'nothing'"),
        ({"mastra_threads": "title"}, "lists by table"),
        ({"threads": ["title"]}, "'threads' is no table"),
    ],
    ids=["key", "time", "index", "unknown", "text", "table"],
)
def test_columns_that_cannot_be_encrypted_are_refused(columns, told):
    with pytest.raises(ConfigurationError, match=told):
        Encryption(key=NEW, columns=columns)


def test_the_usual_columns_can_be_encrypted():
    again = Encryption(key=NEW, columns=CONTENT)
    assert again.columns == dict(CONTENT)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"key": secrets.token_bytes(16)}, "must have 32 bytes, not 16 bytes"),
        ({"key": base64.b64encode(b"short").decode()}, "not 5 bytes"),
        ({"key": "this is no key!"}, "is no base64 text"),
        ({"key": None}, "not NoneType"),
        ({"key": NEW, "key_id": "a:b"}, "a key id is"),
        ({"key": NEW, "key_id": ""}, "a key id is"),
        ({"key": NEW, "key_id": "k", "old_keys": {"k": OLD}}, "'k' is in old_keys too"),
        ({"key": NEW, "old_keys": {"k": "x"}}, "the key 'k'"),
    ],
    ids=["16 bytes", "5 bytes", "text", "none", "colon", "empty id", "same id", "old key"],
)
def test_keys_that_are_none_are_refused_without_being_told(given, told):
    with pytest.raises(ConfigurationError, match=told) as caught:
        Encryption(**given)
    shown = repr(caught.value)
    assert not any(isinstance(key, str) and len(key) > 5 and key in shown for key in given.values())


def test_a_key_may_be_bytes_or_their_text_in_either_alphabet():
    key = b"\xfb\xff" * 16
    texts = [base64.b64encode(key).decode(), base64.urlsafe_b64encode(key).decode()]
    assert len({*texts}) == 2
    assert {Encryption(key=given)._keys["1"] for given in (key, *texts)} == {key}
    assert len(base64.b64decode(Encryption.generate_key())) == 32
    assert Encryption.generate_key() != Encryption.generate_key()


@pytest.mark.asyncio
async def test_keys_are_in_no_repr(open_store):
    layer = Encryption(key=NEW, key_id="new", old_keys={"old": OLD})
    store = open_store(key_id="new", old_keys={"old": OLD})
    told = [repr(layer), str(layer), repr(store.memory), repr(store)]
    told += [repr(store.memory.backend._sealing.cipher)]
    assert "key_ids=['new', 'old']" in told[0]
    for key in (OLD, NEW):
        bytes_of = base64.b64decode(key)
        assert not any(key in text or repr(bytes_of) in text for text in told)


@pytest.mark.asyncio
async def test_what_fits_is_what_fits_when_it_is_sealed():
    class Narrow(InMemoryBackend):
        limits = Limits(value_bytes=1000, row_bytes=4000)

    bare = Narrow()
    backend = Encryption(key=NEW).over(bare)
    bound = backend.limits.value_bytes
    assert bound is not None
    rows = row(RESOURCES, id="r", workingMemory="x" * bound, createdAt=at(0), updatedAt=at(0))
    await backend.write(Put(RESOURCES, [rows]))
    ((stored,),) = await bare.find(RESOURCES, Query(columns=("workingMemory",)))
    assert 980 <= len(stored) <= 1000
    where = (Where("id", "eq", "r"),)
    with pytest.raises(LimitExceededError, match=f"at most {bound}"):
        await backend.write(Update(RESOURCES, where, {"workingMemory": "x" * (bound + 1)}))


@pytest.mark.asyncio
async def test_rewriting_needs_a_layer_of_encryption(bare):
    with pytest.raises(ConfigurationError, match="has no Encryption layer"):
        await reencrypt(BackendStore(bare, id="plain").with_layers(Retry()))
