"""The backend of vectors: PostgreSQL with pgvector's binary form, and statements without a bound on time."""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, ClassVar, Final, TypeVar

import msgspec
from psycopg import AsyncConnection, pq
from psycopg.adapt import Buffer, Dumper

from mastra_core.storage.sql import Statement
from mastra_pg.backend import MADE_TWICE, PostgresBackend
from mastra_pg.install import LOCK
from mastra_pg.pool import connect, give, sent, take
from mastra_pg.settings import PostgresOptions, schema_name, settings

T = TypeVar("T")
ATTEMPTS: Final = 5


class Raw(msgspec.Struct, frozen=True):
    """A value in PostgreSQL's binary form, whose type the statement says."""

    data: bytes


class RawDumper(Dumper):
    """Sends what is in binary form already."""

    format = pq.Format.BINARY

    def dump(self, obj: Raw) -> Buffer | None:
        """The bytes as they are."""
        return obj.data


def vector(numbers: array[float]) -> Raw:
    """One vector in pgvector's binary form, which takes a thousandth of the time of writing text."""
    return Raw(_binary(numbers))


def vectors(given: Sequence[array[float]], oid: int) -> Raw:
    """An array of vectors, with the number that their type has in the database."""
    parts = [struct.pack("!iiIii", 1, 0, oid, len(given), 1)]
    for numbers in given:
        data = _binary(numbers)
        parts += (struct.pack("!i", len(data)), data)
    return Raw(b"".join(parts))


def sparse(numbers: array[float]) -> str:
    """A sparse vector as text, which has its few numbers that are not nought."""
    listed = ",".join([f"{i}:{number!r}" for i, number in enumerate(numbers, 1) if number])
    return f"{{{listed}}}/{len(numbers)}"


def numbers_of(data: bytes, kind: str) -> list[float]:
    """The numbers of a vector in binary form."""
    if kind == "sparsevec":
        dimension, count = struct.unpack_from("!ii", data)
        found = [0.0] * dimension
        places = struct.unpack_from(f"!{count}i", data, 12)
        numbers = struct.unpack_from(f"!{count}f", data, 12 + 4 * count)
        for place, number in zip(places, numbers, strict=True):
            found[place] = number
        return found
    if kind == "halfvec":
        return list(struct.unpack_from(f"!{(len(data) - 4) // 2}e", data, 4))
    return _turned(array("f", data[4:])).tolist()


def _binary(numbers: array[float]) -> bytes:
    return struct.pack("!HH", len(numbers), 0) + _turned(array("f", numbers)).tobytes()


def _turned(numbers: array[float]) -> array[float]:
    """The numbers with the other end first, if that is how PostgreSQL has it and we have not."""
    if sys.byteorder == "little":
        numbers.byteswap()
    return numbers


def open_vector_backend(options: PostgresOptions) -> VectorBackend:
    """The backend of some options; nothing is opened before the first operation."""
    return VectorBackend(settings(options), schema_name(options), pool=options.get("pool"))


class VectorBackend(PostgresBackend):
    """The connections of a ``PostgresStore`` of the same settings, which also take vectors."""

    name: ClassVar[str] = "PostgreSQL"

    async def define(self, statements: Sequence[Statement]) -> None:
        """Create or drop things, all or nothing; who does the same waits, or is waited for."""

        async def run(connection: AsyncConnection[Any]) -> None:
            async with connection.transaction():
                limits = Statement("SET LOCAL statement_timeout = 0")
                lock = Statement(f"SELECT pg_advisory_xact_lock({LOCK})")
                for statement in (limits, lock, *statements):
                    await sent(connection, statement)

        for attempt in range(1, ATTEMPTS + 1):
            try:
                await self._connected(run)
            except MADE_TWICE:
                # The original makes the same at the same time, and takes another lock.
                if attempt == ATTEMPTS:
                    raise
            else:
                return

    async def build(self, statements: Sequence[Statement]) -> None:
        """Statements that may take hours and are no transaction, while others read and write."""
        if self._given is not None:
            connection = await take(self._given, self._settings)
            try:
                return await self._unbounded(connection, statements)
            finally:
                await give(self._given, connection)
        async with await connect(self._settings) as connection:
            return await self._unbounded(connection, statements)

    async def _unbounded(
        self, connection: AsyncConnection[Any], statements: Sequence[Statement]
    ) -> None:
        # Behind a pooler there is no session to set it in, and no bound of ours either.
        lasting = self._settings.prepared
        if lasting:
            await sent(connection, Statement("SET statement_timeout = 0"))
        try:
            for statement in statements:
                await sent(connection, statement)
        finally:
            if lasting and not connection.closed:
                await sent(connection, Statement("RESET statement_timeout"))

    async def _connected(self, do: Callable[[AsyncConnection[Any]], Awaitable[T]]) -> T:
        async def taught(connection: AsyncConnection[Any]) -> T:
            # The pool may be a store's, or a caller's: its connections do not know the form.
            connection.adapters.register_dumper(Raw, RawDumper)
            return await do(connection)

        return await super()._connected(taught)
