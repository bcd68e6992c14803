"""An agent that remembers: it is told something in one process, and asked in another.

python examples/quickstart.py                       a small scripted model, no key needed
python examples/quickstart.py --model openai/gpt-4o-mini      a real one

With OPENAI_API_KEY set and the openai package installed, a model of OpenAI is used by itself.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator

os.environ.setdefault("PYDANTIC_AI_NO_BANNER", "1")

from pydantic_ai.exceptions import AgentRunError
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, UserPromptPart
from pydantic_ai.models import Model
from pydantic_ai.models.function import AgentInfo, FunctionModel

from mastra_core import Agent, Mastra, MastraError
from mastra_core.clock import uuid7
from mastra_libsql import LibSQLStore
from mastra_memory import Memory

URL = "file:./mastra.db"
USER = "user_123"
FACTS = ("My name is Ada, and I live in London.", "My favourite tea is Darjeeling.")
QUESTION = "What do you know about me?"


def application(model: str | Model) -> Mastra:
    """The whole set-up: an agent with a memory, and the storage that it shares."""
    agent = Agent(
        id="guide",
        instructions="You are a friendly guide. Answer in one short sentence.",
        model=model,
        memory=Memory(options={"last_messages": 10}),
    )
    return Mastra(storage=LibSQLStore(id="mastra-storage", url=URL), agents=[agent])


async def tell(mastra: Mastra, thread: str) -> None:
    """In the first process: say what is to be remembered."""
    say("process", f"{os.getpid()} tells the agent two things")
    conversation = {"thread": {"id": thread, "title": "Quickstart"}, "resource": USER}
    async with mastra:
        for fact in FACTS:
            say("user", fact)
            answer = await mastra.get_agent("guide").generate(fact, memory=conversation)
            say("assistant", answer.text)


async def ask(mastra: Mastra, thread: str) -> str:
    """In the second process, which knows nothing but the file: ask."""
    say("process", f"{os.getpid()} asks; it has only the file")
    say("user", QUESTION)
    async with mastra:
        conversation = {"thread": thread, "resource": USER}
        stream = await mastra.get_agent("guide").stream(QUESTION, memory=conversation)
        print(f"  {'assistant':<10} ", end="", flush=True)
        async for text in stream.text_stream:
            print(text, end="", flush=True)
        print()
        return (await stream.result()).text


async def show(mastra: Mastra, thread: str) -> None:
    """What is stored, as a table."""
    assert mastra.storage is not None
    async with mastra:
        page = await mastra.storage.memory.list_messages(thread, resource_id=USER)
    print(f"\nThread {thread} of {USER} in {URL}: {page.total} messages\n")
    rows = [("time (UTC)", "role", "text")]
    rows += [(f"{m.created_at:%H:%M:%S}", m.role, m.text) for m in page.messages]
    room = max(20, min(shutil.get_terminal_size().columns, 120) - 26)
    for time, role, text in rows:
        line = " ".join(text.split())
        print(f"  {time:<12}{role:<11}{line if len(line) <= room else line[: room - 1] + '…'}")


def say(who: str, text: str) -> None:
    print(f"\nProcess {text}" if who == "process" else f"  {who:<10} {text}")


def chosen(name: str | None) -> tuple[str | Model, str]:
    """The model to use, and a line that says which and why."""
    if name is None and os.environ.get("OPENAI_API_KEY"):
        if importlib.util.find_spec("openai") is not None:
            name = "openai/gpt-4o-mini"
        else:
            missing = 'pip install "pydantic-ai-slim[openai]"'
            return scripted(), f"a scripted one: for your OPENAI_API_KEY, {missing}"
    if name is not None:
        return name, name
    return scripted(), "a scripted one, which answers from the messages that it is shown"


def scripted() -> Model:
    """A model that knows what it is shown and nothing else, so that forgetting is seen."""

    def answer(messages: list[ModelMessage]) -> str:
        told = [
            str(part.content)
            for message in messages
            for part in message.parts
            if isinstance(part, UserPromptPart)
        ]
        if told[-1] != QUESTION:
            return "I will remember that."
        known = re.findall(r"(?:[Mm]y|I) [^.,?]+", " ".join(told[:-1]))
        turned = [re.sub(r"^[Mm]y", "your", re.sub(r"^I", "you", fact)) for fact in known]
        return f"I know that {', '.join(turned)}." if turned else "I know nothing about you."

    async def whole(messages: list[ModelMessage], _: AgentInfo) -> ModelResponse:
        return ModelResponse(parts=[TextPart(answer(messages))])

    async def pieces(messages: list[ModelMessage], _: AgentInfo) -> AsyncIterator[str]:
        for piece in re.findall(r"\S+\s*", answer(messages)):
            yield piece

    return FunctionModel(whole, stream_function=pieces, model_name="scripted")


def main() -> int:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", help="provider/model, as openai/gpt-4o-mini")
    parser.add_argument("--ask", metavar="THREAD", help=argparse.SUPPRESS)
    given = parser.parse_args()
    model, which = chosen(given.model)
    mastra = application(model)
    try:
        if given.ask is not None:
            answer = asyncio.run(ask(mastra, given.ask))
            return 0 if not isinstance(model, FunctionModel) or "Darjeeling" in answer else 1
        print(f"Model: {which}")
        thread = f"quickstart-{uuid7()[-12:]}"
        asyncio.run(tell(mastra, thread))
        sys.stdout.flush()
        named = ["--model", given.model] if given.model else []
        again = [sys.executable, __file__, "--ask", thread, *named]
        asked = subprocess.run(again, check=False)  # noqa: S603 (this script, with its own words)
        if asked.returncode == 0:
            asyncio.run(show(mastra, thread))
    except (MastraError, AgentRunError) as error:
        print(f"\n{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return asked.returncode


if __name__ == "__main__":
    sys.exit(main())
