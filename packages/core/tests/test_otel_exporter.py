"""The exporter of spans: nothing waits for the store, and nothing is lost without being counted."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
import textwrap
import threading
import time

import pytest
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, get_value
from opentelemetry.sdk.trace.export import SpanExportResult

from mastra_core import ConfigurationError, DomainNotConfigured, InMemoryStore, MastraStorage
from mastra_core.otel import MastraSpanExporter
from mastra_core.otel.buffer import SPAN_BYTES
from mastra_core.storage.store import BackendStore
from mastra_libsql import LibSQLStore

from .spans import Backend, Store, stored, traced


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def exporter(store):
    made = MastraSpanExporter(store, schedule_delay=0.05)
    yield made
    made.shutdown()


def test_a_store_that_is_down_costs_the_program_nothing_and_gets_all_when_it_is_back(store):
    exporter = MastraSpanExporter(store, schedule_delay=0.01)
    tracer = traced(exporter).get_tracer("t")
    store.rows.down.set()
    with tracer.start_as_current_span("root"):
        for number in range(50):
            with tracer.start_as_current_span(f"s{number}"):
                pass
    assert store.rows.tried.wait(10)
    assert not exporter.force_flush(50)
    assert exporter.counts.waiting == 51
    store.rows.down.clear()
    assert exporter.force_flush()
    assert len(stored(store)) == 51
    exporter.shutdown()
    assert (exporter.counts.stored, exporter.counts.dropped) == (51, 0)


def test_what_finds_no_room_is_dropped_counted_and_told(store, caplog):
    exporter = MastraSpanExporter(store, schedule_delay=0.01, max_queue_size=10, retry_for=0.2)
    tracer = traced(exporter).get_tracer("t")
    store.rows.down.set()
    with caplog.at_level(logging.WARNING, "mastra_core.otel"):
        for _ in range(25):
            tracer.start_span("s").end()
        assert exporter.counts.waiting <= 10
        assert exporter.counts.dropped >= 15
        exporter.shutdown()
    assert exporter.counts.stored == exporter.counts.waiting == 0
    assert exporter.counts.dropped == 25
    told = [record.getMessage() for record in caplog.records]
    assert sum(int(text.split()[0]) for text in told) == 25
    assert "the queue is full" in told[0]
    assert "UnavailableError: the database does not answer" in told[-1]
    assert len(told) == 2


def test_texts_count_against_the_bound_of_memory(store):
    exporter = MastraSpanExporter(store, max_queue_bytes=2 * SPAN_BYTES + 5000)
    store.rows.down.set()
    tracer = traced(exporter).get_tracer("t")
    tracer.start_span("small", attributes={"text": "x" * 4000}).end()
    tracer.start_span("large", attributes={"text": "x" * 2000}).end()
    assert (exporter.counts.waiting, exporter.counts.dropped) == (1, 1)
    exporter.shutdown(10)


def test_a_span_that_is_refused_takes_no_other_with_it(exporter, store, caplog):
    tracer = traced(exporter).get_tracer("t")
    with tracer.start_as_current_span("root"):
        for number in range(20):
            text = "too big" if number == 7 else "fine"
            tracer.start_span(f"s{number}", attributes={"text": text}).end()
    assert exporter.force_flush()
    names = {span.name for span in stored(store)}
    assert names == {"root", *(f"s{n}" for n in range(20) if n != 7)}
    assert (exporter.counts.stored, exporter.counts.dropped) == (20, 1)
    assert "a span was refused: a row is too big" in caplog.text


def test_giving_spans_never_waits_for_the_store(store):
    """Every write takes half a second; a thousand spans are given in less than one."""

    class Slow(Backend):
        async def _write(self, changes):
            await asyncio.sleep(0.5)
            return await super()._write(changes)

    slow = BackendStore(Slow(), id="slow")
    exporter = MastraSpanExporter(slow, schedule_delay=0.01, max_batch_size=10)
    tracer = traced(exporter).get_tracer("t")
    writes = 1000 / 10
    began = time.perf_counter()
    for _ in range(1000):
        tracer.start_span("s").end()
    assert time.perf_counter() - began < writes * 0.5 / 10
    exporter.shutdown(10)


def test_spans_of_many_threads_are_all_stored(store):
    exporter = MastraSpanExporter(store, schedule_delay=0.01, max_batch_size=64)
    tracer = traced(exporter).get_tracer("t")

    def work() -> None:
        for _ in range(200):
            tracer.start_span("s").end()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    exporter.shutdown()
    assert (exporter.counts.stored, exporter.counts.dropped) == (1600, 0)


def test_after_its_shutdown_it_takes_no_more(exporter):
    tracer = traced(exporter).get_tracer("t")
    exporter.shutdown()
    exporter.shutdown()
    span = tracer.start_span("s")
    span.end()
    assert exporter.export([span]) is SpanExportResult.FAILURE
    assert exporter.counts.waiting == 0


def test_the_store_s_own_driver_is_no_part_of_the_traces():
    """Else each batch that is stored would make spans that are to be stored."""

    class Instrumented(Backend):
        async def _write(self, changes):
            if not get_value(_SUPPRESS_INSTRUMENTATION_KEY):
                tracer.start_span("INSERT").end()
            return await super()._write(changes)

    store = BackendStore(Instrumented(), id="traces")
    exporter = MastraSpanExporter(store, schedule_delay=0.01)
    tracer = traced(exporter).get_tracer("t")
    tracer.start_span("root").end()
    assert exporter.force_flush()
    assert [span.name for span in stored(store)] == ["root"]
    exporter.shutdown()
    assert (exporter.counts.stored, exporter.counts.dropped) == (1, 0)


def test_what_cannot_work_is_said_at_once():
    with pytest.raises(ConfigurationError, match="max_queue_size must be greater than 0, not 0"):
        MastraSpanExporter(InMemoryStore(), max_queue_size=0)
    with pytest.raises(ConfigurationError, match="schedule_delay must be a number, not '1'"):
        MastraSpanExporter(InMemoryStore(), schedule_delay="1")
    without = MastraStorage(id="x", default=InMemoryStore(), domains={"observability": False})
    with pytest.raises(DomainNotConfigured):
        MastraSpanExporter(without)
    with pytest.raises(ConfigurationError, match="no-such"):
        MastraSpanExporter("no-such://database")


PROGRAM = """
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from mastra_core.otel import MastraSpanExporter

    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(MastraSpanExporter("file:traces.db")))
    tracer = provider.get_tracer("t")
    with tracer.start_as_current_span("root"):
        tracer.start_span("child").end()
"""


def test_a_program_that_just_ends_has_stored_its_spans(tmp_path):
    """Nothing is called at the end: the provider shuts down what it has when the program exits."""
    run(tmp_path, PROGRAM)
    assert sorted(names(tmp_path)) == ["child", "root"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_process_stores_its_own_spans_and_no_others_again(tmp_path):
    forks = """
        import os
        pid = os.fork()
        tracer.start_span("of the child" if pid == 0 else "of the parent").end()
        provider.shutdown()
        if pid == 0:
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
    """
    run(tmp_path, textwrap.dedent(PROGRAM) + textwrap.dedent(forks))
    assert sorted(names(tmp_path)) == ["child", "of the child", "of the parent", "root"]


def run(folder, program):
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", textwrap.dedent(program)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def names(folder):
    async def read():
        async with LibSQLStore(id="traces", url=f"file:{folder / 'traces.db'}") as store:
            page = await store.observability.list_traces()
            traces = [await store.observability.get_trace(s.trace_id) for s in page.spans]
            return [span.name for trace in traces for span in trace.spans]

    return asyncio.run(read())
