"""Working memory and titles: what one side's agents keep, the other side's agents go on with."""

from __future__ import annotations

import json

import pytest
from pydantic_ai.messages import ModelResponse, TextPart
from pydantic_ai.models.function import FunctionModel

from mastra_core.conversation import Recollection
from mastra_core.errors import ConflictError
from mastra_core.records import Message, Thread
from mastra_memory.titles import Titles
from mastra_memory.working_memory import WorkingMemory, WorkingMemoryOptions

pytestmark = pytest.mark.asyncio

HERE = {"thread_id": "t", "resource_id": "r"}
OF_RESOURCE = WorkingMemory()
OF_THREAD = WorkingMemory(WorkingMemoryOptions(scope="thread"))
STRUCTURED = WorkingMemory(WorkingMemoryOptions(schema={"type": "object"}))


async def test_we_go_on_with_the_working_memory_of_a_resource_of_the_original(ours, theirs):
    await theirs.memory.updateResource(resourceId="r", workingMemory='# Name\n- {"a":  1}')
    shown = await OF_RESOURCE.read(ours.memory, **HERE)
    assert shown == '# Name\n- {"a":  1}'
    await theirs.memory.updateResource(resourceId="r", workingMemory="# Name\nAda")
    with pytest.raises(ConflictError):
        await OF_RESOURCE.update(ours.memory, "mine", expected=shown, **HERE)
    await OF_RESOURCE.update(ours.memory, "# Name\nAda, ours", expected="# Name\nAda", **HERE)
    found = await theirs.memory.getResourceById(resourceId="r")
    assert found["workingMemory"] == "# Name\nAda, ours"


async def test_we_merge_into_what_the_original_wrote_as_json(ours, theirs):
    text = json.dumps({"name": "Ada", "deep": {"a": [1, None]}})
    await theirs.memory.updateResource(resourceId="r", workingMemory=text, metadata={"k": 1})
    await STRUCTURED.update(ours.memory, {"name": None, "deep": {"b": 2}}, **HERE)
    found = await theirs.memory.getResourceById(resourceId="r")
    assert json.loads(found["workingMemory"]) == {"deep": {"a": [1, None], "b": 2}}
    assert found["metadata"] == {"k": 1}


async def test_working_memory_of_a_thread_is_in_its_metadata_on_both_sides(ours, theirs):
    await ours.memory.save_thread(Thread(id="t", resource_id="r", metadata={"own": 1}))
    await theirs.memory.updateThread(
        id="t", title="", metadata={"own": 1, "workingMemory": "theirs"}
    )
    assert await OF_THREAD.read(ours.memory, **HERE) == "theirs"
    await OF_THREAD.update(ours.memory, "ours", expected="theirs", **HERE)
    found = await theirs.memory.getThreadById(threadId="t")
    assert found["metadata"] == {"own": 1, "workingMemory": "ours"}


async def test_we_name_a_thread_of_the_original_which_then_has_a_title(ours, theirs):
    await ours.memory.save_thread(Thread(id="t", resource_id="r", metadata={"own": 1}))
    await theirs.memory.updateThread(id="t", title="", metadata={"own": 2})
    content = {"format": 2, "parts": [{"type": "text", "text": "Is it tea?"}]}
    asked = Message(thread_id="t", resource_id="r", role="user", content=content)
    await ours.memory.save_messages([asked])
    named = Titles()
    model = FunctionModel(lambda *_: ModelResponse([TextPart("Tea")]))
    thread = Thread(id="t", resource_id="r")
    named.begin(ours.memory, Recollection(thread=thread, history=[], asked=asked), model)
    await named.settle()
    found = await theirs.memory.getThreadById(threadId="t")
    assert (found["title"], found["metadata"]) == ("Tea", {"own": 2})
    await theirs.memory.updateThread(id="t", title="Theirs", metadata={})
    assert await ours.memory.set_title("t", "Ours") is False
