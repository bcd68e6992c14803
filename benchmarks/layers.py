"""What each layer adds to a call on a libSQL file, and what all of them together do.

    hatch run bench:layers

Every store has a file of its own with the same thread; a round visits all of them in any order, and the
ratios are of medians over rounds. Telemetry has the SDK with processors that drop what they get.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import random
import statistics
import tempfile
from pathlib import Path
from time import perf_counter

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

from mastra_core import Message, Thread
from mastra_core.storage.layers import Encryption, Retry, Telemetry, Timeout
from mastra_libsql import LibSQLStore

TEXT = "The quick brown fox jumps over the lazy dog. " * 10
BATCH, LAST, STORED = 100, 40, 2000


class Nowhere(SpanExporter):
    """Takes spans and forgets them."""

    def export(self, spans):
        return SpanExportResult.SUCCESS


def layers():
    """The layers by what they are called in the table."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(Nowhere()))
    meters = MeterProvider([InMemoryMetricReader()])
    telemetry = Telemetry(tracer_provider=provider, meter_provider=meters)
    encryption = Encryption(key=Encryption.generate_key())
    return {
        "none": (),
        "none, again": (),
        "Retry": (Retry(),),
        "Timeout": (Timeout(),),
        "Telemetry, no SDK": (Telemetry(),),
        "Telemetry": (telemetry,),
        "Encryption": (encryption,),
        "all four": (telemetry, Retry(), Timeout(), encryption),
    }


def messages(count):
    """New messages of about the size of an answer."""
    content = {"format": 2, "parts": [{"type": "text", "text": TEXT}], "metadata": {"n": 1}}
    given = {"thread_id": "t", "resource_id": "r", "role": "user", "content": content}
    return [Message(**given) for _ in range(count)]


async def visit(store, cell):
    """Return the seconds of one call."""
    if cell == f"save {BATCH}":
        batch = messages(BATCH)
        start = perf_counter()
        await store.memory.save_messages(batch)
        return perf_counter() - start
    start = perf_counter()
    order = {"field": "createdAt", "direction": "DESC"}
    page = await store.memory.list_messages(
        "t", resource_id="r", per_page=LAST, order_by=order, with_total=False
    )
    assert len(page.messages) == LAST
    return perf_counter() - start


async def measure(folder: Path, rounds: int):
    """Return the seconds of every round for each cell and store."""
    stores = {}
    for number, (name, chosen) in enumerate(layers().items()):
        store = LibSQLStore(id=name, url=f"file:{folder}/{number}.db")
        stores[name] = store.with_layers(*chosen) if chosen else store
        await stores[name].memory.save_thread(Thread(id="t", resource_id="r"))
        await stores[name].memory.save_messages(messages(STORED))
    gc.collect()
    gc.freeze()
    found = {}
    for number in range(rounds + 5):
        for cell in (f"save {BATCH}", f"last {LAST}"):
            # In another order each time: whoever comes first finds the caches cold.
            for name, store in random.sample(list(stores.items()), len(stores)):
                seconds = await visit(store, cell)
                if number >= 5:
                    found.setdefault((cell, name), []).append(seconds)
    for store in stores.values():
        await store.close()
    return found


def main() -> None:
    """Measure, and print a row for each layer."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=200)
    rounds = arguments.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(measure(Path(folder), rounds))
    cells = sorted({cell for cell, _ in found}, reverse=True)
    print("| layers |", " | ".join(cells), "|")
    print("| --- |" + " ---: |" * len(cells))
    for name in layers():
        told = []
        for cell in cells:
            ms = statistics.median(found[cell, name]) * 1000
            ratio = ms / 1000 / statistics.median(found[cell, "none"])
            told.append(f"{ms:.2f} ms, {ratio:.2f}")
        print(f"| {name} |", " | ".join(told), "|")


if __name__ == "__main__":
    main()
