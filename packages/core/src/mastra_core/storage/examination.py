"""Looking whether a store is fit for use: reached, set up, exact, quick, and in time."""

from __future__ import annotations

import statistics
from collections.abc import AsyncIterator, Iterable
from time import perf_counter
from typing import Final, Literal
from uuid import uuid4

import msgspec

from mastra_core.clock import now
from mastra_core.errors import AuthenticationError, MastraError
from mastra_core.records import Thread
from mastra_core.storage.backend import Backend
from mastra_core.storage.domains.memory import MemoryStorage
from mastra_core.storage.schema import Delete, Query, Where
from mastra_core.storage.store import DOMAINS, MastraStorage
from mastra_core.storage.tables import THREADS

Status = Literal["ok", "note", "problem"]
READS: Final = 20
# Of one read, in milliseconds: more than this an agent's user notices.
SLOW: Final = 100.0
# Of the clocks, in seconds: more than this mixes up the order of messages of several writers.
APART: Final = 1.0


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at, what was found, and where it is no ``ok`` what to do."""

    check: str
    status: Status = "ok"
    found: str
    advice: str = ""


def backends(storage: MastraStorage) -> list[tuple[Backend, list[str]]]:
    """Each backend of a store once, with the names of the domains that are on it."""
    found: dict[int, tuple[Backend, list[str]]] = {}
    for name in DOMAINS:
        domain = storage.get_store(name)
        if domain is not None:
            found.setdefault(id(domain.backend), (domain.backend, []))[1].append(name)
    return list(found.values())


async def examine(storage: MastraStorage, *, mend: bool = False) -> AsyncIterator[Finding]:
    """What there is to say of a store, one check after another; ``mend`` sets up what is missing.

    Otherwise nothing is made, and the round trip needs tables. It leaves nothing behind. A check that
    cannot be made because of the one before it is left out.
    """
    for backend, domains in backends(storage):
        automatic, backend.auto_setup = backend.auto_setup, False
        try:
            async for finding in _examined(backend, domains, mend=mend):
                yield finding
        finally:
            backend.auto_setup = automatic


async def _examined(
    backend: Backend, domains: Iterable[str], *, mend: bool
) -> AsyncIterator[Finding]:
    try:
        start = perf_counter()
        server = await backend.server()
        took = (perf_counter() - start) * 1000
    except MastraError as error:
        advice = ENTER if isinstance(error, AuthenticationError) else REACH
        yield Finding(check="connection", status="problem", found=str(error), advice=advice)
        return
    told = f"{server or backend.name}, for {', '.join(domains)}, connected in {took:.0f} ms"
    yield Finding(check="connection", found=told)
    schema = await _schema(backend, mend=mend)
    yield schema
    if schema.status == "problem":
        return
    async for finding in _used(backend):
        yield finding


ENTER: Final = "check the user and password, the token or the key, and what they may do"
REACH: Final = "check the URL, that the server runs, and that this machine may reach it"


async def _schema(backend: Backend, *, mend: bool) -> Finding:
    try:
        lacking = await backend.lacking()
        if lacking is None or (lacking and mend):
            await backend.setup()
    except MastraError as error:
        return Finding(
            check="schema",
            status="problem",
            found=str(error),
            advice="mend what it says, then try again",
        )
    if lacking is None:
        return Finding(
            check="schema", found="set up (this database makes what it needs as it goes)"
        )
    if not lacking:
        return Finding(check="schema", found="all tables, columns and indexes are there")
    if mend:
        return Finding(check="schema", found=f"{len(lacking)} statements added what was missing")
    shown = "; ".join(
        statement.replace("IF NOT EXISTS ", "").partition("(")[0].partition(" ON ")[0].strip()
        for statement in lacking[:3]
    )
    return Finding(
        check="schema",
        status="problem",
        found=f"{len(lacking)} statements would add what is missing: {shown}"
        + (" …" if len(lacking) > 3 else ""),
        advice="run doctor with --fix, or let the application do it on its first use",
    )


async def _used(backend: Backend) -> AsyncIterator[Finding]:
    memory = MemoryStorage(backend)
    thread = Thread(
        id=f"mastra-doctor-{uuid4().hex}", resource_id="mastra-doctor", metadata={"π": [1.5, None]}
    )
    try:
        yield await _round_trip(memory, thread)
        yield await _latency(backend, thread.id)
        yield await _clock(backend)
    except MastraError as error:
        yield Finding(
            check="round trip",
            status="problem",
            found=str(error),
            advice="the user needs the right to read, write and delete",
        )


async def _round_trip(memory: MemoryStorage, thread: Thread) -> Finding:
    start = perf_counter()
    await memory.save_thread(thread)
    try:
        read = await memory.get_thread_by_id(thread.id)
    finally:
        await memory.backend.write(Delete(THREADS, (Where("id", "eq", thread.id),)))
    took = (perf_counter() - start) * 1000
    if read != thread:
        return Finding(
            check="round trip",
            status="problem",
            found="a thread came back other than it was written",
            advice="something between here and the database changes or delays what is written; "
            "a replica may not be read from",
        )
    return Finding(check="round trip", found=f"written, read and deleted in {took:.1f} ms")


async def _latency(backend: Backend, thread_id: str) -> Finding:
    query = Query(where=(Where("id", "eq", thread_id),), limit=1)
    times: list[float] = []
    for _ in range(READS):
        start = perf_counter()
        await backend.find(THREADS, query)
        times.append((perf_counter() - start) * 1000)
    middle, worst = statistics.median(times), max(times)
    slow = middle > SLOW
    return Finding(
        check="latency",
        status="note" if slow else "ok",
        found=f"a read by key takes {middle:.2f} ms (median of {READS}; at most {worst:.2f})",
        advice="a turn of an agent reads several times: bring the two nearer to each other"
        if slow
        else "",
    )


async def _clock(backend: Backend) -> Finding:
    before = now()
    there = await backend.clock()
    after = now()
    if there is None:
        return Finding(check="clock", found="this database does not tell its time")
    apart = (there - (before + (after - before) / 2)).total_seconds()
    uncertain = (after - before).total_seconds() / 2
    off = abs(apart) - uncertain > APART
    return Finding(
        check="clock",
        status="note" if off else "ok",
        found=f"{abs(apart) * 1000:.0f} ms {'ahead of' if apart > 0 else 'behind'} this machine "
        f"(± {uncertain * 1000:.0f} ms)",
        advice="synchronise both clocks, or messages of several machines are out of order"
        if off
        else "",
    )
