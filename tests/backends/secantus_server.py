"""Serves MongoDB's protocol from WiredTiger: python secantus_server.py PORT FOLDER [--standalone].

What ``python -m secantus`` cannot be told is said here: transactions that nobody goes on with are aborted
after some seconds, as ``mongod`` does after ``transactionLifetimeLimitSeconds``, and are looked for
all the time. By itself ``secantus`` looks when it is asked for the next transaction, which may be never:
a write that waits for the transaction of a killed process holds up the process that would ask. And a
statement is known again by its number, also where the driver repeats it with less time (``maxTimeMS``).
What is united with a pipeline is found by its first stage along an index, as by ``mongod``, and not among
all documents of the collection.
"""

import logging
import sys
import time
from collections.abc import Callable
from typing import Any

from secantus import aggregate, commands
from secantus.server import SecantusDBServer

IDLE_SECONDS = 8.0
LOOK_SECONDS = 0.25


def lasting(statement: Callable[..., Any]) -> Callable[..., Any]:
    """A transaction's statement, during which it is not idle, however long the statement takes."""

    def run(transaction: Any, *given: Any) -> Any:
        try:
            return statement(transaction, *given)
        finally:
            transaction.last_use = time.time()

    return run


def by_index(unite: Callable[..., Any]) -> Callable[..., Any]:
    """The stage ``$unionWith``, of which a first ``$match`` is asked for where the indexes are."""

    def run(spec: Any, documents: list[Any], context: Any) -> list[Any]:
        first, *rest = spec.get("pipeline") or [{}]
        if "$match" not in first:
            found: list[Any] = unite(spec, documents, context)
            return found
        name, storage = spec["coll"], context.storage
        inner = aggregate.PipelineContext(
            storage=storage,
            db_name=context.db_name,
            coll_name=name,
            collation=context.collation,
        )
        matching = storage.find_matching(context.db_name, name, first["$match"])
        return [*documents, *aggregate.apply_pipeline(matching, rest, inner)]

    return run


def serve(port: int, folder: str, *, standalone: bool) -> None:
    """Serve until the process is ended."""
    aggregate._STAGES["$unionWith"] = by_index(aggregate._STAGES["$unionWith"])
    commands._run_txn_statement = lasting(commands._run_txn_statement)
    commands._RETRY_IDENTITY_IGNORED |= {"maxTimeMS"}
    server = SecantusDBServer(
        port=port,
        storage_path=folder,
        replica_set_name=None if standalone else "secantus",
        enable_test_commands=False,
        transaction_lifetime_seconds=IDLE_SECONDS,
    )
    server.start()
    while True:
        time.sleep(LOOK_SECONDS)
        server.transactions.prune_expired()


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    serve(int(sys.argv[1]), sys.argv[2], standalone="--standalone" in sys.argv)
