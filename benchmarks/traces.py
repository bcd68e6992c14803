"""A million spans in each store: how fast they are taken, and how long traces take to be found.

    hatch -e bench run traces
    hatch -e bench run traces --spans 100000 --only libsql,postgres

Every store takes the same spans and is read at the same sizes on its way: the newest page of traces,
one trace, and a page of the failed ones of one service. The reads of a size are by turns.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import tempfile
import time
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from report import figure
from run import server

from mastra_core import open_storage
from mastra_core.records import Span

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from mastra_core import MastraStorage
    from mastra_core.storage.domains.observability import ObservabilityStorage

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SIZES = (10_000, 100_000, 1_000_000)
IN_A_TRACE = 10
BATCH = 1_000
PAGE = 20
TIMES = 30
TEXT = "Where is my order? It was to come on Monday, and the card was charged twice. " * 4
STORES = ("libsql", "postgres", "clickhouse")
READS = ("newest 20 traces", "one trace", "20 failed of a service")


@dataclass
class Figures:
    """What was measured of one store."""

    rates: dict[int, float] = field(default_factory=dict)
    reads: dict[tuple[str, int], float] = field(default_factory=dict)


def spans(count: int) -> Iterator[list[Span]]:
    """Make so many spans in batches: traces of an agent that calls models and tools, one a second."""
    batch: list[Span] = []
    for number in range(count):
        trace, place = divmod(number, IN_A_TRACE)
        at = NOON + timedelta(seconds=trace, milliseconds=place * 50)
        kind = "agent_run" if not place else ("model_generation", "tool_call")[place % 2]
        batch.append(
            Span(
                trace_id=f"{trace:032x}",
                span_id=f"{number:016x}",
                parent_span_id=None if not place else f"{trace * IN_A_TRACE:016x}",
                name=f"{kind} {place}",
                span_type=kind,
                entity_type="agent",
                entity_id=f"agent-{trace % 20}",
                service_name=f"service-{trace % 10}",
                user_id=f"user-{trace % 1000}",
                environment="production",
                started_at=at,
                ended_at=at + timedelta(milliseconds=40),
                input={"messages": [{"role": "user", "content": TEXT}]},
                output={"text": TEXT},
                attributes={"model": "m-1", "usage": {"inputTokens": 80, "outputTokens": 40}},
                metadata={"region": ("eu", "us")[trace % 2]},
                tags=["checkout"],
                error={"message": "no answer"} if trace % 50 == 7 else None,
            )
        )
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def reads(domain: ObservabilityStorage, size: int) -> dict[str, Callable[[], Awaitable[Any]]]:
    """Name the reads at a size; each call for one asks for another trace."""
    dice = random.Random(size)

    async def newest() -> None:
        page = await domain.list_traces(per_page=PAGE, with_total=False)
        assert len(page.spans) == PAGE
        assert page.spans[0].trace_id == f"{size // IN_A_TRACE - 1:032x}"

    async def one() -> None:
        trace = await domain.get_trace(f"{dice.randrange(size // IN_A_TRACE):032x}")
        assert trace is not None
        assert len(trace.spans) == IN_A_TRACE

    async def failed() -> None:
        page = await domain.list_traces(
            per_page=PAGE, with_total=False, status="error", service_name="service-7"
        )
        assert len(page.spans) == min(PAGE, size // IN_A_TRACE // 50)
        assert all(span.status == "error" for span in page.spans)

    return dict(zip(READS, (newest, one, failed), strict=True))


async def timed(read: Callable[[], Awaitable[Any]]) -> float:
    """Return how many ms a read takes."""
    start = perf_counter()
    await read()
    return (perf_counter() - start) * 1000


async def fill(storage: MastraStorage, made: list[list[Span]]) -> float:
    """Store the batches, which are ready; spans a second."""
    start = perf_counter()
    for batch in made:
        await storage.observability.batch_create_spans(batch)
    return sum(map(len, made)) / (perf_counter() - start)


async def read_all(stores: dict[str, MastraStorage], stored: int) -> dict[tuple[str, str], float]:
    """Return the median ms of every read of every store, by turns."""
    times: dict[tuple[str, str], list[float]] = {}
    calls = {name: reads(one.observability, stored) for name, one in stores.items()}
    for _ in range(TIMES + 1):
        for read in READS:
            for name in stores:
                times.setdefault((name, read), []).append(await timed(calls[name][read]))
    return {key: statistics.median(found[1:]) for key, found in times.items()}


async def measure(
    stores: dict[str, MastraStorage], most: int, looks: list[Callable[[], None]]
) -> dict[str, Figures]:
    """Fill all stores to every size up to ``most``, and read each there after ``looks``."""
    found = {name: Figures() for name in stores}
    sizes = sorted({size for size in SIZES if size < most} | {most})
    for storage in stores.values():
        await storage.init()
    source, stored = spans(most), 0
    for size in sizes:
        spent = dict.fromkeys(stores, 0.0)
        before = stored
        while stored < size:
            # Some batches at a time, so that neither memory nor the machine's pace matter.
            made = [batch for _, batch in zip(range(10), source, strict=False)]
            number = sum(map(len, made))
            for name, storage in stores.items():
                spent[name] += number / await fill(storage, made)
            stored += number
        for look in looks:
            look()
        for name in stores:
            found[name].rates[size] = (stored - before) / spent[name]
        for (name, read), ms in (await read_all(stores, stored)).items():
            found[name].reads[read, size] = ms
        print(f"{size:,} spans are in all stores", flush=True)
    return found


def table(found: dict[str, Figures]) -> str:
    """Return all figures, a row for each store and size."""
    lines = [f"| store | spans | stored a second | {' | '.join(f'{r}, ms' for r in READS)} |"]
    lines.append("|---|---|---|" + "---|" * len(READS))
    for name, figures in found.items():
        for size, rate in figures.rates.items():
            cells = [figure(figures.reads[read, size]) for read in READS]
            lines.append(f"| {name} | {size:,} | {rate:,.0f} | {' | '.join(cells)} |")
    return "\n".join(lines)


def analyzed(url: str) -> None:
    """Have PostgreSQL look at what was stored, as autovacuum does within a minute."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE mastra_ai_spans")


