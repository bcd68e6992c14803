"""A server of Chroma, or Chroma Cloud, by HTTP.

Chroma's own asynchronous client is not used: all clients in one event loop share one connection pool
with the headers of the first of them, so that the key of one server goes to another; and it bounds
no request in time.
"""

from __future__ import annotations

import base64
from array import array
from collections.abc import Mapping
from contextlib import nullcontext
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

import httpx
import msgspec

from mastra_chroma.service import MISSING, WRITERS, Body, Collection, Metadata, RefusedError, Rows
from mastra_core.storage.http import Endpoint

PAGE: Final = 100
# What Chroma Cloud lets one request store, ask for, and find.
CLOUD: Final = 300
LOCAL_BATCH: Final = 1000
# Seconds in which a request is sent again.
PATIENCE: Final = 2.0


class _Failure(msgspec.Struct):
    error: str = ""
    message: str = ""


class _Found(msgspec.Struct):
    id: str
    name: str
    configuration_json: dict[str, Any] = {}
    metadata: dict[str, Any] | None = None
    dimension: int | None = None


class _Records(msgspec.Struct):
    ids: list[str]
    metadatas: list[Metadata] | None = None
    documents: list[str | None] | None = None
    embeddings: list[list[float] | None] | None = None

    def rows(self) -> Rows:
        return Rows(
            ids=self.ids,
            metadatas=self.metadatas,
            documents=self.documents,
            embeddings=self.embeddings,
        )


class _Nearest(msgspec.Struct):
    ids: list[list[str]]
    distances: list[list[float | None]] | None = None
    metadatas: list[list[Metadata]] | None = None
    documents: list[list[str | None]] | None = None
    embeddings: list[list[list[float] | None]] | None = None

    def rows(self, number: int) -> Rows:
        return Rows(
            ids=self.ids[number],
            distances=self.distances[number] if self.distances else None,
            metadatas=self.metadatas[number] if self.metadatas else None,
            documents=self.documents[number] if self.documents else None,
            embeddings=self.embeddings[number] if self.embeddings else None,
        )


class Server:
    """A database of a server; ``address`` ends where its API begins."""

    def __init__(
        self,
        address: str,
        *,
        tenant: str,
        database: str,
        headers: Mapping[str, str],
        timeout: float,
        client: httpx.AsyncClient | None,
        cloud: bool,
    ) -> None:
        root = f"{address}/api/v2/tenants/{quote(tenant, safe='')}"
        self._endpoint = Endpoint(
            f"{root}/databases/{quote(database, safe='')}/collections",
            headers=headers,
            timeout=timeout,
            patience=PATIENCE,
            client=client,
        )
        self.batch = CLOUD if cloud else LOCAL_BATCH
        self.results = CLOUD if cloud else 2**31 - 1
        # (The Cloud keeps vectors otherwise, and takes no texts of their length beside them.)
        self.faithful = cloud
        self.leaks = not cloud

    async def find(self, name: str) -> Collection | None:
        """The collection of this name."""
        try:
            found = msgspec.json.decode(await self._ask("GET", f"/{quote(name)}"), type=_Found)
        except RefusedError as error:
            if error.status == MISSING:
                return None
            raise
        if found.name != name:
            # A collection is found by its id, too.
            return None
        return Collection(
            handle=found.id,
            metadata=found.metadata or {},
            configuration=found.configuration_json,
            dimension=found.dimension,
        )

    async def create(self, name: str, body: Body) -> None:
        """Make a collection."""
        await self._ask("POST", "", {"name": name, **body}, repeatable=False)

    async def names(self) -> list[str]:
        """The names of all collections."""
        names: list[str] = []
        while True:
            path = f"?limit={PAGE}&offset={len(names)}"
            found = msgspec.json.decode(await self._ask("GET", path), type=list[_Found])
            names += [one.name for one in found]
            if len(found) < PAGE:
                return names

    async def drop(self, name: str) -> None:
        """Delete a collection; one that is not there is no error."""
        try:
            await self._ask("DELETE", f"/{quote(name)}")
        except RefusedError as error:
            if error.status != MISSING:
                raise

    async def count(self, handle: Any) -> int:
        """How many records there are."""
        return msgspec.json.decode(await self._ask("GET", f"/{handle}/count"), type=int)

    async def get(self, handle: Any, body: Body) -> Rows:
        """Records by their ids, or by a filter."""
        answer = await self._ask("POST", f"/{handle}/get", body)
        return msgspec.json.decode(answer, type=_Records).rows()

    async def query(self, handle: Any, body: Body) -> list[Rows]:
        """For each vector the nearest records."""
        vectors: list[array[float]] = body["query_embeddings"]
        sent = {**body, "query_embeddings": [one.tolist() for one in vectors]}
        answer = await self._ask("POST", f"/{handle}/query", sent)
        found = msgspec.json.decode(answer, type=_Nearest)
        return [found.rows(number) for number in range(len(found.ids))]

    async def change(self, handle: Any, verb: str, body: Body) -> None:
        """``upsert``, ``update`` or ``delete`` records: done twice, each does what it does once."""
        sent = dict(body)
        if "embeddings" in body:
            vectors: list[array[float]] = body["embeddings"]
            sent["embeddings"] = [base64.b64encode(one.tobytes()).decode() for one in vectors]
        # (The Cloud's writers only put into a log.)
        async with nullcontext() if self.faithful else WRITERS.at(handle):
            await self._ask("POST", f"/{handle}/{verb}", sent)

    async def close(self) -> None:
        """Close the running loop's connections."""
        await self._endpoint.close()

    async def _ask(
        self, method: str, path: str, body: Body | None = None, *, repeatable: bool = True
    ) -> bytes:
        content = b"" if body is None else msgspec.json.encode(body)
        answer = await self._endpoint.send(method, path, content, repeatable=repeatable)
        if answer.status_code < HTTPStatus.BAD_REQUEST:
            return answer.content
        try:
            said = msgspec.json.decode(answer.content, type=_Failure)
            text = said.message or said.error
        except msgspec.MsgspecError:
            text = answer.reason_phrase
        raise RefusedError(answer.status_code, text[:300])
