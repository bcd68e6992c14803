"""The client of a store: opened for each event loop from a URL, or given and left open."""

from __future__ import annotations

from typing import Final, TypeAlias

from bson.codec_options import CodecOptions, DatetimeConversion
from pymongo import AsyncMongoClient, ReadPreference
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.driver_info import DriverInfo
from pymongo.errors import PyMongoError
from pymongo.uri_parser import parse_uri

from mastra_core.errors import ConfigurationError
from mastra_core.storage.loops import PerLoop, at_end_of_loop
from mastra_mongodb.discretion import keep_secret
from mastra_mongodb.documents import Document
from mastra_mongodb.options import MongoDBVectorOptions, database, hosts_and_database

Client: TypeAlias = AsyncMongoClient[Document]

# Dates come as milliseconds: JSON may have them too, and years beyond those of Python are no error.
CODEC: Final[CodecOptions[Document]] = CodecOptions(
    datetime_conversion=DatetimeConversion.DATETIME_MS
)


class Connection:
    """A database of a deployment, by the clients that its ``url`` opens or by a given ``client``."""

    def __init__(
        self, url: str | None, *, db_name: str, place: str, client: Client | None = None
    ) -> None:
        self.place = place
        self.db_name = db_name
        self._url = url
        self._given = client
        self._has_transactions: bool | None = None
        self._clients = PerLoop(self._open)
        keep_secret(db_name)

    def client(self) -> Client:
        """The client of the running event loop."""
        return self._given if self._given is not None else self._clients.get()[0]

    def collection(self, name: str) -> AsyncCollection[Document]:
        """A collection, read where what was acknowledged is there: on the primary."""
        database = self.client().get_database(self.db_name)
        return database.get_collection(name, CODEC, ReadPreference.PRIMARY)

    async def has_transactions(self) -> bool:
        """Whether the deployment has transactions (a replica set, a sharded cluster); asked once."""
        known = self._has_transactions
        if known is None:
            hello = await self.client().admin.command("hello")
            known = "setName" in hello or hello.get("msg") == "isdbgrid"
            self._has_transactions = known
        return known

    async def close(self) -> None:
        """Close the running loop's client, if it was opened here."""
        opened = self._clients.pop()
        if opened is not None:
            await opened[0].close()

    def _open(self) -> tuple[Client, object]:
        client: Client = AsyncMongoClient(self._url, driver=DriverInfo("mastra-storage-python"))
        return client, at_end_of_loop(client.close)


def connection(options: MongoDBVectorOptions) -> Connection:
    """The connection that checked options say; nothing is opened before the first operation."""
    url, client = options.get("url"), options.get("client")
    if client is None:
        place, named = hosts_and_database(url)
        _check(str(url))
        return Connection(url, db_name=database(options.get("db_name") or named), place=place)
    if url is not None or not isinstance(client, AsyncMongoClient):
        raise ConfigurationError("give a url, or an AsyncMongoClient as client, and not both")
    if not client.write_concern.acknowledged:
        raise ConfigurationError("the client's write concern must be acknowledged (w=0 is not)")
    db_name = database(options.get("db_name"))
    return Connection(None, db_name=db_name, place="a given client", client=client)


def _check(url: str) -> None:
    """Refuse what the driver would refuse, in words of our own: its own may have the password."""
    try:
        # As a list of hosts: a name that DNS resolves is asked for when it is used.
        options = parse_uri(url.replace("mongodb+srv:", "mongodb:", 1))["options"]
    except (PyMongoError, ValueError) as error:
        kind = type(error).__name__
    else:
        if options.get("w") == 0:
            raise ConfigurationError("writes must be acknowledged; take w=0 out of the URL")
        return
    raise ConfigurationError(
        f"this is no URL that MongoDB's driver takes ({kind}); user and password need "
        "percent-encoding (urllib.parse.quote_plus), and options follow a slash, as in "
        "mongodb://u:p@host/db?a=b"
    )
