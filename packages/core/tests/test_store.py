"""``MastraStorage``: composition, set-up, closing and retention."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from mastra_core import (
    ConfigurationError,
    DomainNotConfigured,
    InMemoryStore,
    InvalidArgumentError,
    MastraStorage,
    Message,
    StorageError,
    Thread,
)
from mastra_core.clock import now
from mastra_core.storage.domains.memory import MemoryStorage
from mastra_core.storage.domains.scores import ScoresStorage
from mastra_core.storage.domains.workflows import WorkflowsStorage
from mastra_core.storage.inmemory import InMemoryBackend
from mastra_core.storage.store import DOMAINS


class Recording(InMemoryBackend):
    """Counts set-ups and closings, and fails to be set up on request."""

    def __init__(self, failure: str = "") -> None:
        super().__init__()
        self.failure = failure
        self.setups = 0
        self.closed = 0

    async def _setup(self, tables):
        self.setups += 1
        await asyncio.sleep(0)
        if self.failure:
            raise RuntimeError(self.failure)
        await super()._setup(tables)

    async def _close(self):
        self.closed += 1


class Unclosable(Recording):
    """Fails to be closed."""

    async def _close(self):
        raise RuntimeError("will not close")


def message(thread: str, text: str = "hello", **given) -> Message:
    content = {"format": 2, "parts": [{"type": "text", "text": text}]}
    return Message(thread_id=thread, resource_id="r", role="user", content=content, **given)


def test_a_store_has_every_domain():
    store = InMemoryStore()
    assert {name for name in DOMAINS if store.get_store(name) is not None} == set(DOMAINS)
    assert store.memory is store.get_store("memory")


def test_domains_win_over_the_default_and_can_be_switched_off():
    default, own = InMemoryStore(id="default"), MemoryStorage(InMemoryBackend())
    store = MastraStorage(id="s", default=default, domains={"memory": own, "scores": None})
    assert store.memory is own
    assert store.workflows is default.workflows
    assert store.get_store("scores") is None
    with pytest.raises(DomainNotConfigured, match=r"storage 's' has no scores domain; give one in"):
        _ = store.scores


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"id": ""}, "id must be provided"),
        ({"id": "s"}, "needs a default storage or at least one domain"),
        ({"id": "s", "domains": {"memry": None}}, "there is no domain 'memry'"),
        (
            {"id": "s", "domains": {"memory": WorkflowsStorage(InMemoryBackend())}},
            "must be a MemoryStorage, not WorkflowsStorage",
        ),
    ],
)
def test_what_cannot_be_composed_is_refused(options, says):
    with pytest.raises(ConfigurationError, match=says):
        MastraStorage(**options)


@pytest.mark.asyncio
async def test_first_uses_at_the_same_time_set_up_once():
    backend = Recording()
    memory = MemoryStorage(backend)
    await asyncio.gather(*(memory.get_thread_by_id(f"t{i}") for i in range(20)))
    assert backend.setups == 1


def test_a_store_serves_one_event_loop_after_another():
    store = InMemoryStore()
    asyncio.run(store.memory.save_thread(Thread(id="t", resource_id="r")))
    found = asyncio.run(store.memory.get_thread_by_id("t"))
    assert found is not None


@pytest.mark.asyncio
async def test_init_sets_up_what_it_can_and_names_every_domain_that_failed():
    good, bad = Recording(), Recording("no such server")
    store = MastraStorage(
        id="s", domains={"memory": MemoryStorage(good), "workflows": WorkflowsStorage(bad)}
    )
    with pytest.raises(StorageError, match=r"'s' could not be set up: workflows: .*no such server"):
        await store.init()
    assert good.setups == 1
    bad.failure = ""
    await store.init()
    assert bad.setups == 2


@pytest.mark.asyncio
async def test_a_database_that_is_down_concerns_its_own_domains_only():
    good, bad = Recording(), Recording("no such server")
    store = MastraStorage(
        id="s",
        default=InMemoryStore(),
        domains={
            "memory": MemoryStorage(good),
            "workflows": WorkflowsStorage(bad),
            "scores": ScoresStorage(bad),
        },
    )
    with pytest.raises(StorageError) as caught:
        await store.init()
    said = str(caught.value)
    assert "workflows: " in said
    assert "scores: " in said
    assert [name for name in DOMAINS if f"{name}: " in said] == ["workflows", "scores"]
    # The others go on, whether init was called or not; those that failed say so at each use.
    await store.memory.save_thread(Thread(id="t", resource_id="r"))
    assert (await store.memory.list_threads()).total == 1
    assert (await store.datasets.list_datasets()).total == 0
    for _ in range(2):
        with pytest.raises(StorageError, match="no such server"):
            await store.workflows.load_workflow_snapshot(workflow_name="w", run_id="r")
    # And come back by themselves with their database.
    bad.failure = ""
    found = await store.workflows.load_workflow_snapshot(workflow_name="w", run_id="r")
    assert found is None


@pytest.mark.asyncio
async def test_a_domain_whose_closing_fails_does_not_keep_others_open():
    good, bad = Recording(), Unclosable()
    domains = {"memory": MemoryStorage(bad), "workflows": WorkflowsStorage(good)}
    store = MastraStorage(id="s", domains=domains)
    with pytest.raises(StorageError, match="will not close"):
        await store.close()
    assert good.closed == 1


@pytest.mark.asyncio
async def test_disable_init_leaves_the_tables_to_an_explicit_init(monkeypatch):
    backend = Recording()
    store = MastraStorage(id="s", domains={"memory": MemoryStorage(backend)}, disable_init=True)
    async with store:
        await store.memory.get_thread_by_id("t")
    assert backend.setups == 0
    await store.init()
    assert backend.setups == 1
    monkeypatch.setenv("MASTRA_DISABLE_STORAGE_INIT", "true")
    assert MastraStorage(id="s", domains={"memory": MemoryStorage(backend)}).disable_init


@pytest.mark.asyncio
async def test_closing_closes_each_backend_once_and_use_opens_again():
    backend = Recording()
    domains = {"memory": MemoryStorage(backend), "workflows": WorkflowsStorage(backend)}
    async with MastraStorage(id="s", domains=domains) as store:
        await store.memory.save_thread(Thread(id="t", resource_id="r"))
    assert backend.closed == 1
    assert await store.memory.get_thread_by_id("t") is not None


async def aged(store: MastraStorage, count: int) -> None:
    old = now() - timedelta(days=40)
    for i in range(count):
        thread = Thread(id=f"old{i}", resource_id="r", created_at=old, updated_at=old)
        await store.memory.save_thread(thread)
    await store.memory.save_messages([message("old0", created_at=old)])
    await store.memory.save_thread(Thread(id="new", resource_id="r"))
    await store.memory.save_messages([message("new")])


@pytest.mark.asyncio
async def test_pruning_deletes_old_threads_with_their_messages_and_nothing_else():
    store = InMemoryStore(retention={"memory": {"threads": "30d", "messages": "30d"}})
    await aged(store, 5)
    pruned = {result.table: result for result in await store.prune()}
    # Saving a message renewed the first thread, so that it is kept; its old message is not.
    assert (pruned["threads"].deleted, pruned["threads"].done) == (4, True)
    assert (pruned["messages"].deleted, pruned["messages"].done) == (1, True)
    left = await store.memory.list_threads()
    assert {thread.id for thread in left.threads} == {"old0", "new"}
    assert (await store.memory.list_messages("new")).total == 1


@pytest.mark.asyncio
async def test_pruning_is_bounded_and_goes_on_where_it_stopped():
    policy = {"max_age": "30d", "batch_size": 2}
    store = InMemoryStore(retention={"memory": {"threads": policy}})
    await aged(store, 8)
    first = (await store.prune(max_batches=1))[0]
    assert (first.deleted, first.done) == (2, False)
    second = (await store.prune(max_rows=3))[0]
    assert (second.deleted, second.done) == (3, False)
    last = (await store.prune())[0]
    assert (last.deleted, last.done) == (2, True)


@pytest.mark.asyncio
async def test_runs_of_composite_keys_are_pruned_one_by_one():
    store = InMemoryStore(retention={"workflows": {"workflowSnapshot": 1000}})
    old = now() - timedelta(days=1)
    for name in ("a", "b"):
        for run in ("1", "2"):
            await store.workflows.persist_workflow_snapshot(
                workflow_name=name, run_id=run, snapshot={}, created_at=old, updated_at=old
            )
    await store.workflows.persist_workflow_snapshot(workflow_name="a", run_id="3", snapshot={})
    assert (await store.prune())[0].deleted == 4
    assert (await store.workflows.list_workflow_runs()).total == 1


@pytest.mark.parametrize(
    ("retention", "says"),
    [
        ({"memory": {"treads": "1d"}}, "there is no 'treads'; known: threads"),
        ({"memory": {"threads": "soon"}}, "'soon' is no age"),
        ({"memory": {"threads": "0d"}}, "must be positive"),
        ({"memory": {"threads": {"max_age": "1d", "batch": 3}}}, "unknown field `batch`"),
    ],
)
def test_a_policy_that_cannot_be_is_refused(retention, says):
    with pytest.raises(InvalidArgumentError, match=says):
        InMemoryStore(retention=retention)
