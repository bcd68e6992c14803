"""MongoDB as rows: the only module that imports the driver."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, ClassVar, Final, TypeAlias, Unpack, cast

import bson
import msgspec
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.errors import InvalidBSON
from pymongo import (
    AsyncMongoClient,
    DeleteMany,
    DeleteOne,
    IndexModel,
    InsertOne,
    ReadPreference,
    UpdateMany,
    UpdateOne,
)
from pymongo import errors as driver
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.driver_info import DriverInfo
from pymongo.uri_parser import parse_uri

from mastra_core.errors import (
    ConfigurationError,
    ConflictError,
    CorruptDataError,
    LimitExceededError,
    UnavailableError,
)
from mastra_core.storage.backend import Backend, Limits
from mastra_core.storage.driver_errors import ErrorMap
from mastra_core.storage.loops import PerLoop, at_end_of_loop, pauses
from mastra_core.storage.matching import matches
from mastra_core.storage.schema import Change, Delete, Put, Query, Row, Table, Update, Where
from mastra_mongodb.changes import Operation, Step, steps
from mastra_mongodb.conditions import Native, any_of, filtered, pushes
from mastra_mongodb.documents import Document, decoders, row
from mastra_mongodb.failures import (
    CODES,
    CONFLICT,
    DUPLICATE,
    MADE_MEANWHILE,
    NO_COLLECTION,
    code_of,
    reason,
)
from mastra_mongodb.indexes import missing
from mastra_mongodb.options import MongoDBOptions, database, hosts_and_database
from mastra_mongodb.ordered import finished, in_order, unmet
from mastra_mongodb.queries import WINDOW, Plan, in_order_again, pipeline, plan, windows, with_order

Client: TypeAlias = AsyncMongoClient[Document]
Session: TypeAlias = AsyncClientSession | None

# Dates come as milliseconds: JSON may have them too, and years beyond those of Python are no error.
CODEC: Final[CodecOptions[Document]] = CodecOptions(
    datetime_conversion=DatetimeConversion.DATETIME_MS
)
DOCUMENT_BYTES: Final = 16 * 1024 * 1024
# How much longer than its JSON a value may be in BSON: a list of small numbers.
GROWTH: Final = 6
ATTEMPTS: Final = 5
KEYS_AT_ONCE: Final = 1000


def open_backend(**options: Unpack[MongoDBOptions]) -> MongoDBBackend:
    """The backend for a URL or a client; nothing is opened before the first operation."""
    unknown = sorted(set(options) - MongoDBOptions.__annotations__.keys())
    if unknown:
        raise ConfigurationError(f"MongoDB has no option {', '.join(unknown)}")
    url, client, named = options.get("url"), options.get("client"), None
    if client is None:
        place, named = hosts_and_database(url)
        _check_url(cast("str", url))
    elif url is not None or not isinstance(client, AsyncMongoClient):
        raise ConfigurationError("give a url, or an AsyncMongoClient as client, and not both")
    else:
        place = "a given client"
    return MongoDBBackend(
        url,
        place=place,
        db_name=database(options.get("db_name") or named),
        client=client,
        retry_seconds=options.get("retry_seconds", 10.0),
        skip_default_indexes=options.get("skip_default_indexes", False),
    )


def _check_url(url: str) -> None:
    """Refuse what the driver would refuse, in words of our own: its own may have the password."""
    try:
        parse_uri(url) if url.startswith("mongodb:") else None
    except driver.PyMongoError as error:
        kind = type(error).__name__
    else:
        return
    raise ConfigurationError(
        f"the URL is no MongoDB URL ({kind}); user and password need percent-encoding "
        "(urllib.parse.quote_plus), and options follow a slash, as in mongodb://u:p@host/db?a=b"
    )


class _RacedError(Exception):
    """A document was inserted by somebody else between the look for it and the insert."""


class MongoDBBackend(Backend):
    """A database of a MongoDB deployment.

    A write of several documents is a transaction where the deployment has them (replica sets,
    sharded clusters), and done in a safe order where it has not; see ``ordered``. ``client`` opens
    a client; it is called once for each event loop.
    """

    name: ClassVar[str] = "MongoDB"
    limits: ClassVar[Limits] = Limits(value_bytes=DOCUMENT_BYTES - 1024)
    errors: ClassVar[ErrorMap] = {
        driver.DocumentTooLarge: LimitExceededError,
        driver.ConfigurationError: ConfigurationError,
        driver.ConnectionFailure: UnavailableError,
        driver.ExecutionTimeout: UnavailableError,
        driver.WaitQueueTimeoutError: UnavailableError,
        InvalidBSON: CorruptDataError,
    }

    def __init__(
        self,
        url: str | None,
        *,
        db_name: str,
        place: str,
        client: Client | None = None,
        retry_seconds: float = 10.0,
        skip_default_indexes: bool = False,
    ) -> None:
        super().__init__()
        self.place = place
        self.db_name = db_name
        self._url = url
        self._given = client
        self._patience = retry_seconds
        self._only_keys = skip_default_indexes
        self._has_transactions: bool | None = None
        self._clients = PerLoop(self._open)

    def __repr__(self) -> str:
        return f"MongoDBBackend({self.place!r}, db_name={self.db_name!r})"

    def _open(self) -> tuple[Client, object]:
        client: Client = AsyncMongoClient(self._url, driver=DriverInfo("mastra-storage-python"))
        return client, at_end_of_loop(client.close)

    def _client(self) -> Client:
        return self._given if self._given is not None else self._clients.get()[0]

    def _collection(self, name: str) -> AsyncCollection[Document]:
        # What was acknowledged is on the primary; a client may be set up to read elsewhere.
        return (
            self._client()
            .get_database(self.db_name)
            .get_collection(name, codec_options=CODEC, read_preference=ReadPreference.PRIMARY)
        )

    async def server(self) -> str:
        """The name and version that the server gives itself."""
        try:
            return f"MongoDB {(await self._client().admin.command('buildInfo'))['version']}"
        except Exception as error:
            raise self._translate(error, "ask for the version") from error

    async def _setup(self, tables: Sequence[Table]) -> None:
        await asyncio.gather(*(self._index(table) for table in tables))

    async def _index(self, table: Table) -> None:
        """Look what is there and add what is not; again if somebody else did so meanwhile."""
        collection = self._collection(table.name)
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
        collection, part, size = self._collection(table.name), wanted.parts[0], wanted.limit or 0
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
        cursor = await self._collection(table.name).aggregate(stages, batchSize=size)
        for document in await cursor.to_list():
            number = int(document[WINDOW])
            found[number].append(row(document, decode[number]))
        return [in_order_again(table, q, rows) for q, rows in zip(queries, found, strict=True)]

    async def _count(self, table: Table, where: Sequence[Where]) -> int:
        return await self._collection(table.name).count_documents(filtered(table, where))

    def _pushes(self, table: Table, where: Where) -> bool:
        return pushes(table, where)

    async def _write(self, changes: Sequence[Change]) -> list[int]:
        made = steps(changes)
        _measure(made)
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
                return await self._once(made)
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
                if not await _next_pause(waits):
                    raise

    async def _once(self, made: Sequence[Step]) -> dict[int, int]:
        if len(made) == 1 and made[0].single:
            return {made[0].number: await self._checked(made[0], None)}
        if await self._transactional():
            return await self._transact(made)
        return await finished(in_order(made, _Plain(self)))

    async def _transactional(self) -> bool:
        """Whether the deployment has transactions; asked once."""
        if self._has_transactions is None:
            hello = await self._client().admin.command("hello")
            self._has_transactions = "setName" in hello or hello.get("msg") == "isdbgrid"
        return self._has_transactions

    async def _transact(self, made: Sequence[Step]) -> dict[int, int]:
        async with self._client().start_session() as session:
            await session.start_transaction()
            try:
                counts = {step.number: await self._checked(step, session) for step in made}
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
                if not await _next_pause(waits):
                    raise

    async def _checked(self, step: Step, session: Session) -> int:
        count = await self._run(step, session)
        if step.expect is not None and step.expect != count:
            raise unmet(step)
        return count

    async def _run(self, step: Step, session: Session) -> int:
        requests = [_REQUESTS[op.kind, op.one](op) for op in step.operations]
        try:
            done = await self._collection(step.collection).bulk_write(requests, session=session)
        except driver.BulkWriteError as error:
            if code_of(error) not in DUPLICATE:
                raise
            at = error.details["writeErrors"][0].get("index", 0)
            if step.operations[at].kind == "insert":
                raise ConflictError(
                    f"{step.collection} has a row with this key already", change=step.number
                ) from error
            raise _RacedError(step.collection, step.number) from error
        if isinstance(step.change, Put):
            skips = step.change.on_conflict == "skip"
            return done.upserted_count if skips else len(step.operations)
        return done.matched_count if isinstance(step.change, Update) else done.deleted_count

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
        found = await self._collection(table.name).find_one(filtered(table, others))
        if found is None or not matches(table, json, (), row(found, decoders(table, table.columns))):
            return None
        as_read = [
            Where(w.column, "eq", cast("Any", Native(found.get(w.column)))) for w in json
        ]
        exact = steps([msgspec.structs.replace(change, where=(*others, *as_read))])[0]
        exact = msgspec.structs.replace(exact, number=step.number)
        return [exact if one is step else one for one in made]

    async def _close(self) -> None:
        opened = self._clients.pop()
        if opened is not None:
            await opened[0].close()

    def _translate(self, error: Exception, doing: str) -> Exception:
        code = code_of(error) if isinstance(error, driver.OperationFailure) else None
        if code in CODES:
            kind, advice = CODES[code]
            return kind(f"{self!r} could not {doing}: {advice} ({reason(error)})")
        for kind, mapped in self.errors.items():
            if isinstance(error, kind):
                return mapped(f"{self!r} could not {doing}: {reason(error)}")
        return super()._translate(error, doing)


class _Plain:
    """The documents of a server without transactions, for writes in a safe order."""

    def __init__(self, backend: MongoDBBackend) -> None:
        self._backend = backend

    async def before(self, step: Step) -> list[Document]:
        """The documents, whole, that a step will change."""
        collection = self._backend._collection(step.collection)
        filters = [operation.filter for operation in step.operations]
        if isinstance(step.change, Put):
            key = step.change.table.key
            filters = [{name: each[name] for name in key} for each in filters]
        found: list[Document] = []
        for i in range(0, len(filters), KEYS_AT_ONCE):
            some = filters[i : i + KEYS_AT_ONCE]
            found += await collection.find(some[0] if len(some) == 1 else any_of(some)).to_list()
        return found

    async def run(self, step: Step) -> int:
        """Do a step."""
        return await self._backend._checked(step, None)

    async def undo(self, collection: str, operation: Operation) -> None:
        """Do one operation that takes something back."""
        request = _REQUESTS[operation.kind, True](operation)
        try:
            await self._backend._collection(collection).bulk_write([request])
        except driver.BulkWriteError as error:
            if code_of(error) not in DUPLICATE:
                raise


_Request: TypeAlias = (
    InsertOne[Document] | UpdateOne | UpdateMany | DeleteOne | DeleteMany
)
_REQUESTS: Final[Mapping[tuple[str, bool], Callable[[Operation], _Request]]] = {
    ("insert", True): lambda op: InsertOne(op.update),
    ("upsert", True): lambda op: UpdateOne(op.filter, op.update, upsert=True),
    ("update", True): lambda op: UpdateOne(op.filter, op.update),
    ("update", False): lambda op: UpdateMany(op.filter, op.update),
    ("delete", True): lambda op: DeleteOne(op.filter),
    ("delete", False): lambda op: DeleteMany(op.filter),
}


def _is_json_value(table: Table, where: Where) -> bool:
    json = table.column(where.column).type == "json"
    return json and where.op == "eq" and where.value is not None and not where.path


async def _next_pause(waits: AsyncIterator[None]) -> bool:
    """Wait before another attempt; false where there is no time for one."""
    async for _ in waits:
        return True
    return False


def _measure(made: Sequence[Step]) -> None:
    """Refuse a document that is too large before anything is written."""
    for step in made:
        change = step.change
        if isinstance(change, Delete):
            continue
        rows = change.rows if isinstance(change, Put) else [tuple(change.values.values())]
        for values, operation in zip(rows, step.operations, strict=True):
            length = sum([len(value) for value in values if isinstance(value, str)])
            if length * GROWTH < DOCUMENT_BYTES:
                continue
            size = len(bson.encode({"": operation.update}))
            if size > DOCUMENT_BYTES:
                raise LimitExceededError(
                    f"a row of {step.collection} has {size:,} bytes; MongoDB takes at most "
                    f"{DOCUMENT_BYTES:,} in a document"
                )
