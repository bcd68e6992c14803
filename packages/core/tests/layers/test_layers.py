"""How layers are put around stores, domains and composed storages."""

from __future__ import annotations

import subprocess
import sys
from types import MappingProxyType

import pytest

from mastra_conformance.wrappers import Faulty
from mastra_core import ConfigurationError, InMemoryStore, Mastra, MastraStorage, Message, Thread
from mastra_core.errors import StorageError, UnavailableError
from mastra_core.storage.domains.memory import MemoryStorage
from mastra_core.storage.inmemory import InMemoryBackend
from mastra_core.storage.layers import Encryption, LayerBackend, Retry, Telemetry, Timeout
from mastra_core.storage.layers.encrypted import EncryptedBackend
from mastra_core.storage.layers.retry import RetryBackend
from mastra_core.storage.layers.timeout import TimeoutBackend
from mastra_libsql import LibSQLStore, MemoryLibSQL

KEY = Encryption.generate_key()
CONTENT = {"format": 2, "parts": [{"type": "text", "text": "hello"}]}


def chain(backend):
    """The classes from the outermost layer to the database's backend."""
    found = [type(backend)]
    while isinstance(backend, LayerBackend):
        backend = backend.inner
        found.append(type(backend))
    return found


def test_the_first_layer_is_nearest_to_the_caller_and_the_last_to_the_database():
    store = InMemoryStore()
    layered = store.with_layers(Retry(), Timeout(seconds=5), Encryption(key=KEY))
    wanted = [RetryBackend, TimeoutBackend, EncryptedBackend, InMemoryBackend]
    assert chain(layered.memory.backend) == wanted
    outer = InMemoryStore().with_layers(Timeout()).with_layers(Retry())
    assert chain(outer.memory.backend) == [RetryBackend, TimeoutBackend, InMemoryBackend]


def test_a_store_with_layers_is_of_the_same_class_and_the_one_without_stays_as_it_was():
    store = LibSQLStore(id="app", url=":memory:")
    layered = store.with_layers(Retry())
    assert type(layered) is LibSQLStore
    assert layered.id == "app"
    assert layered.backend is store.backend is store.memory.backend
    backends = {id(layered.get_store(name).backend) for name in ("memory", "scores", "workflows")}
    assert len(backends) == 1, "domains of one backend share what is around it"
    assert id(store.backend) not in backends


@pytest.mark.asyncio
async def test_domains_of_a_composed_storage_have_layers_each_of_its_own():
    memory = MemoryLibSQL(url=":memory:").with_layers(Encryption(key=KEY))
    assert type(memory) is MemoryLibSQL
    default = InMemoryStore().with_layers(Retry())
    storage = MastraStorage(id="both", default=default, domains={"memory": memory})
    assert chain(storage.memory.backend)[0] is EncryptedBackend
    assert chain(storage.scores.backend) == [RetryBackend, InMemoryBackend]
    whole = storage.with_layers(Timeout())
    assert chain(whole.memory.backend)[:2] == [TimeoutBackend, EncryptedBackend]
    async with Mastra(storage=whole) as mastra:
        assert mastra.storage is whole
        await whole.memory.save_thread(Thread(id="t", resource_id="r", title="secret"))
        found = await storage.memory.get_thread_by_id("t")
        assert found is not None
        assert found.title == "secret"


@pytest.mark.asyncio
async def test_set_up_is_left_to_the_caller_through_all_layers():
    store = LibSQLStore(id="app", url=":memory:", disable_init=True)
    layered = MastraStorage(id="x", default=store.with_layers(Retry(attempts=1), Timeout()))
    with pytest.raises(StorageError, match="call init"):
        await layered.memory.get_thread_by_id("t")
    await layered.init()
    assert await layered.memory.get_thread_by_id("t") is None
    await layered.close()

    late = LibSQLStore(id="app", url=":memory:").with_layers(Timeout())
    storage = MastraStorage(id="x", default=late, disable_init=True)
    with pytest.raises(StorageError, match="call init"):
        await storage.memory.get_thread_by_id("t")


