"""A list of conversations as a sidebar shows it: titles that a model made behind the turns.

python examples/chat_titles.py                       small scripted models, no key needed
python examples/chat_titles.py --model openai/gpt-4o-mini      a real one

With OPENAI_API_KEY set and the openai package installed, a model of OpenAI is used by itself.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator

os.environ.setdefault("PYDANTIC_AI_NO_BANNER", "1")

from pydantic_ai.exceptions import AgentRunError
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, TextPart
from pydantic_ai.models import Model
from pydantic_ai.models.function import AgentInfo, FunctionModel

from mastra_core import Agent, Mastra, MastraError
from mastra_core.clock import uuid7
from mastra_libsql import LibSQLStore
from mastra_memory import Memory

URL = "file:./chats.db"
PER_PAGE = 4
OWN_TITLE = "Shopping list"
# What a user says in seven conversations; the last one was named by the user.
CONVERSATIONS = (
    ("Can you explain to me how tides work?", "And why are there two of them a day?"),
    ("What do I cook with leeks and potatoes?",),
    ("Please translate the early bird catches the worm into French.", "Thank you!"),
    ("hi",),
    ("I want to learn the ukulele, where do I begin?", "How long until my first song?", "Good."),
    ("My sourdough does not rise although the kitchen is warm and the starter bubbles every day.",),
    ("We need bread, milk and two lemons.",),
)
# What the scripted model leaves out of what was asked, so that a title is left.
WORDS = frozenset(
    [
        "a",
        "an",
        "and",
        "are",
        "can",
        "could",
        "do",
        "does",
        "explain",
        "how",
        "i",
        "in",
        "into",
        "is",
        "it",
        "me",
        "my",
        "need",
        "not",
        "of",
        "please",
        "the",
        "to",
        "translate",
        "want",
        "we",
        "what",
        "where",
        "why",
        "with",
        "you",
    ]
)


def application(model: str | Model, title_model: str | Model) -> Mastra:
    """An agent whose memory has threads named; a small model is enough for that."""
    memory = Memory(options={"last_messages": 10, "generate_title": {"model": title_model}})
    agent = Agent(
        id="assistant",
        instructions="You are a friendly assistant. Answer in one short sentence.",
        model=model,
        memory=memory,
    )
    return Mastra(storage=LibSQLStore(id="chats", url=URL), agents=[agent])


async def talk(mastra: Mastra, user: str) -> None:
    """The conversations, one after the other; closing waits for titles that are being made."""
    async with mastra:
        agent = mastra.get_agent("assistant")
        for number, said in enumerate(CONVERSATIONS, 1):
            thread = {"id": f"{user}-{number}"}
            if said is CONVERSATIONS[-1]:
                thread["title"] = OWN_TITLE
            for prompt in said:
                await agent.generate(prompt, memory={"thread": thread, "resource": user})


async def show(mastra: Mastra, user: str) -> int:
    """The list, newest first, in pages; how many conversations have no title."""
    assert mastra.storage is not None
    memory = mastra.storage.memory
    room = max(24, min(shutil.get_terminal_size().columns, 100) - 34)
    untitled, page, more = 0, 0, True
    async with mastra:
        while more:
            found = await memory.list_threads(resource_id=user, page=page, per_page=PER_PAGE)
            print(f"\nPage {page + 1} of the {found.total} conversations of {user}\n")
            print(f"  {'title':<{room}}  {'when (UTC)':<16}  messages")
            counts = [memory.list_messages(thread.id, per_page=1) for thread in found.threads]
            pages = await asyncio.gather(*counts)
            for thread, messages in zip(found.threads, pages, strict=True):
                title = thread.title or "(no title)"
                untitled += not thread.title
                line = title if len(title) <= room else title[: room - 1] + "…"
                when = f"{thread.created_at:%Y-%m-%d %H:%M}"
                print(f"  {line:<{room}}  {when}  {messages.total:>8}")
            page, more = page + 1, found.has_more
    return untitled


def chosen(name: str | None) -> tuple[str | Model, str | Model, str]:
    """The models for answers and for titles, and a line that says which and why."""
    if name is None and os.environ.get("OPENAI_API_KEY"):
        if importlib.util.find_spec("openai") is not None:
            name = "openai/gpt-4o-mini"
        else:
            missing = 'pip install "pydantic-ai-slim[openai]"'
            which = f"scripted ones: for your OPENAI_API_KEY, {missing}"
            return scripted("I see."), scripted(None), which
    if name is not None:
        return name, name, name
    which = "scripted ones; titles are the words of the first message that say something"
    return scripted("I see."), scripted(None), which


def scripted(answer: str | None) -> Model:
    """A model that always gives this answer, or that gives the words of what it is to name."""

    def text(messages: list[ModelMessage]) -> str:
        request = messages[-1]
        assert isinstance(request, ModelRequest)
        said = str(request.parts[-1].content).removeprefix("User: ")
        words = [word for word in re.findall(r"[\w'-]+", said) if word.lower() not in WORDS]
        return " ".join(words)[:1].upper() + " ".join(words)[1:]

    async def whole(messages: list[ModelMessage], _: AgentInfo) -> ModelResponse:
        return ModelResponse(parts=[TextPart(answer or text(messages))])

    async def pieces(messages: list[ModelMessage], _: AgentInfo) -> AsyncIterator[str]:
        yield answer or text(messages)

    return FunctionModel(whole, stream_function=pieces, model_name="scripted")


async def run(model: str | Model, title_model: str | Model) -> int:
    mastra, user = application(model, title_model), f"user-{uuid7()[-12:]}"
    await talk(mastra, user)
    return await show(mastra, user)


def main() -> int:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", help="provider/model, as openai/gpt-4o-mini")
    model, title_model, which = chosen(parser.parse_args().model)
    print(f"Models: {which}")
    try:
        return min(1, asyncio.run(run(model, title_model)))
    except (MastraError, AgentRunError) as error:
        print(f"\n{type(error).__name__}: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
