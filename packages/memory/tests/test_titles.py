"""Titles: each thread gets one, behind the turn; failures change nothing and are tried again."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys

import msgspec
import pytest
from pydantic_ai.messages import ModelResponse, TextPart, ThinkingPart
from pydantic_ai.models.function import FunctionModel
from pydantic_ai.models.test import TestModel

from mastra_core import ConfigurationError, InMemoryStore
from mastra_core.conversation import Recollection
from mastra_core.errors import UnavailableError
from mastra_core.records import Message, Thread
from mastra_core.storage.inmemory import InMemoryBackend
from mastra_core.storage.paging import options
from mastra_core.storage.store import BackendStore
from mastra_memory import titles as module
from mastra_memory.titles import INSTRUCTIONS, TitleOptions, TitleRequest, Titles, plain_title

pytestmark = pytest.mark.asyncio


class Backend(InMemoryBackend):
    """Notes its round trips, lets others in between, and fails where it is told to."""

    def __init__(self):
        super().__init__()
        self.trips = []
        self.failing = None

    async def _find(self, table, query):
        await self._trip("find", table.name)
        return await super()._find(table, query)

    async def _write(self, changes):
        await self._trip("write", changes[0].table.name)
        return await super()._write(changes)

    async def _trip(self, *trip):
        self.trips.append(trip)
        await asyncio.sleep(0)
        if trip == self.failing:
            raise UnavailableError("the database is away")


class Model:
    """A model that names threads, counts its calls, and keeps what it was shown."""

    def __init__(self, *answers):
        self.answers = list(answers) or ["Tea"]
        self.shown = []
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.called = asyncio.Event()
        self.model = FunctionModel(self.answer)

    async def answer(self, messages, info):
        (request,) = messages
        self.shown.append((info.instructions, request.parts[0].content))
        self.called.set()
        await self.go_on.wait()
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        parts = [TextPart(answer)] if isinstance(answer, str) else answer
        return ModelResponse(parts)


def said(text, role="user", thread_id="t", resource_id="r"):
    content = {"format": 2, "parts": [{"type": "text", "text": text}]}
    return Message(thread_id=thread_id, resource_id=resource_id, role=role, content=content)


async def turn(domain, text="What is tea?", *, thread_id="t", resource_id="r", **fields):
    """A turn that was stored: what was asked, and an answer."""
    thread = Thread(id=thread_id, resource_id=resource_id, **fields)
    asked = said(text, "user", thread_id, resource_id)
    await domain.save_messages([asked], create=thread)
    await domain.save_messages([said("I see.", "assistant", thread_id, resource_id)])
    return Recollection(thread=thread, history=[], asked=asked)


async def title(domain, thread_id="t"):
    thread = await domain.get_thread_by_id(thread_id)
    assert thread is not None
    return thread.title


async def test_a_thread_is_named_after_its_first_message_once_and_later_turns_cost_no_read():
    backend = Backend()
    domain = BackendStore(backend, id="s").memory
    made, named = Model("Green tea"), Titles()
    first = await turn(domain, "How is green tea made?", metadata={"a": 1})
    await turn(domain, "And black tea?")
    before = await domain.get_thread_by_id("t")
    named.begin(domain, first, made.model)
    await named.settle()
    assert made.shown == [(INSTRUCTIONS, "User: How is green tea made?")]
    after = await domain.get_thread_by_id("t")
    assert after == msgspec.structs.replace(before, title="Green tea", updated_at=after.updated_at)
    assert after.updated_at > before.updated_at
    backend.trips.clear()
    named.begin(domain, await turn(domain), made.model)
    trips = len(backend.trips)
    await named.settle()
    assert len(backend.trips) == trips
    assert len(made.shown) == 1


async def test_the_turn_does_not_wait_for_the_title_nor_the_title_for_the_turn():
    domain = InMemoryStore().memory
    made, named = Model(), Titles()
    made.go_on.clear()
    opened = await turn(domain)
    assert named.begin(domain, opened, made.model) is None
    await made.called.wait()
    assert await title(domain) == ""
    made.go_on.set()
    await named.settle()
    assert await title(domain) == "Tea"


async def test_racing_turns_of_one_process_ask_the_model_once():
    domain = BackendStore(Backend(), id="s").memory
    made, named = Model(), Titles()
    turns = [await turn(domain, f"{i}") for i in range(10)]
    for one in turns:
        named.begin(domain, one, made.model)
        await asyncio.sleep(0)
    await named.settle()
    assert [shown for _, shown in made.shown] == ["User: 0"]
    assert await title(domain) == "Tea"


async def test_racing_processes_store_one_title_and_keep_what_changes_meanwhile():
    backend = Backend()
    stores = [BackendStore(backend, id="s").memory for _ in range(2)]
    models, named = [Model("One"), Model("Two")], [Titles(), Titles()]
    opened = await turn(stores[0])
    for made, one, domain in zip(models, named, stores, strict=True):
        made.go_on.clear()
        one.begin(domain, opened, made.model)
    for made in models:
        await made.called.wait()
    await stores[0].update_thread("t", metadata={"while": "thinking"})
    for made in models[::-1]:
        made.go_on.set()
    for one in named:
        await one.settle()
    thread = await stores[0].get_thread_by_id("t")
    assert thread.title in {"One", "Two"}
    assert thread.metadata == {"while": "thinking"}
    stored = thread.title
    for one, made, domain in zip(named, models, stores, strict=True):
        one.begin(domain, opened, made.model)
        await one.settle()
    assert await title(stores[0]) == stored
    assert [len(made.shown) for made in models] == [1, 1]


@pytest.mark.parametrize(
    ("fields", "stored"), [({"title": "Mine"}, "Mine"), ({"metadata": {"titlePinned": True}}, "")]
)
async def test_a_title_and_a_pinned_one_stay_and_are_not_looked_at_again(fields, stored):
    backend = Backend()
    domain = BackendStore(backend, id="s").memory
    made, named = Model(), Titles()
    opened = await turn(domain, **fields)
    named.begin(domain, opened, made.model)
    await named.settle()
    backend.trips.clear()
    named.begin(domain, opened, made.model)
    await named.settle()
    assert (made.shown, backend.trips) == ([], [])
    assert await title(domain) == stored


async def test_a_title_given_while_the_model_thinks_is_kept():
    domain = InMemoryStore().memory
    made, named = Model(), Titles()
    made.go_on.clear()
    named.begin(domain, await turn(domain), made.model)
    await made.called.wait()
    await domain.update_thread("t", title="Mine")
    made.go_on.set()
    await named.settle()
    assert await title(domain) == "Mine"


@pytest.mark.parametrize(
    "failure", [RuntimeError("key sk-secret is wrong"), "", "<think>hm", "“”", [ThinkingPart("x")]]
)
async def test_a_failing_model_is_logged_changes_nothing_and_is_tried_again(failure, caplog):
    domain = InMemoryStore().memory
    made, named = Model(failure, "Tea"), Titles()
    opened = await turn(domain)
    before = await domain.get_thread_by_id("t")
    with caplog.at_level(logging.INFO, "mastra_memory"):
        named.begin(domain, opened, made.model)
        await named.settle()
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("mastra_memory", "WARNING")
    assert "thread 't' has no title yet, its next turn tries again" in record.getMessage()
    assert "sk-secret" not in caplog.text
    assert await domain.get_thread_by_id("t") == before
    named.begin(domain, opened, made.model)
    await named.settle()
    assert await title(domain) == "Tea"


@pytest.mark.parametrize(
    "trip", [("find", "mastra_threads"), ("find", "mastra_messages"), ("write", "mastra_threads")]
)
async def test_a_failing_database_is_logged_and_tried_again(trip, caplog):
    backend = Backend()
    domain = BackendStore(backend, id="s").memory
    made, named = Model(), Titles()
    opened = await turn(domain)
    backend.failing = trip
    named.begin(domain, opened, made.model)
    await named.settle()
    backend.failing = None
    assert "UnavailableError" in caplog.text
    assert await title(domain) == ""
    named.begin(domain, opened, made.model)
    await named.settle()
    assert await title(domain) == "Tea"


async def test_a_model_by_a_name_that_is_not_known_is_logged(caplog):
    domain = InMemoryStore().memory
    named = Titles(TitleOptions(model="no-such/model"))
    named.begin(domain, await turn(domain), TestModel())
    await named.settle()
    assert "ConfigurationError: model 'no-such/model'" in caplog.text


async def test_the_thread_of_another_resource_is_not_named_nor_shown_to_a_model():
    domain = InMemoryStore().memory
    made, named = Model(), Titles()
    opened = await turn(domain, "secret")
    theirs = Thread(id="t", resource_id="somebody-else")
    named.begin(domain, msgspec.structs.replace(opened, thread=theirs), made.model)
    await named.settle()
    assert (made.shown, await title(domain)) == ([], "")
    named.begin(domain, opened, made.model)
    await named.settle()
    assert await title(domain) == "Tea"


async def test_a_thread_that_is_gone_is_no_failure(caplog):
    domain = InMemoryStore().memory
    made, named = Model(), Titles()
    opened = await turn(domain)
    await domain.delete_thread("t")
    named.begin(domain, opened, made.model)
    await named.settle()
    assert (made.shown, caplog.text) == ([], "")
    assert await domain.get_thread_by_id("t") is None


async def test_a_thread_that_was_forgotten_is_named_again():
    domain = InMemoryStore().memory
    made, named = Model(), Titles()
    named.begin(domain, await turn(domain), made.model)
    await named.settle()
    await domain.delete_thread("t")
    named.forget(domain, "t")
    named.begin(domain, await turn(domain), made.model)
    await named.settle()
    assert await title(domain) == "Tea"


async def test_a_title_waits_for_as_many_messages_as_it_needs():
    domain = InMemoryStore().memory
    made, named = Model(), Titles(TitleOptions(min_messages=3))
    named.begin(domain, await turn(domain, "first"), made.model)
    await named.settle()
    assert (made.shown, await title(domain)) == ([], "")
    named.begin(domain, await turn(domain, "second"), made.model)
    await named.settle()
    assert [shown for _, shown in made.shown] == ["User: first"]
    assert await title(domain) == "Tea"


async def test_messages_without_text_are_passed_over_and_long_ones_shortened():
    domain = InMemoryStore().memory
    made, named = Model(), Titles()
    picture = msgspec.structs.replace(said(""), content={"format": 2, "parts": [{"type": "file"}]})
    await domain.save_messages([picture], create=Thread(id="t", resource_id="r"))
    named.begin(domain, await turn(domain, "x" * 100_000), made.model)
    await named.settle()
    assert made.shown == [(INSTRUCTIONS, "User: " + "x" * module.SHOWN)]


async def test_instructions_may_be_a_text_or_made_for_the_request():
    domain = InMemoryStore().memory
    made, requests = Model(), []

    async def later(request):
        requests.append(request)
        return "Say it in Latin."

    given = ["Shout.", lambda _: "Whisper.", later, lambda _: ""]
    for i, instructions in enumerate(given):
        named = Titles(TitleOptions(instructions=instructions))
        named.begin(domain, await turn(domain, "Hi", thread_id=f"t{i}"), made.model)
        await named.settle()
    assert [shown for shown, _ in made.shown] == [
        "Shout.",
        "Whisper.",
        "Say it in Latin.",
        INSTRUCTIONS,
    ]
    assert requests == [TitleRequest(thread_id="t2", resource_id="r", text="Hi")]


async def test_the_model_of_the_options_is_used_before_that_of_the_agent():
    domain = InMemoryStore().memory
    small, large = Model("Small"), Model("Large")
    named = Titles(TitleOptions(model=small.model))
    named.begin(domain, await turn(domain), large.model)
    await named.settle()
    assert (await title(domain), large.shown) == ("Small", [])


async def test_settling_is_bounded_and_gives_up_with_a_warning(caplog):
    domain = InMemoryStore().memory
    made, named = Model(), Titles()
    made.go_on.clear()
    named.begin(domain, await turn(domain), made.model)
    await made.called.wait()
    await named.settle(timeout=0)
    assert "1 titles were not there after 0 seconds and are given up" in caplog.text
    assert await title(domain) == ""
    made.go_on.set()
    named.begin(domain, await turn(domain), made.model)
    await named.settle()
    assert await title(domain) == "Tea"
    await named.settle(timeout=0)


async def test_who_stops_waiting_for_titles_does_not_stop_them():
    domain = InMemoryStore().memory
    made, named = Model(), Titles()
    made.go_on.clear()
    named.begin(domain, await turn(domain), made.model)
    await made.called.wait()
    waiting = asyncio.create_task(named.settle())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    made.go_on.set()
    await named.settle()
    assert await title(domain) == "Tea"


async def test_a_turn_that_is_cancelled_after_its_answer_still_names_its_thread():
    domain = InMemoryStore().memory
    made, named = Model(), Titles()
    made.go_on.clear()
    opened = await turn(domain)

    async def whole_turn():
        named.begin(domain, opened, made.model)
        await asyncio.Event().wait()

    running = asyncio.create_task(whole_turn())
    await made.called.wait()
    running.cancel()
    await asyncio.wait([running])
    made.go_on.set()
    await named.settle()
    assert await title(domain) == "Tea"


async def test_one_memory_names_threads_in_several_loops_in_turn():
    store, named = InMemoryStore(), Titles()

    async def one(thread_id, answer, *, wait):
        made = Model(answer)
        named.begin(store.memory, await turn(store.memory, thread_id=thread_id), made.model)
        if wait:
            return await named.settle()
        made.go_on.clear()
        return await made.called.wait()

    for call in (
        one("a", "First", wait=True),
        one("b", "Cut off", wait=False),
        one("b", "Second", wait=True),
    ):
        await asyncio.to_thread(asyncio.run, call)
    titles = {thread.id: thread.title for thread in (await store.memory.list_threads()).threads}
    assert titles == {"a": "First", "b": "Second"}


async def test_loops_at_the_same_time_store_one_title():
    store, named = InMemoryStore(), Titles()
    opened = await turn(store.memory)

    async def one(number):
        named.begin(store.memory, opened, Model(f"{number}").model)
        await named.settle()

    await asyncio.gather(*(asyncio.to_thread(asyncio.run, one(n)) for n in range(4)))
    assert await title(store.memory) in {"0", "1", "2", "3"}


async def test_without_a_running_loop_nothing_is_raised(caplog):
    named, domain = Titles(), InMemoryStore().memory
    await asyncio.to_thread(named.begin, domain, await turn(domain), TestModel())
    assert "RuntimeError" in caplog.text


async def test_importing_the_package_does_not_import_the_model_framework():
    names = ("titles", "working_memory", "processors", "memory_schema", "removal")
    modules = "; ".join(f"import mastra_memory.{name}" for name in names)
    check = f"import sys; {modules}; assert not {{'pydantic_ai', 'pydantic'}} & set(sys.modules)"
    run = [sys.executable, "-c", check]
    assert (await asyncio.to_thread(subprocess.run, run, timeout=60)).returncode == 0


async def test_what_is_remembered_is_bounded(monkeypatch):
    monkeypatch.setattr(module, "REMEMBERED", 2)
    domain, named = InMemoryStore().memory, Titles()
    made = Model()
    for thread_id in "abc":
        named.begin(domain, await turn(domain, thread_id=thread_id), made.model)
        await named.settle()
    known = named._known(domain)
    assert [one in known for one in "abc"] == [False, True, True]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("Green tea", "Green tea"),
        ("  Green \n\t tea. \n", "Green tea."),
        ('"Green tea"', "Green tea"),
        ("“„Green tea“”", "Green tea"),
        ("The Smiths' tea", "The Smiths' tea"),
        ("<think>They want\ntea.</think>\nGreen tea", "Green tea"),
        ("They want tea.</THINK> Green tea", "Green tea"),
        ("<think>a</think><think>b</think>Green tea", "Green tea"),
        ("Green tea<think>was that right", "Green tea"),
        ("Tee\x1b[2J\x00\x07 grün 茶 🍵", "Tee[2J grün 茶 🍵"),
        ("word " * 30, "word " * 15 + "word"),
        ("x" * 79 + " yes", "x" * 79),
        ("x" * 80 + " yes", "x" * 80),
        ("x" * 200, "x" * 80),
        ('""', ""),
        ('"', '"'),
        ("<think>" * 10_000, ""),
    ],
)
async def test_a_title_is_one_line_without_what_the_model_was_thinking(answer, expected):
    assert plain_title(answer) == expected


async def test_hostile_titles_are_stored_as_text():
    domain = InMemoryStore().memory
    made, named = Model('\'); DROP TABLE mastra_threads;-- \ud83d {"a": 1}'), Titles()
    named.begin(domain, await turn(domain), made.model)
    await named.settle()
    assert await title(domain) == '\'); DROP TABLE mastra_threads;-- \ufffd {"a": 1}'


async def test_options_are_checked():
    given = options(
        TitleOptions, {"minMessages": 2, "instructions": str, "model": TestModel()}, "o"
    )
    assert (given.min_messages, given.instructions) == (2, str)
    for wrong in ({"min_messages": 0}, {"instructions": 3}, {"model": 3}):
        with pytest.raises(ConfigurationError):
            TitleOptions(**wrong)
        with pytest.raises(ConfigurationError):
            options(TitleOptions, wrong, "titles")
