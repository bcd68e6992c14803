"""The real servers that tests run against: started on loopback when first asked for, then stopped.

``start("sqld", folder)`` gives the address of a server; a server that the environment names (as
``MASTRA_LIBSQL_URL``) wins over a local one. A new server is one module here and one entry in
``SERVERS``; pytest gets a fixture for it in ``plugin.py``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NamedTuple

from backends import (
    chroma_server,
    clickhouse_engine,
    cloudflare,
    convex,
    dynoxide,
    mongodb,
    pinecone_double,
    postgres,
    qdrant,
    redis_server,
    sql_server,
    sqld,
    upstash_vector,
)
from backends.address import Address, UnavailableError

__all__ = ["SERVERS", "Address", "Server", "UnavailableError", "start"]


class Server(NamedTuple):
    """How a server is started in a folder, and which variables name one that runs already.

    With the prefix ``MASTRA_LIBSQL`` these are ``MASTRA_LIBSQL_URL`` and, for each of ``options``,
    ``MASTRA_LIBSQL_<OPTION>``.
    """

    open: Callable[[Path], AbstractContextManager[Address]]
    prefix: str = ""
    options: tuple[str, ...] = ()

    def named(self, environment: Mapping[str, str]) -> Address | None:
        """The server that the environment names, if it names one."""
        url = environment.get(f"{self.prefix}_URL") if self.prefix else None
        if not url:
            return None
        names = {option: f"{self.prefix}_{option.upper()}" for option in self.options}
        given = {option: environment[name] for option, name in names.items() if name in environment}
        return Address(url, given)


SERVERS: Mapping[str, Server] = {
    "sqld": Server(sqld.plain, "MASTRA_LIBSQL", ("auth_token",)),
    "sqld-jwt": Server(sqld.with_jwt),
    "postgres": Server(postgres.plain, "MASTRA_PG"),
    "dynamodb": Server(dynoxide.in_memory, "MASTRA_DYNAMODB"),
    "upstash": Server(redis_server.rest, "MASTRA_UPSTASH", ("token",)),
    "redis": Server(redis_server.direct, "MASTRA_REDIS"),
    "upstash-vector": Server(upstash_vector.cosine, "MASTRA_UPSTASH_VECTOR", ("token", "metric")),
    "upstash-vector-euclidean": Server(upstash_vector.euclidean),
    "mongodb": Server(mongodb.replica_set, "MASTRA_MONGODB"),
    "mongodb-standalone": Server(mongodb.standalone, "MASTRA_MONGODB_STANDALONE"),
    "mongoeco": Server(mongodb.mongoeco),
    "qdrant": Server(qdrant.front, "MASTRA_QDRANT", ("api_key",)),
    "chroma": Server(chroma_server.with_folder, "MASTRA_CHROMA", ("api_key", "tenant", "database")),
    "pinecone": Server(pinecone_double.front),
    "durable-objects": Server(cloudflare.durable_objects, "MASTRA_CLOUDFLARE_DO", ("token",)),
    "mssql": Server(sql_server.front, "MASTRA_MSSQL"),
    "d1": Server(cloudflare.d1, "MASTRA_D1", ("api_token",)),
    "clickhouse": Server(clickhouse_engine.plain, "MASTRA_CLICKHOUSE"),
    "convex": Server(convex.plain, "MASTRA_CONVEX", ("admin_auth_token",)),
}


@contextmanager
def start(name: str, folder: Path) -> Iterator[Address]:
    """The address of a running server; what is started here keeps its data in ``folder``."""
    named = SERVERS[name].named(os.environ)
    if named is not None:
        yield named
        return
    with SERVERS[name].open(folder) as address:
        yield address