@pytest.mark.asyncio
async def test_every_page_of_a_long_read_is_an_operation_by_itself():
    backend = Faulty(InMemoryBackend())
    memory = MemoryStorage(backend).with_layers(Timeout())
    thread = await memory.save_thread(Thread(id="t", resource_id="r"))
    message = {"thread_id": thread.id, "resource_id": "r", "role": "user", "content": CONTENT}
    await memory.save_messages([Message(**message) for _ in range(2500)])
    backend.operations.clear()
    page = await memory.list_messages("t", per_page=False)
    assert len(page.messages) == 2500
    assert backend.operations == ["find mastra_messages"] * 3


@pytest.mark.parametrize("layer", [Retry, "Retry", None, 5], ids=["class", "text", "none", "int"])
def test_what_is_no_layer_is_refused(layer):
    with pytest.raises(ConfigurationError, match=r"a layer is one of .*, as Retry\(\), not"):
        InMemoryStore().with_layers(layer)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Retry(attempts=0), "attempts must be above 0"),
        (lambda: Retry(attempts=1.5), "attempts"),
        (lambda: Retry(seconds=True), "seconds"),
        (lambda: Timeout(seconds=0), "seconds must be a number of seconds above 0"),
        (lambda: Timeout(setup="5"), "setup"),
    ],
    ids=["no attempts", "half an attempt", "true seconds", "no seconds", "text"],
)
def test_options_that_cannot_be_are_refused(make, told):
    with pytest.raises(ConfigurationError, match=told):
        make()


@pytest.mark.asyncio
async def test_a_backend_says_through_its_layers_what_it_is():
    backend = InMemoryBackend()
    store = InMemoryStore().with_layers(Retry(), Telemetry(), Timeout(), Encryption(key=KEY))
    layered = store.memory.backend
    assert (layered.name, layered.capabilities) == (backend.name, backend.capabilities)
    assert await layered.server() == await backend.server()
    for said in ("RetryBackend(", "TelemetryBackend(", "TimeoutBackend(", "EncryptedBackend("):
        assert said in repr(store.memory)
    assert KEY not in repr(store.memory)


def test_a_layer_that_is_not_used_is_not_loaded():
    script = (
        "import sys, mastra_core\n"
        "from mastra_core import InMemoryStore\n"
        "InMemoryStore()\n"
        "from mastra_core.storage.layers import Retry, Timeout\n"
        "InMemoryStore().with_layers(Retry(), Timeout())\n"
        "loaded = [m for m in ('cryptography', 'opentelemetry') if m in sys.modules]\n"
        "assert not loaded, loaded\n"
        "from mastra_core.storage.layers import Encryption, Telemetry\n"
        "loaded = [m for m in ('cryptography', 'opentelemetry') if m in sys.modules]\n"
        "assert not loaded, loaded\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("layer", "module", "extra"),
    [
        (Telemetry(), "opentelemetry.metrics", "mastra-core\\[otel\\]"),
        (Encryption(key=KEY), "cryptography", "mastra-core\\[encryption\\]"),
    ],
    ids=["telemetry", "encryption"],
)
def test_a_package_that_is_missing_is_named_with_its_extra(monkeypatch, layer, module, extra):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigurationError, match=extra):
        InMemoryStore().with_layers(layer)


@pytest.mark.asyncio
async def test_an_error_keeps_the_drivers_as_its_cause_through_all_layers():
    class Refusing(InMemoryBackend):
        errors = MappingProxyType({ConnectionError: UnavailableError})

        async def _find(self, table, query):
            raise ConnectionRefusedError("port 1")

    layers = (Retry(attempts=2, first_pause=0.001), Timeout(), Encryption(key=KEY))
    memory = MemoryStorage(Refusing()).with_layers(*layers)
    with pytest.raises(UnavailableError, match="port 1") as caught:
        await memory.get_thread_by_id("t")
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)
