"""Rows in a deployment of Convex: each read one query, each write one mutation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final, Unpack

from mastra_convex.deployment import Deployment, FunctionThrew
from mastra_convex.errors import ADVICE, ERRORS, thrown
from mastra_convex.options import ConvexOptions, place, settings
from mastra_convex.shapes import index_name
from mastra_convex.wire import Reading, conditions, pushes, written
from mastra_core.errors import LimitExceededError, MastraError, SchemaError
from mastra_core.storage.backend import Backend, Limits
from mastra_core.storage.schema import Change, Put, Query, Row, Table, Where

# A document has at most a mebibyte; this leaves room for its other fields.
VALUE_BYTES: Final = 1_000_000
# An array has at most 8192 members, and what functions return may have 16 MiB.
PAGE_ROWS: Final = 2000
# Each row that is put is one read by its key, of the 4096 that a function may do.
WRITE_ROWS: Final = 4000


def open_backend(
    deployment_url: str, admin_auth_token: str | None = None, **options: Unpack[ConvexOptions]
) -> ConvexBackend:
    """The backend for a deployment; nothing is connected before the first operation."""
    found = settings(options)
    where = place(deployment_url, admin_auth_token)
    return ConvexBackend(Deployment(where, found, options.get("client")))


class ConvexBackend(Backend):
    """The tables of a deployment, by the functions that ``mastra-convex init`` writes."""

    name: ClassVar[str] = "Convex"
    texts = ERRORS
    limits = Limits(page_rows=PAGE_ROWS, value_bytes=VALUE_BYTES, write_rows=WRITE_ROWS)

    def __init__(self, deployment: Deployment) -> None:
        super().__init__()
        self.place = deployment.place.url
        self._deployment = deployment

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.place!r})"

    def _translate(self, error: Exception, doing: str) -> Exception:
        if not isinstance(error, FunctionThrew):
            return super()._translate(error, doing)
        return thrown(error.data, f"{self!r} could not {doing}: {error}")

    async def _setup(self, tables: Sequence[Table]) -> None:
        """Compare with what is deployed: tables of Convex come with its functions."""
        answer = await self._deployment.call("query", "rows:describe", {})
        deployed = {one["table"]: {*one["columns"], *one["indexes"]} for one in answer}
        missing: list[str] = []
        for table in tables:
            wanted = [*table.names, *(index_name(table, index.name) for index in table.indexes)]
            known = deployed.get(table.name, set())
            missing += [f"{table.name}.{name}" for name in wanted if name not in known]
        if missing:
            names = ", ".join(missing[:5])
            raise SchemaError(f"{self!r} lacks {names} ({len(missing)} in all); {ADVICE}")

    async def _find(self, table: Table, query: Query) -> list[Row]:
        return (await self._find_many(table, [query]))[0]

    async def _find_many(self, table: Table, queries: Sequence[Query]) -> list[list[Row]]:
        readings = [Reading(table, query) for query in queries]
        while pending := [reading for reading in readings if not reading.done]:
            arguments: dict[str, Any] = {"queries": [reading.asked() for reading in pending]}
            answers = await self._deployment.call("query", "rows:find", arguments)
            for reading, answer in zip(pending, answers, strict=True):
                reading.take(answer)
        return [reading.rows() for reading in readings]

    async def _count(self, table: Table, where: Sequence[Where]) -> int:
        arguments: dict[str, Any] = {"table": table.name, "where": conditions(table, where)}
        count = 0
        while True:
            answer = await self._deployment.call("query", "rows:count", arguments)
            count += int(answer["count"])
            if answer["next"] is None:
                return count
            arguments["from"] = answer["next"]

    async def _write(self, changes: Sequence[Change]) -> list[int]:
        rows = sum([len(change.rows) for change in changes if isinstance(change, Put)])
        if rows > WRITE_ROWS:
            raise LimitExceededError(
                f"{rows:,} rows in one write, and a mutation of Convex takes at most {WRITE_ROWS:,}; "
                "nothing was sent: write less in one call"
            )
        if not changes:
            return []
        counts = await self._deployment.call(
            "mutation", "rows:write", {"changes": written(changes)}
        )
        return [int(count) for count in counts]

    def _pushes(self, table: Table, where: Where) -> bool:
        return pushes(where)

    async def server(self) -> str:
        """The name alone, once the functions have answered: Convex gives no version to its clients."""
        try:
            await self._deployment.call("query", "rows:describe", {})
        except MastraError:
            raise
        except Exception as error:
            raise self._translate(error, "ask the deployment") from error
        return "Convex"

    async def _close(self) -> None:
        await self._deployment.close()
