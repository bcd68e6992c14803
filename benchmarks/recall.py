"""Recall over 100,000 stored messages in libSQL: ours, the bare statements, and the original, by turns.

python benchmarks/recall.py                     build a file, measure, delete it: about fifteen minutes
python benchmarks/recall.py --keep recall.db    the same, and use the file again the next time
python benchmarks/recall.py --filtered          searches with a filter alone, which need no graph: a minute
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import random
import statistics
import subprocess
import tempfile
from array import array
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import libsql
import msgspec
from report import figure, quartiles
from run import INTEROP, NotRunError, node

from mastra_libsql import LibSQLVector

HERE = Path(__file__).parent
INDEX = "memory_messages"
DIMENSION = 128
OPTIONS = {"compress_neighbors": "float8", "max_neighbors": 20}
KEYS = ("resource_id", "thread_id")
USERS, PER_THREAD, TOPICS = 100, 20, 500
QUERIES = 20
GRAPH = (
    "SELECT t.vector_id, vector_distance_cos(t.embedding, ?1), t.metadata "
    f"FROM vector_top_k('{INDEX}_vector_idx', ?1, ?2) v JOIN {INDEX} t ON t.rowid = v.id"
)
EXACT = (
    "SELECT vector_id, vector_distance_cos(embedding, ?1) d, metadata FROM {0} "
    "WHERE CASE WHEN json_valid(metadata, 5) THEN json_extract(metadata, '$.\"{1}\"') END = ?3 "
    "ORDER BY d LIMIT ?2"
)


class Cell(NamedTuple):
    """One kind of question: what the table calls it, how many answers, and what is filtered by."""

    title: str
    top_k: int
    where: dict[str, str] | None


CELLS = [
    Cell(f"{title}, top {top_k}", top_k, where)
    for title, where in {
        "all": None,
        "one of 100 users": {"resource_id": "user-7"},
        "20 rows": {"thread_id": "thread-1207"},
    }.items()
    for top_k in (4, 10)
]


class Vectors:
    """An endless supply of vectors that lie in clusters, as those of texts on several topics do."""

    def __init__(self, seed: int) -> None:
        topics = random.Random(1)
        self._topics = [[topics.gauss(0, 1) for _ in range(DIMENSION)] for _ in range(TOPICS)]
        self._random = random.Random(seed)

    def take(self, count: int) -> list[array[float]]:
        gauss, choice = self._random.gauss, self._random.choice
        return [array("f", [x + gauss(0, 0.7) for x in choice(self._topics)]) for _ in range(count)]


def metadata(number: int) -> dict[str, Any]:
    thread = number // PER_THREAD
    return {
        "message_id": f"message-{number}",
        "thread_id": f"thread-{thread}",
        "resource_id": f"user-{thread % USERS}",
    }


async def build(path: Path, count: int, options: dict[str, Any]) -> None:
    """Store the vectors a thousand at a time; the disk is not waited for."""
    vectors = Vectors(2)
    spent = 0.0
    async with LibSQLVector(id="bench", url=f"file:{path}", synchronous="OFF") as store:
        await store.create_index(INDEX, dimension=DIMENSION, options=options, metadata_indexes=KEYS)
        for start in range(0, count, 1000):
            given = vectors.take(1000)
            numbers = range(start, start + 1000)
            begun = perf_counter()
            await store.upsert(
                INDEX,
                ids=[f"chunk-{number}" for number in numbers],
                vectors=given,
                metadata=[metadata(number) for number in numbers],
            )
            spent += perf_counter() - begun
            if start % 10_000 == 9_000:
                rate = (start + 1000) / spent
                print(f"{start + 1000:,} stored, {rate:.0f} a second on average", flush=True)
    print(f"{count:,} vectors in {spent:.0f} s", flush=True)


class Bare:
    """The statements themselves on the driver: rows as tuples, metadata decoded."""

    def __init__(self, path: Path) -> None:
        self._connection = libsql.connect(str(path), isolation_level=None)
        self._connection.execute("PRAGMA cache_size = -16000").fetchall()

    async def ask(self, cell: Cell, vector: array[float]) -> list[str]:
        if cell.where is None:
            sql, params = GRAPH, (vector.tobytes(), cell.top_k)
        else:
            ((key, value),) = cell.where.items()
            sql, params = EXACT.format(INDEX, key), (vector.tobytes(), cell.top_k, value)
        rows = self._connection.execute(sql, params).fetchall()
        return [row[0] for row in rows if msgspec.json.decode(row[2]) is not None]

    async def close(self) -> None:
        self._connection.close()


class Ours:
    """``LibSQLVector`` as it comes."""

    def __init__(self, path: Path) -> None:
        self.store = LibSQLVector(id="bench", url=f"file:{path}")

    async def ask(self, cell: Cell, vector: array[float]) -> list[str]:
        found = await self.store.query(
            INDEX, query_vector=vector, top_k=cell.top_k, filter=cell.where
        )
        return [match.id for match in found]

    async def close(self) -> None:
        await self.store.close()


class Original:
    """The original's ``LibSQLVector`` in Node, which times itself."""

    def __init__(self, path: Path) -> None:
        self._process = subprocess.Popen(
            [node(), HERE / "recall.mjs", str(path), str(INTEROP), INDEX],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def visit(self, cell: Cell, vectors: list[array[float]]) -> tuple[list[float], list[list[str]]]:
        request = {
            "vectors": [vector.tolist() for vector in vectors],
            "topK": cell.top_k,
            "filter": cell.where,
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise NotRunError(f"the original ended with {self._process.wait()}")
        answer = json.loads(line)
        return answer["ms"], answer["ids"]

    async def close(self) -> None:
        self._process.communicate()


async def visit(system: Any, cell: Cell, vectors: list[array[float]]) -> tuple[float, list[Any]]:
    """The median of the times of a visit in ms, and what was found. The first question warms up."""
    if isinstance(system, Original):
        ms, found = system.visit(cell, vectors)
        return statistics.median(ms[1:]), found
    ms, found = [], []
    for vector in vectors:
        start = perf_counter()
        ids = await system.ask(cell, vector)
        ms.append((perf_counter() - start) * 1000)
        found.append(ids)
    return statistics.median(ms[1:]), found


async def nearest(ours: Ours, cell: Cell, vectors: list[array[float]]) -> list[list[str]]:
    """What is nearest in truth: every vector looked at."""
    LibSQLVector.small, small = 2**31 - 2, LibSQLVector.small
    ours.store._large.clear()
    found = [await ours.ask(cell, vector) for vector in vectors]
    LibSQLVector.small = small
    return found


async def measure(path: Path, rounds: int, cells: list[Cell], *, original: bool) -> list[str]:
    """The lines of the table."""
    ours = Ours(path)
    systems: dict[str, Any] = {"bare": Bare(path), "ours": ours}
    try:
        if original:
            systems["original"] = Original(path)
    except NotRunError as error:
        print(f"the original is not measured: {error}", flush=True)
    questions = Vectors(3)
    gc.collect()
    gc.freeze()
    lines = [f"| ms | {' | '.join(systems)} | ours / bare | found: {', '.join(systems)} |"]
    lines.append("|---" * (len(systems) + 3) + "|")
    for cell in cells:
        times: dict[str, list[float]] = {name: [] for name in systems}
        right: dict[str, int] = dict.fromkeys(systems, 0)
        asked: dict[str, int] = dict.fromkeys(systems, 0)
        for turn in range(rounds):
            vectors = questions.take(QUERIES)
            truth = await nearest(ours, cell, vectors[:4]) if turn < 5 else []
            names = list(systems)
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                ms, found = await visit(systems[name], cell, vectors)
                times[name].append(ms)
                for a, b in zip(found, truth, strict=False):
                    right[name] += len(set(a) & set(b))
                    asked[name] += len(b)
        lines.append(row(cell, times, right, asked))
        print(lines[-1], flush=True)
    for system in systems.values():
        await system.close()
    return lines


def row(
    cell: Cell, times: dict[str, list[float]], right: dict[str, int], asked: dict[str, int]
) -> str:
    cells = []
    for ms in times.values():
        low, high = quartiles(ms)
        cells.append(f"{figure(statistics.median(ms))} ({figure(low)} to {figure(high)})")
    pairs = zip(times["ours"], times["bare"], strict=True)
    cells.append(f"{statistics.median(a / b for a, b in pairs):.2f}")
    cells.append(", ".join([f"{100 * right[name] / asked[name]:.0f}" for name in times]) + " %")
    return f"| {cell.title} | {' | '.join(cells)} |"


def main() -> None:
    """Build the file if it is not there, measure, and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--vectors", type=int, default=100_000)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--filtered", action="store_true", help="no graph, and no original")
    options = parser.parse_args()
    kind: dict[str, Any] = {"type": "flat"} if options.filtered else OPTIONS
    cells = [cell for cell in CELLS if cell.where or not options.filtered]
    with tempfile.TemporaryDirectory(prefix="recall-") as temporary:
        path = options.keep or Path(temporary) / "recall.db"
        if not path.exists():
            asyncio.run(build(path, options.vectors, kind))
        print(f"{path.stat().st_size / 1e9:.2f} GB")
        original = not options.filtered
        print("\n".join(asyncio.run(measure(path, options.rounds, cells, original=original))))


if __name__ == "__main__":
    main()
