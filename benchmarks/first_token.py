"""What titles, semantic recall and working memory add to the time until an agent's first word.

    python benchmarks/first_token.py

One agent for each kind of memory, on libSQL in a file, and a model that answers at once. The embedder
and the model that writes titles are slow on purpose, as services are: what an agent waits for shows.
Kinds are visited in turns, so that a change of the machine's pace meets all of them alike.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import statistics
import tempfile
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from mastra_core import Agent, Message
from mastra_core.clock import uuid7
from mastra_libsql import LibSQLStore, LibSQLVector
from mastra_memory import Memory

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

USER = "user"
MESSAGES = 5_000
DIMENSION = 256
EMBEDDING = 0.05
TITLE = 0.3
RECALL = {"top_k": 4, "message_range": 1}
KINDS: dict[str, dict[str, Any]] = {
    "the last messages": {},
    "and a title": {"generate_title": True},
    "and working memory": {"working_memory": True},
    "and semantic recall": {"semantic_recall": RECALL},
    "all of it": {"generate_title": True, "working_memory": True, "semantic_recall": RECALL},
}


async def embed(texts: Sequence[str]) -> list[list[float]]:
    """Answer after as long as a service takes."""
    await asyncio.sleep(EMBEDDING)
    return [vector(text) for text in texts]


async def embed_at_once(texts: Sequence[str]) -> list[list[float]]:
    """Answer without waiting, to store what there is to recall."""
    return [vector(text) for text in texts]


def vector(text: str) -> list[float]:
    """Return some vector of a text."""
    found = [0.0] * DIMENSION
    for word in text.split():
        digest = hashlib.blake2b(word.encode(), digest_size=4).digest()
        found[int.from_bytes(digest, "big") % DIMENSION] += 1.0
    return found


def model() -> FunctionModel:
    """Return a model whose answers begin at once, and whose titles take long."""

    async def whole(_: list[ModelMessage], __: AgentInfo) -> ModelResponse:
        await asyncio.sleep(TITLE)
        return ModelResponse([TextPart("A title")])

    async def pieces(_: list[ModelMessage], __: AgentInfo) -> AsyncIterator[str]:
        yield "Yes, "
        yield "of course."

    return FunctionModel(whole, stream_function=pieces)


async def fill(url: str) -> None:
    """Store what there is to recall."""
    memory = Memory(
        storage=LibSQLStore(id="fill", url=url),
        vector=LibSQLVector(id="fill", url=url),
        embedder=embed_at_once,
        options={"semantic_recall": RECALL},
    )
    async with memory:
        await memory.create_thread(thread_id="old", resource_id=USER)
        for start in range(0, MESSAGES, 500):
            await memory.save_messages(
                [
                    Message(
                        thread_id="old",
                        resource_id=USER,
                        role="user",
                        content={
                            "format": 2,
                            "parts": [{"type": "text", "text": f"word{n} and word{n % 97} again"}],
                        },
                    )
                    for n in range(start, start + 500)
                ]
            )


async def turn(agent: Agent, number: int) -> float:
    """Return the ms until the first word of an answer in a new thread, and read the rest."""
    conversation = {"thread": uuid7(), "resource": USER}
    start = perf_counter()
    stream = await agent.stream(f"what of word{number}", memory=conversation)
    texts = stream.text_stream
    await anext(aiter(texts))
    taken = perf_counter() - start
    await stream.result()
    return taken * 1000


async def measure(rounds: int) -> dict[str, list[float]]:
    """Return the ms of every round for each kind of memory."""
    found: dict[str, list[float]] = {kind: [] for kind in KINDS}
    with tempfile.TemporaryDirectory(prefix="first-token-") as folder:
        url = f"file:{Path(folder) / 'mastra.db'}"
        await fill(url)
        agents = {
            kind: Agent(
                id="bench",
                model=model(),
                memory=Memory(
                    storage=LibSQLStore(id="bench", url=url),
                    vector=LibSQLVector(id="bench", url=url),
                    embedder=embed,
                    options=options,
                ),
            )
            for kind, options in KINDS.items()
        }
        for number in range(rounds + 1):
            for kind, agent in agents.items():
                found[kind].append(await turn(agent, number))
        for agent in agents.values():
            await agent.close()
    return {kind: times[1:] for kind, times in found.items()}


def main() -> None:
    """Measure, and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=60)
    found = asyncio.run(measure(parser.parse_args().rounds))
    base, *_ = found
    print(
        f"| memory | ms to the first word | added | of it the embedder ({EMBEDDING * 1000:.0f} ms) |"
    )
    print("|---|---|---|---|")
    for kind, times in found.items():
        added = statistics.median(a - b for a, b in zip(times, found[base], strict=True))
        waits = "yes" if "semantic_recall" in KINDS[kind] else "no"
        print(f"| {kind} | {statistics.median(times):.1f} | {added:+.1f} | {waits} |")


if __name__ == "__main__":
    main()
