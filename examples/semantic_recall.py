"""Recall by meaning: 200 messages in eight conversations, and questions in other words.

python examples/semantic_recall.py                       an embedder without a key, on words and letters
python examples/semantic_recall.py --embedder openai/text-embedding-3-small      a real one

With OPENAI_API_KEY set and the openai package installed, a real one is used by itself.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import importlib.util
import math
import os
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

os.environ.setdefault("PYDANTIC_AI_NO_BANNER", "1")

from mastra_core import MastraError, Message
from mastra_libsql import LibSQLStore, LibSQLVector
from mastra_memory import Finding, Memory

URL = "file:./recall.db"
USER = "user_123"
START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
DIMENSION = 256
# What is said in eight conversations, among much that is of no interest.
FACTS = {
    "Car": ("I parked the car on level three of the station garage.", "Level three, noted."),
    "Garden": ("The tomatoes have yellow leaves since last week.", "Too much water, probably."),
    "Kitchen": ("Grandma's pancakes need buttermilk and a pinch of nutmeg.", "That sounds good."),
    "Travel": ("Our flight to Lisbon leaves on the fourth of May.", "I hope for good weather."),
    "Work": ("The password rotation for the billing server is due in June.", "A reminder is set."),
    "Health": ("The doctor says I am allergic to penicillin.", "I will keep that in mind."),
    "Books": ("I lent my copy of Middlemarch to Hannah.", "She reads quickly, you said."),
    "House": ("The plumber comes on Thursday to mend the kitchen tap.", "At what time of day?"),
}
QUESTIONS = {
    "Where did I leave my car when I parked at the station?": "Car",
    "Why are my tomato plants' leaves turning yellow?": "Garden",
    "What goes into the pancakes my grandma makes?": "Kitchen",
    "When does our plane to Lisbon leave?": "Travel",
    "Which medicine am I allergic to, according to my doctor?": "Health",
    "Who has borrowed Middlemarch?": "Books",
}
CHAT = (
    ("Are you there?", "Yes, always."),
    ("Thanks, that helped.", "You are welcome."),
    ("Let us go on tomorrow.", "Gladly."),
    ("It rains again.", "Then it is a day for tea."),
)


def said() -> Iterator[tuple[str, list[str]]]:
    """Each conversation: a fact in the midst of small talk, 25 messages in all."""
    for number, (topic, fact) in enumerate(FACTS.items()):
        lines: list[str] = []
        for turn in range(12):
            asked, answered = CHAT[(turn + number) % len(CHAT)]
            lines += fact if turn == 5 else (f"{asked} ({topic} {turn})", answered)
        yield topic, [*lines, f"Good night. ({topic})"]


async def letters(texts: Sequence[str]) -> list[list[float]]:
    """Vectors without a model: words, their beginnings and their trigrams, hashed into places."""
    return [_vector(text) for text in texts]


def _vector(text: str) -> list[float]:
    found = [0.0] * DIMENSION
    for word in re.findall(r"[a-z]+", text.lower()):
        if len(word) < 4:
            continue
        parts = [word, word[:5], *(word[i : i + 3] for i in range(len(word) - 2))]
        for part in parts:
            digest = hashlib.blake2b(part.encode(), digest_size=4).digest()
            place = int.from_bytes(digest, "big")
            found[place % DIMENSION] += 1.0 if place & 1 << 31 else -1.0
    length = math.sqrt(sum(value * value for value in found)) or 1.0
    return [value / length for value in found]


async def store(memory: Memory) -> int:
    """Store all conversations that are not there yet; how many messages they have."""
    count = 0
    for number, (topic, lines) in enumerate(said()):
        thread = f"recall-{topic.lower()}"
        messages = [
            Message(
                id=f"{thread}-{place}",
                thread_id=thread,
                resource_id=USER,
                role="assistant" if place % 2 else "user",
                content={"format": 2, "parts": [{"type": "text", "text": line}]},
                created_at=START + timedelta(days=number, minutes=place),
            )
            for place, line in enumerate(lines)
        ]
        if await memory.get_thread_by_id(thread) is None:
            await memory.create_thread(thread_id=thread, resource_id=USER, title=topic)
        count += len(await memory.save_messages(messages))
    return count


def show(question: str, findings: Sequence[Finding]) -> None:
    """The found messages and their neighbours, as a table; what was found is marked."""
    print(f"\n{question}\n")
    print(f"    {'score':<7}{'thread':<17}{'when':<18}{'role':<11}text")
    room = max(24, min(shutil.get_terminal_size().columns, 140) - 58)
    for finding in findings:
        for message in (*finding.before, finding.message, *finding.after):
            own = message is finding.message
            score = f"{finding.score:.2f}" if own else ""
            text = message.text if len(message.text) <= room else f"{message.text[: room - 1]}…"
            print(
                f"  {'>' if own else ' '} {score:<7}{message.thread_id:<17}"
                f"{message.created_at:%Y-%m-%d %H:%M}  {message.role:<11}{text}"
            )


async def run(embedder: str | None) -> int:
    memory = Memory(
        storage=LibSQLStore(id="recall-storage", url=URL),
        vector=LibSQLVector(id="recall-vectors", url=URL),
        embedder=embedder or letters,
        options={"semantic_recall": {"top_k": 2, "message_range": 1}},
    )
    missed = 0
    async with memory:
        print(f"Stored in {URL}: {await store(memory)} messages of {USER} in {len(FACTS)} threads")
        for question, topic in QUESTIONS.items():
            findings = await memory.search_messages(question, resource_id=USER)
            show(question, findings)
            missed += FACTS[topic][0] not in [finding.message.text for finding in findings[:1]]
    print(f"\n{len(QUESTIONS) - missed} of {len(QUESTIONS)} questions found their answer first.")
    return missed


def chosen(name: str | None) -> tuple[str | None, str]:
    """The embedder to use, and a line that says which and why."""
    if name is None and os.environ.get("OPENAI_API_KEY"):
        if importlib.util.find_spec("openai") is not None:
            name = "openai/text-embedding-3-small"
        else:
            missing = 'pip install "pydantic-ai-slim[openai]"'
            return None, f"words and letters; for your OPENAI_API_KEY, {missing}"
    return name, name or "words and letters, which needs no model"


def main() -> int:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--embedder", help="provider/model, as openai/text-embedding-3-small")
    embedder, which = chosen(parser.parse_args().embedder)
    print(f"Embedder: {which}")
    try:
        return min(1, asyncio.run(run(embedder)))
    except MastraError as error:
        print(f"\n{type(error).__name__}: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
