"""Chroma in this process: a folder, or a client of the caller's, in a few threads of its own."""

from __future__ import annotations

import asyncio
import inspect
import math
import threading
from array import array
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from operator import itemgetter
from typing import Any, Final, TypeAlias, TypeVar

from chromadb import PersistentClient
from chromadb.config import Settings
from chromadb.errors import ChromaError, NotFoundError

from mastra_chroma.gate import Gates
from mastra_chroma.service import WRITERS, Body, Collection, RefusedError, Rows
from mastra_core.errors import ConfigurationError

T = TypeVar("T")
Inside: TypeAlias = Callable[[], AbstractContextManager[None]]
THREADS: Final = 4
BATCH: Final = 1000
PAGE: Final = 1000
# Chroma shares what it opens of one folder among its clients, and is not made for two at once.
OPENING: Final = threading.Lock()
# Of each collection, by its id: what Chroma reads while it writes may be half of one record and half of
# another. Whichever store and loop a writer comes from, nobody else is in the collection meanwhile.
GATES: Final = Gates()


class Embedded:
    """A folder, or whatever a client of the caller's reaches, which is never closed here."""

    batch = BATCH
    results = 2**31 - 1
    faithful = False
    leaks = True

    def __init__(self, path: str | None, client: Any, *, tenant: str, database: str) -> None:
        self._path = path
        self._given = client
        self._place = {"tenant": tenant, "database": database}
        self._opened: Any = None
        self._threads: ThreadPoolExecutor | None = None

    async def find(self, name: str) -> Collection | None:
        """The collection of this name."""
        try:
            found = await self._run(
                lambda client: client.get_collection(name, embedding_function=None)
            )
        except RefusedError as error:
            if isinstance(error.__cause__, NotFoundError):
                return None
            raise
        metadata: dict[str, Any] = found.metadata or {}
        dimension: Any = metadata.get("dimension")
        if not isinstance(dimension, int):
            # The client does not tell it; the vectors have it.
            some = await self.get(found, {"limit": 1, "include": ["embeddings"]})
            dimension = len(some.embeddings[0]) if some.embeddings else None
        return Collection(
            handle=found,
            metadata=metadata,
            configuration=found.configuration_json or {},
            dimension=dimension,
        )

    async def create(self, name: str, body: Body) -> None:
        """Make a collection."""
        await self._run(
            lambda client: client.create_collection(name, embedding_function=None, **body)
        )

    async def names(self) -> list[str]:
        """The names of all collections."""
        names: list[str] = []
        while True:
            body = {"limit": PAGE, "offset": len(names)}
            found = await self._run(partial(_listed, body))
            names += [one.name for one in found]
            if len(found) < PAGE:
                return names

    async def drop(self, name: str) -> None:
        """Delete a collection; one that is not there is no error."""
        try:
            await self._run(partial(_dropped, name))
        except RefusedError as error:
            if not isinstance(error.__cause__, NotFoundError):
                raise

    async def count(self, handle: Any) -> int:
        """How many records there are."""
        count: int = await self._read(handle, handle.count)
        return count

    async def get(self, handle: Any, body: Body) -> Rows:
        """Records by their ids, or by a filter."""
        found = await self._read(handle, partial(handle.get, **body))
        return _rows(found, lambda column: column)

    async def query(self, handle: Any, body: Body) -> list[Rows]:
        """For each vector the nearest records."""
        vectors: list[array[float]] = body["query_embeddings"]
        sent = {**body, "query_embeddings": [one.tolist() for one in vectors]}
        found = await self._read(handle, partial(handle.query, **sent))
        return [_rows(found, itemgetter(number)) for number in range(len(vectors))]

    async def change(self, handle: Any, verb: str, body: Body) -> None:
        """``upsert``, ``update`` or ``delete`` records."""
        sent = dict(body)
        if "embeddings" in body:
            vectors: list[array[float]] = body["embeddings"]
            sent["embeddings"] = [one.tolist() for one in vectors]
        async with WRITERS.at(handle.id):
            await self._run(lambda _: getattr(handle, verb)(**sent), GATES.at(handle.id).alone)

    async def close(self) -> None:
        """Close the folder, and end the threads."""
        threads, self._threads = self._threads, None
        if threads is not None:
            await asyncio.get_running_loop().run_in_executor(None, self._end, threads)

    def _end(self, threads: ThreadPoolExecutor) -> None:
        threads.shutdown()
        with OPENING:
            opened, self._opened = self._opened, None
            if opened is not None:
                opened.close()

    async def _read(self, handle: Any, do: Callable[[], Any]) -> Any:
        return await self._run(lambda _: do(), GATES.at(handle.id).together)

    async def _run(self, do: Callable[[Any], Any], inside: Inside = nullcontext) -> Any:
        """What is done with the client: in a thread, or here if the client is an asynchronous one.

        (Such a client is a server's, where others write, too: ``inside`` would keep nobody out.)
        """
        try:
            if self._given is not None and inspect.iscoroutinefunction(self._given.heartbeat):
                return await _awaited(do(self._given))
            return await self._in_thread(do, inside)
        except ChromaError as error:
            raise RefusedError(error.code(), str(error)[:300]) from error

    async def _in_thread(self, do: Callable[[Any], T], inside: Inside) -> T:
        def run() -> T:
            client = self._client()
            # (The thread that went in comes out, whatever becomes of who waits for it.)
            with inside():
                return do(client)

        if self._threads is None:
            self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="mastra-chroma")
        work = asyncio.get_running_loop().run_in_executor(self._threads, run)
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            # A thread cannot be stopped, and must not overtake what the caller does next.
            await asyncio.wait([work])
            raise

    def _client(self) -> Any:
        if self._given is not None:
            return self._given
        with OPENING:
            if self._opened is None:
                self._opened = self._open()
            return self._opened

    def _open(self) -> Any:
        assert self._path is not None
        try:
            return PersistentClient(self._path, Settings(anonymized_telemetry=False), **self._place)
        except ValueError as error:
            if "different settings" not in str(error):
                raise
            raise ConfigurationError(
                f"the folder {self._path!r} is open in this process with other settings; give that "
                "client as client"
            ) from error


def _dropped(name: str, client: Any) -> Any:
    if inspect.iscoroutinefunction(client.heartbeat):
        return client.delete_collection(name)
    found = client.get_collection(name, embedding_function=None)
    with GATES.at(found.id).alone():
        return client.delete_collection(name)


def _listed(body: Body, client: Any) -> Any:
    return client.list_collections(**body)


async def _awaited(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


def _rows(found: Mapping[str, Any], of: Callable[[Any], Any]) -> Rows:
    def column(name: str) -> Any:
        value = found.get(name)
        return None if value is None else of(value)

    embeddings = column("embeddings")
    distances = column("distances")
    return Rows(
        ids=column("ids"),
        metadatas=column("metadatas"),
        documents=column("documents"),
        embeddings=None if embeddings is None else [one.tolist() for one in embeddings],
        distances=None
        if distances is None
        else [float(one) if math.isfinite(one) else None for one in distances],
    )
