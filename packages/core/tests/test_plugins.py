"""Discovery: which adapter takes a URL, and what is said when none does."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from mastra_core import (
    ConfigurationError,
    InMemoryStore,
    InMemoryVector,
    open_storage,
    open_vector,
    plugins,
)
from mastra_core.plugins import Adapter, VectorAdapter, hookimpl


class Plugin:
    """An adapter's module, as discovery sees it."""

    def __init__(self, *schemes: str) -> None:
        self.schemes = schemes

    @hookimpl
    def mastra_adapter(self) -> Adapter:
        """An adapter that opens the store in memory."""
        return Adapter(
            name="x", schemes=self.schemes, connect=lambda url, **_: InMemoryStore(id=url)
        )


class Vectors:
    """The module of a package that has a vector store only."""

    def __init__(self, *schemes: str) -> None:
        self.schemes = schemes

    @hookimpl
    def mastra_vector_adapter(self) -> VectorAdapter:
        """A vector store that is the one in memory."""
        return VectorAdapter(
            name="v", schemes=self.schemes, connect=lambda url, **_: InMemoryVector(id=url)
        )


class Both(Plugin, Vectors):
    """The module of a package that has both."""


class Wrong:
    """The module of a package that takes one for the other."""

    @hookimpl
    def mastra_vector_adapter(self) -> Adapter:
        """No vector store."""
        return Adapter(name="x", schemes=("x",), connect=lambda url: InMemoryStore(id=url))


@pytest.fixture
def announce(monkeypatch):
    """Replaces what is installed by these (distribution, plugin or error)."""

    def announce(**found):
        def load(point):
            plugin = found[point.name]
            if isinstance(plugin, Exception):
                raise plugin
            return plugin

        class Point(EntryPoint):
            dist = None

        points = [Point(name=name, value=name, group="mastra") for name in found]
        monkeypatch.setattr(plugins, "entry_points", lambda group: points)
        monkeypatch.setattr(Point, "load", load)
        plugins.installed.cache_clear()

    yield announce
    plugins.installed.cache_clear()


def test_an_installed_adapter_takes_its_scheme(announce):
    announce(duck=Plugin("duckdb"))
    assert open_storage("duckdb:x.db").id == "duckdb:x.db"


def test_a_known_scheme_without_its_package_says_what_to_install(announce):
    announce()
    with pytest.raises(ConfigurationError, match=r"'postgresql' URLs \(pip install mastra-pg\)"):
        open_storage("postgresql://localhost/x")


def test_an_unknown_scheme_names_the_known_ones(announce):
    announce(duck=Plugin("duckdb"))
    with pytest.raises(ConfigurationError, match=r"'ftp' URLs; known schemes: .*duckdb.*libsql"):
        open_storage("ftp://x")


def test_two_adapters_for_one_scheme_are_both_named(announce):
    announce(one=Plugin("duckdb"), two=Plugin("duckdb"))
    with pytest.raises(
        ConfigurationError, match="several storage adapters take 'duckdb' URLs: one, two"
    ):
        open_storage("duckdb:x.db")


def test_a_plugin_that_fails_to_import_is_reported_and_does_not_stop_the_others(announce):
    announce(bad=ImportError("no driver"), good=Plugin("duckdb"))
    assert isinstance(open_storage("duckdb:x"), InMemoryStore)
    with pytest.raises(
        ConfigurationError, match="bad is installed but failed to load: ImportError"
    ):
        open_storage("postgresql://x")


def test_a_plugin_without_the_hook_is_reported(announce):
    announce(empty=object())
    with pytest.raises(ConfigurationError, match="implements neither mastra_adapter"):
        open_storage("postgresql://x")


@pytest.mark.parametrize("url", ["", "mastra.db", None])
def test_what_is_no_url_is_refused(url):
    with pytest.raises(ConfigurationError, match="storage URL"):
        open_storage(url)


def test_memory_needs_no_adapter():
    assert isinstance(open_storage("memory:"), InMemoryStore)
    assert isinstance(open_vector("memory:"), InMemoryVector)
    assert open_vector("memory:", id="mine").id == "mine"


def test_a_package_may_have_a_vector_store_only(announce):
    announce(duck=Vectors("duckdb"))
    assert open_vector("duckdb:x").id == "duckdb:x"
    with pytest.raises(ConfigurationError, match="no storage adapter for 'duckdb' URLs"):
        open_storage("duckdb:x")


def test_a_package_may_have_both(announce):
    announce(duck=Both("duckdb"))
    assert isinstance(open_storage("duckdb:x"), InMemoryStore)
    assert isinstance(open_vector("duckdb:x"), InMemoryVector)


def test_a_package_with_storage_only_has_no_vectors(announce):
    announce(duck=Plugin("duckdb"))
    with pytest.raises(ConfigurationError, match="no vector store adapter for 'duckdb' URLs"):
        open_vector("duckdb:x")


def test_two_vector_stores_for_one_scheme_are_both_named(announce):
    announce(one=Vectors("duckdb"), two=Both("duckdb"))
    told = "several vector store adapters take 'duckdb' URLs: one, two; uninstall one"
    with pytest.raises(ConfigurationError, match=told):
        open_vector("duckdb:x")
    assert isinstance(open_storage("duckdb:x"), InMemoryStore)


def test_a_known_scheme_of_a_vector_store_says_what_to_install(announce):
    announce(bad=Wrong())
    with pytest.raises(
        ConfigurationError,
        match=r"'pinecone' URLs \(pip install mastra-pinecone\); bad is installed but failed to load: "
        r"ConfigurationError: bad: mastra_vector_adapter\(\) must return a VectorAdapter",
    ):
        open_vector("pinecone://x")


def test_a_broken_package_does_not_stop_a_vector_store(announce):
    announce(bad=ImportError("no driver"), good=Vectors("duckdb"))
    assert isinstance(open_vector("duckdb:x"), InMemoryVector)


def test_importing_core_imports_no_driver_and_no_model_framework():
    heavy = "'libsql', 'libsql_client', 'pydantic', 'pydantic_ai', 'httpx', 'aiohttp', 'jsonschema'"
    code = f"import mastra_core, sys; print([m for m in ({heavy}) if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
