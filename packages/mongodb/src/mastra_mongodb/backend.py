"""MongoDB as rows: with ``client``, all that imports the driver."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, TypeAlias, cast

import msgspec
import pymongo
from bson.errors import InvalidBSON
from pymongo import IndexModel
from pymongo import errors as driver
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection

from mastra_core.errors import (
    ConfigurationError,
    ConflictError,
    CorruptDataError,
    LimitExceededError,
    StorageError,
    UnavailableError,
)
from mastra_core.storage.backend import Backend, Limits
from mastra_core.storage.driver_errors import ErrorMap
from mastra_core.storage.loops import pauses
from mastra_core.storage.matching import matches
from mastra_core.storage.schema import Change, Put, Query, Row, Table, Update, Where
from mastra_mongodb.changes import Key, Operation, Step, inserted_first, keys_of, only, steps
from mastra_mongodb.client import Connection
from mastra_mongodb.conditions import Native, any_of, filtered, pushes
from mastra_mongodb.documents import Document, decoders, row
from mastra_mongodb.failures import (
    CODES,
    CONFLICT,
    DUPLICATE,
    MADE_MEANWHILE,
    NO_COLLECTION,
    code_of,
    only_duplicates,
    reason,
)
from mastra_mongodb.indexes import missing
from mastra_mongodb.ordered import finished, in_order, unmet
from mastra_mongodb.queries import WINDOW, Plan, in_order_again, pipeline, plan, windows, with_order
from mastra_mongodb.requests import DOCUMENT_BYTES, measure, request

Session: TypeAlias = AsyncClientSession | None

ATTEMPTS: Final = 5
TOO_LATE: Final = object()
KEYS_AT_ONCE: Final = 1000
# However short the patience with others is, the server may take this long for a document: in seconds.
SHORTEST: Final = 1.0


class _RacedError(Exception):
    """A document was inserted by somebody else between the look for it and the insert."""


class MongoDBBackend(Backend):
    """A database of a MongoDB deployment.

    A write of several documents is a transaction where the deployment has them (replica sets,
    sharded clusters), and done in a safe order where it has not; see ``ordered``.
    """

    name: ClassVar[str] = "MongoDB"
    limits: ClassVar[Limits] = Limits(value_bytes=DOCUMENT_BYTES - 1024)
    errors: ClassVar[ErrorMap] = {
        driver.DocumentTooLarge: LimitExceededError,
        driver.ConnectionFailure: UnavailableError,
        driver.ExecutionTimeout: UnavailableError,
        driver.WaitQueueTimeoutError: UnavailableError,
        InvalidBSON: CorruptDataError,
    }

    def __init__(
        self,
        connection: Connection,
        *,
        retry_seconds: float = 10.0,
        skip_default_indexes: bool = False,
    ) -> None:
        super().__init__()
        self.connection = connection
        self.place = connection.place
        self._patience = retry_seconds
        self._only_keys = skip_default_indexes

    def __repr__(self) -> str:
        return f"MongoDBBackend({self.place!r}, db_name={self.connection.db_name!r})"

    async def server(self) -> str:
        """The name and version that the server gives itself."""
        try:
            info = await self.connection.client().admin.command("buildInfo")
        except Exception as error:
            raise self._translate(error, "ask for the version") from error
        return f"MongoDB {info['version']}"

    async def _lacking(self, tables: Sequence[Table]) -> Sequence[str] | None:
        found: list[str] = []
        for table in tables:
            existing = await self._existing(self.connection.collection(table.name))
            specs = missing(table, existing, only_key=self._only_keys)
            found += [f"createIndex {table.name}.{spec.name}" for spec in specs]
        return found

    async def _setup(self, tables: Sequence[Table]) -> None:
        # One request first: tasks of the driver that wait for a server do not all end when cancelled.
        await self.connection.has_transactions()
        done = await asyncio.gather(
            *(self._index(table) for table in tables), return_exceptions=True
        )
        for outcome in done:
            if isinstance(outcome, BaseException):
                raise outcome

    async def _index(self, table: Table) -> None:
        """Look what is there and add what is not; again if somebody else did so meanwhile."""
        collection = self.connection.collection(table.name)
        for attempt in range(1, ATTEMPTS + 1):
            specs = missing(table, await self._existing(collection), only_key=self._only_keys)
            models = [
                IndexModel([(name, 1) for name in spec.fields], name=spec.name, unique=spec.unique)
                for spec in specs
            ]
            if not models:
                return
            try:
                await collection.create_indexes(models)
            except driver.OperationFailure as error:
                if error.code not in MADE_MEANWHILE or attempt == ATTEMPTS:
                    raise
            else:
                return

    async def _existing(self, collection: AsyncCollection[Document]) -> list[Mapping[str, Any]]:
        try:
            return [index async for index in await collection.list_indexes()]
        except driver.OperationFailure as error:
            if error.code == NO_COLLECTION:
                return []
            raise

    async def _find(self, table: Table, query: Query) -> list[Row]:
        wanted = plan(table, query)
        decode = decoders(table, wanted.columns)
        return [row(document, decode) for document in await self._documents(table, wanted)]

    async def _documents(self, table: Table, wanted: Plan) -> list[Document]:
        if not wanted.parts:
            return []
        collection, size = self.connection.collection(table.name), wanted.limit or 0
        part = wanted.parts[0]
        if len(wanted.parts) > 1 or part.flags:
            stages = pipeline(table, wanted)
            return await (await collection.aggregate(stages, batchSize=size)).to_list()
        return await collection.find(
            part.filter,
            wanted.projection,
            sort=list(part.sort.items()) or None,
            skip=wanted.offset,
            limit=size,
            batch_size=size,
        ).to_list()

    async def _find_many(self, table: Table, queries: Sequence[Query]) -> list[list[Row]]:
        plans = [plan(table, with_order(table, query)) for query in queries]
        found: list[list[Row]] = [[] for _ in queries]
        stages = windows(table, plans)
        if not stages:
            return found
        decode = [decoders(table, wanted.columns) for wanted in plans]
        size = sum(query.limit or 0 for query in queries)
        cursor = await self.connection.collection(table.name).aggregate(stages, batchSize=size)
        for document in await cursor.to_list():
            number = int(document[WINDOW])
            found[number].append(row(document, decode[number]))
        return [in_order_again(table, q, rows) for q, rows in zip(queries, found, strict=True)]

    async def _count(self, table: Table, where: Sequence[Where]) -> int:
        return await self.connection.collection(table.name).count_documents(filtered(table, where))

    def _pushes(self, table: Table, where: Where) -> bool:
        return pushes(table, where)

    async def _write(self, changes: Sequence[Change]) -> list[int]:
        made = steps(changes)
        measure(made)
        counts = [0] * len(changes)
        try:
            done = await self._apply(made) if made else {}
        except ConflictError as conflict:
            again = await self._as_stored(made, conflict)
            if again is None:
                raise
            done = await self._apply(again)
        for number, count in done.items():
            counts[number] = count
        return counts

    async def _apply(self, made: Sequence[Step]) -> dict[int, int]:
        """Do all steps or none; again while others change the same documents."""
        waits, raced = pauses(self._patience), 0
        while True:
            try:
                return await self._once(made, look=raced > 0)
            except _RacedError as error:
                raced += 1
                if raced == ATTEMPTS:
                    raise ConflictError(
                        f"{error}: a row with this key, or of another one's, is stored",
                        change=error.args[1],
                    ) from error
            except driver.PyMongoError as error:
                transient = error.has_error_label("TransientTransactionError")
                if not transient and code_of(error) != CONFLICT:
                    raise
                if await anext(waits, TOO_LATE) is TOO_LATE:
                    raise

    async def _once(self, made: Sequence[Step], *, look: bool) -> dict[int, int]:
        """Do all steps; ``look`` for rows that are stored even if they are said to be new."""
        if len(made) == 1 and made[0].single:
            return {made[0].number: await self._alone(made[0])}
        if await self.connection.has_transactions():
            return await self._transact(made, look=look)
        return await finished(in_order(made, self, look=look))

    async def _alone(self, step: Step) -> int:
        """Do a step of one document, which waits in the server while a transaction has the document.

        It is not to wait for ever: the transaction may be that of a process that was killed.
        """
        client = self.connection.client()
        own = client.options.timeout
        with pymongo.timeout(own or max(self._patience, SHORTEST)):
            return await self._checked(step, None)

    async def _transact(self, made: Sequence[Step], *, look: bool) -> dict[int, int]:
        counts: dict[int, int] = {}
        async with self.connection.client().start_session() as session:
            await session.start_transaction()
            try:
                for step in made:
                    stored = await self._stored(step, session, look=look)
                    counts[step.number] = await self._checked(step, session, stored)
            except BaseException:
                if session.in_transaction:
                    await session.abort_transaction()
                raise
            await self._commit(session)
        return counts

    async def _commit(self, session: AsyncClientSession) -> None:
        """Commit, again where nobody heard of it: a transaction is committed once however often."""
        waits = pauses(self._patience)
        while True:
            try:
                return await session.commit_transaction()
            except driver.PyMongoError as error:
                if not error.has_error_label("UnknownTransactionCommitResult"):
                    raise
                if await anext(waits, TOO_LATE) is TOO_LATE:
                    raise

    async def _stored(self, step: Step, session: Session, *, look: bool) -> set[Key] | None:
        """The keys of a put's rows that are stored already; ``None`` where it does not matter."""
        if not step.inserts:
            return None
        if not look and cast("Put", step.change).fresh:
            return set()
        fields = {"_id": 0, **dict.fromkeys(step.change.table.key, 1)}
        return keys_of(step, await self.documents_of(step, session, fields))

    async def documents_of(
        self, step: Step, session: Session = None, fields: Document | None = None
    ) -> list[Document]:
        """The stored documents that a step is of, whole unless fields are named."""
        collection = self.connection.collection(step.collection)
        filters = [operation.filter for operation in step.operations]
        if isinstance(step.change, Put):
            key = step.change.table.key
            filters = [{name: each[name] for name in key} for each in filters]
        found: list[Document] = []
        for i in range(0, len(filters), KEYS_AT_ONCE):
            some = filters[i : i + KEYS_AT_ONCE]
            where = some[0] if len(some) == 1 else any_of(some)
            found += await collection.find(
                where, fields, session=session, batch_size=KEYS_AT_ONCE
            ).to_list()
        return found

    async def _checked(self, step: Step, session: Session, stored: set[Key] | None = None) -> int:
        parts = [step.operations] if stored is None else inserted_first(step, stored)
        count = sum([await self._send(step, part, session) for part in parts])
        if step.expect is not None and step.expect != count:
            raise unmet(step)
        return count

    async def run(self, step: Step, before: Sequence[Document] | None) -> int:
        """Do a step of a write that is no transaction; ``before`` are the documents as they were."""
        if step.inserts:
            return await self._checked(step, None, keys_of(step, before or []))
        known = before is not None and not isinstance(step.change, Put)
        return await self._checked(only(step, before or []) if known else step, None)

    async def all_there(self, collection: str, documents: Sequence[Document]) -> bool:
        """Whether documents that were read are still there, as they were or changed."""
        known = {"_id": {"$in": [document["_id"] for document in documents]}}
        return await self.connection.collection(collection).count_documents(known) == len(documents)

    async def undo(self, collection: str, operations: Sequence[Operation]) -> None:
        """Do operations that take something back; what is there again already is left."""
        sent = [request(operation, one=True) for operation in operations]
        try:
            await self.connection.collection(collection).bulk_write(sent, ordered=False)
        except driver.BulkWriteError as error:
            if not only_duplicates(error):
                raise

    async def _send(self, step: Step, operations: Sequence[Operation], session: Session) -> int:
        """Send operations of a step as one request; how many rows they count for."""
        requests = [request(operation) for operation in operations]
        try:
            done = await self.connection.collection(step.collection).bulk_write(
                requests, session=session
            )
        except driver.BulkWriteError as error:
            if code_of(error) not in DUPLICATE:
                raise
            if isinstance(step.change, Put) and step.change.on_conflict == "fail":
                raise ConflictError(
                    f"{step.collection} has a row with this key already", change=step.number
                ) from error
            raise _RacedError(step.collection, step.number) from error
        if not isinstance(step.change, Put):
            matched = done.matched_count if isinstance(step.change, Update) else 0
            return matched + done.deleted_count
        skips = step.change.on_conflict == "skip"
        return done.inserted_count + done.upserted_count if skips else len(operations)

    async def _as_stored(
        self, made: Sequence[Step], conflict: ConflictError
    ) -> Sequence[Step] | None:
        """The steps with JSON to compare as it is stored, if what was read is stored still.

        JSON that the original wrote may have types that its text does not tell (dates), so that
        the value of the text is not equal to it.
        """
        step = next((one for one in made if one.number == conflict.change), None)
        if step is None or isinstance(step.change, Put):
            return None
        change = step.change
        table = change.table
        json = [w for w in change.where if _is_json_value(table, w)]
        if not json or not step.single:
            return None
        others = tuple([w for w in change.where if w not in json])
        found = await self.connection.collection(table.name).find_one(filtered(table, others))
        if found is None or not matches(
            table, json, (), row(found, decoders(table, table.columns))
        ):
            return None
        as_read = [Where(w.column, "eq", cast("Any", Native(found.get(w.column)))) for w in json]
        exact = steps([msgspec.structs.replace(change, where=(*others, *as_read))])[0]
        exact = msgspec.structs.replace(exact, number=step.number)
        return [exact if one is step else one for one in made]

    async def _close(self) -> None:
        await self.connection.close()

    def _translate(self, error: Exception, doing: str) -> Exception:
        text = f"{self!r} could not {doing}"
        code = code_of(error) if isinstance(error, driver.OperationFailure) else None
        known = CODES.get(code or 0)
        if known is not None:
            return known[0](f"{text}: {known[1]} ({reason(error)})")
        if isinstance(error, driver.ConfigurationError):
            return ConfigurationError(f"{text}: {reason(error)}")
        mapped = next((ours for kind, ours in self.errors.items() if isinstance(error, kind)), None)
        if mapped is not None:
            return mapped(f"{text}: {reason(error)}")
        if isinstance(error, driver.PyMongoError):
            return StorageError(f"{text}: {type(error).__name__}: {reason(error)}")
        return super()._translate(error, doing)


def _is_json_value(table: Table, where: Where) -> bool:
    json = table.column(where.column).type == "json"
    return json and where.op == "eq" and where.value is not None and not where.path
