"""Search indexes on the wire of ``mongoeco``, whose engine has them and whose server has no commands for them.

What Atlas does and the engine does not is done here: fields of filters in an index, and only those in the
filter of a search. The command ``searchLag`` has the search indexes of a collection no longer see what is
stored from then on (``frozen``), as those of Atlas do for some seconds; what is deleted they do not find,
since a search looks every document up.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mongoeco.errors import OperationFailure
from mongoeco.types import SearchIndexDefinition
from mongoeco.wire.executor import WireCommandExecutor
from mongoeco.wire.proxy import AsyncMongoEcoProxyServer
from mongoeco.wire.surface import WIRE_SUPPORTED_COMMANDS, WireSurface

COMMANDS = ("createSearchIndexes", "dropSearchIndex", "searchLag")
TAKES = {"$and", "$or", "$not", "$nor", "$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin"}
MOST = 10_000
DIMENSIONS = 8192


class Searching(WireCommandExecutor):
    """Does the commands of search itself, and all others as the server does."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        # By database, collection and name: what was given as the definition.
        self.definitions: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.frozen: dict[tuple[str, str], list[Any]] = {}

    async def execute_prepared(self, context: Any) -> dict[str, Any]:
        """One command."""
        command = context.command_document
        if context.command_name in COMMANDS:
            do = {
                "createSearchIndexes": self._create,
                "dropSearchIndex": self._drop,
                "searchLag": self._lag,
            }[context.command_name]
            return await do(context.db_name, command[context.command_name], command)
        if context.command_name == "aggregate" and command.get("pipeline"):
            place, first = (context.db_name, command["aggregate"]), command["pipeline"][0]
            if "$listSearchIndexes" in first:
                return await self._list(*place, first["$listSearchIndexes"])
            if "$vectorSearch" in first:
                command["pipeline"] = self._staged(*place, command["pipeline"])
        if context.command_name == "drop":
            self._forget(context.db_name, command["drop"])
        return await super().execute_prepared(context)

    def _collection(self, database: str, name: str) -> Any:
        return self._client.get_database(database).get_collection(name)

    async def _create(self, database: str, name: str, command: dict[str, Any]) -> dict[str, Any]:
        made = []
        for given in command["indexes"]:
            place, kind = (database, name, given["name"]), given.get("type", "search")
            if place in self.definitions:
                raise OperationFailure("Duplicate Index", code=68)
            if kind == "vectorSearch":
                vectors = [f for f in given["definition"]["fields"] if f["type"] == "vector"]
                if any(not 1 <= field["numDimensions"] <= DIMENSIONS for field in vectors):
                    raise OperationFailure("numDimensions must be at most 8192", code=2)
                known = [{k: v for k, v in f.items() if k != "quantization"} for f in vectors]
                definition = SearchIndexDefinition(
                    {"fields": known}, name=given["name"], index_type=kind
                )
                await self._client._engine.create_search_index(database, name, definition)
            self.definitions[place] = {"type": kind, "definition": given["definition"]}
            made.append({"id": given["name"], "name": given["name"]})
        return {"ok": 1.0, "indexesCreated": made}

    async def _drop(self, database: str, name: str, command: dict[str, Any]) -> dict[str, Any]:
        if self.definitions.pop((database, name, command["name"]), None) is None:
            raise OperationFailure("index not found", code=27)
        await self._client._engine.drop_search_index(database, name, command["name"])
        return {"ok": 1.0}

    async def _list(self, database: str, name: str, asked: dict[str, Any]) -> dict[str, Any]:
        batch = [
            {
                "id": place[2],
                "name": place[2],
                "type": one["type"],
                "status": "READY",
                "queryable": True,
                "latestDefinition": one["definition"],
            }
            for place, one in self.definitions.items()
            if place[:2] == (database, name) and asked.get("name", place[2]) == place[2]
        ]
        return {"ok": 1.0, "cursor": {"id": 0, "ns": f"{database}.{name}", "firstBatch": batch}}

    async def _lag(self, database: str, name: str, command: dict[str, Any]) -> dict[str, Any]:
        self.frozen.pop((database, name), None)
        if command.get("frozen"):
            found = self._collection(database, name).find({}, {"_id": 1})
            self.frozen[database, name] = [one["_id"] async for one in found]
        return {"ok": 1.0}

    def _staged(
        self, database: str, name: str, pipeline: list[dict[str, Any]]
    ) -> list[dict[str, Any]]:
        search, *rest = pipeline
        asked = search["$vectorSearch"]
        known = self.definitions.get((database, name, asked["index"]))
        if known is None:
            raise OperationFailure(f"index {asked['index']} not found", code=27)
        if not asked["limit"] <= asked["numCandidates"] <= MOST:
            raise OperationFailure("numCandidates must be from limit to 10000", code=8)
        declared = {f["path"] for f in known["definition"]["fields"] if f["type"] == "filter"}
        for key in _keys(asked.get("filter", {})):
            if key not in (TAKES if key.startswith("$") else declared):
                raise OperationFailure(f"Path '{key}' needs to be indexed as token", code=8)
        seen = self.frozen.get((database, name))
        if seen is None:
            return pipeline
        wide = {**asked, "limit": MOST, "numCandidates": MOST}
        stale = [{"$match": {"_id": {"$in": seen}}}, {"$limit": asked["limit"]}]
        return [{"$vectorSearch": wide}, *stale, *rest]

    def _forget(self, database: str, name: str) -> None:
        for place in [one for one in self.definitions if one[:2] == (database, name)]:
            del self.definitions[place]
        self.frozen.pop((database, name), None)


class SearchingServer(AsyncMongoEcoProxyServer):
    """The server with search."""

    def __init__(self, **named: Any) -> None:
        super().__init__(**named)
        self._surface = WireSurface(supported_commands=(*WIRE_SUPPORTED_COMMANDS, *COMMANDS))
        self._executor = Searching(
            self._client,
            self._cursor_store,
            self._session_store,
            surface=self._surface,
            auth=self._auth,
        )


def _keys(given: Any) -> Iterator[str]:
    """All keys of a filter: paths and operators."""
    for key, value in given.items() if isinstance(given, dict) else ():
        yield key
        yield from _keys(value)
    for one in given if isinstance(given, list) else ():
        yield from _keys(one)