def merged(url: str) -> None:
    """Wait until ClickHouse has merged what it was given; it goes on for a while."""
    import httpx

    parts = urlsplit(url)
    ask = f"http://{parts.hostname}:{parts.port}/"
    who = (parts.username or "", parts.password or "")
    for _ in range(600):
        count = httpx.post(ask, content="SELECT count() FROM system.merges", auth=who).text
        if count.strip() == "0":
            return
        time.sleep(0.1)


async def run(names: list[str], most: int, folder: Path) -> str:
    """Open the stores, measure, and return the table."""
    with ExitStack() as servers:
        async with AsyncExitStack() as opened:
            stores: dict[str, MastraStorage] = {}
            looks: list[Callable[[], None]] = []
            for name in names:
                url = f"file:{folder / name}.db"
                if name != "libsql":
                    url = servers.enter_context(server(name, folder / name))
                if name == "postgres":
                    looks.append(partial(analyzed, url))
                if name == "clickhouse":
                    looks.append(partial(merged, url))
                stores[name] = await opened.enter_async_context(open_storage(url))
            return table(await measure(stores, most, looks))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--spans", type=int, default=SIZES[-1])
    parser.add_argument("--only", help="stores, by name and comma: " + ", ".join(STORES))
    options = parser.parse_args()
    names = options.only.split(",") if options.only else list(STORES)
    with tempfile.TemporaryDirectory(prefix="bench-") as temporary:
        print(asyncio.run(run(names, options.spans, Path(temporary))))


if __name__ == "__main__":
    main()
