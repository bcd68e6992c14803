"""Stored messages and those of the model framework: both ways, with nothing lost."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_ai.messages import (
    AudioUrl,
    BinaryContent,
    CachePoint,
    CompactionPart,
    DocumentUrl,
    FilePart,
    ImageUrl,
    ModelMessagesTypeAdapter,
    ModelRequest,
    ModelResponse,
    NativeToolCallPart,
    NativeToolReturnPart,
    RetryFeedbackPart,
    RetryInfo,
    SystemPromptPart,
    TextContent,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UploadedFile,
    UserPromptPart,
    VideoUrl,
)
from pydantic_ai.usage import RequestUsage

from mastra_core.messages import (
    answer_parts,
    from_model_messages,
    prompt_content,
    to_model_messages,
    without_open_calls,
)
from mastra_core.records import Message
from mastra_core.storage.codec import from_json, to_json

AT = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
names = st.text(st.characters(categories=["Ll", "Lu", "Nd"]), min_size=1, max_size=8)
times = st.integers(0, 10**12).map(lambda ms: AT + timedelta(milliseconds=ms % 10**11))
scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=5,
)
objects = st.dictionaries(names, json_values, max_size=3)
details = st.none() | objects.filter(bool)


def joined(found):
    return [member for group in found for member in group]


def provided(kind, **fields):
    """A part that comes from a provider: with all of its fields, or with none of them."""
    return st.builds(kind, **fields) | st.builds(
        kind, **fields, id=names, provider_name=names, provider_details=details
    )


binaries = st.builds(
    BinaryContent,
    data=st.binary(max_size=20),
    media_type=st.sampled_from(["image/png", "audio/mpeg", "video/mp4", "application/pdf"]),
    vendor_metadata=details,
)
urls = st.builds(
    lambda kind, path, media_type, force, vendor: kind(
        url=f"https://example.com/{path}",
        media_type=media_type,
        force_download=force,
        vendor_metadata=vendor,
    ),
    st.sampled_from([ImageUrl, AudioUrl, VideoUrl, DocumentUrl]),
    names,
    st.sampled_from([None, "image/png", "audio/wav", "text/plain"]),
    st.booleans(),
    details,
)
items = st.one_of(
    texts,
    st.builds(TextContent, texts, metadata=objects),
    binaries,
    urls,
    st.builds(CachePoint, ttl=st.sampled_from(["5m", "1h"])),
    st.builds(UploadedFile, file_id=names, provider_name=st.just("openai")),
)
prompts = st.builds(
    UserPromptPart,
    texts
    | st.lists(items, min_size=1, max_size=4).filter(
        lambda found: not (len(found) == 1 and isinstance(found[0], str))
    ),
    timestamp=times,
)
arguments = st.one_of(
    st.none(), objects, objects.map(to_json), st.sampled_from(["", "{", '{ "a": 1 }', "[1]"])
)
calls = provided(ToolCallPart, tool_name=names, args=arguments, tool_call_id=st.uuids().map(str))
native = st.builds(
    lambda name, call_id, args, content, at: [
        NativeToolCallPart(name, args, call_id, provider_name="anthropic"),
        NativeToolReturnPart(name, content, call_id, timestamp=at, provider_name="anthropic"),
    ],
    names,
    st.uuids().map(str),
    arguments,
    json_values,
    times,
)
reasoning = st.one_of(
    provided(ThinkingPart, content=texts),
    st.builds(
        ThinkingPart,
        texts,
        signature=texts.filter(bool),
        provider_name=st.sampled_from(["anthropic", "openai", "google", "bedrock", "other"]),
        provider_details=details,
    ),
    st.builds(
        ThinkingPart,
        st.just(""),
        id=st.sampled_from(["redacted_thinking", "redacted_content"]),
        signature=texts.filter(bool),
        provider_name=st.sampled_from(["anthropic", "bedrock"]),
    ),
)
response_parts = st.one_of(
    provided(TextPart, content=texts).map(lambda part: [part]),
    reasoning.map(lambda part: [part]),
    calls.map(lambda part: [part]),
    provided(FilePart, content=binaries).map(lambda part: [part]),
    st.builds(CompactionPart, texts, provider_name=names, id=names).map(lambda part: [part]),
    native,
)
responses = st.builds(
    ModelResponse,
    st.lists(response_parts, min_size=1, max_size=4).map(joined),
    usage=st.builds(
        RequestUsage, input_tokens=st.integers(0, 9), details=st.just({}) | st.just({"a": 1})
    ),
    model_name=st.none() | names,
    timestamp=times,
    provider_name=st.none() | names,
    provider_details=details,
    provider_response_id=st.none() | names,
    finish_reason=st.sampled_from([None, "stop", "length"]),
    metadata=details,
    state=st.sampled_from(["complete", "interrupted"]),
)
feedback = st.builds(
    RetryFeedbackPart,
    texts,
    retry=st.just(RetryInfo(cause="model_retry", attempt=1, max_retries=2)),
    timestamp=times,
)


@st.composite
def results(draw, call):
    outcome = draw(st.sampled_from(["success", "failed", "denied", "interrupted", "retried"]))
    return ToolReturnPart(
        call.tool_name,
        draw(json_values | binaries | st.lists(binaries | urls, max_size=2)),
        call.tool_call_id,
        outcome=outcome,
        metadata=draw(details),
        timestamp=draw(times),
        retry=RetryInfo(cause="model_retry") if outcome == "retried" else None,
    )


@st.composite
def turns(draw):
    """A turn as the framework runs it: each response's calls are answered in their order."""
    messages = [ModelRequest([draw(prompts)])]
    for response in draw(st.lists(responses, min_size=1, max_size=3)):
        messages.append(response)
        called = [part for part in response.parts if type(part) is ToolCallPart]
        answers = [draw(results(call)) for call in called]
        if called:
            answers += draw(st.lists(prompts | feedback, max_size=1))
        else:
            answers += draw(st.lists(feedback, max_size=1))
        if answers:
            messages.append(ModelRequest(answers))
    return messages


def stored(messages):
    """The messages as a database gives them back."""
    return [
        Message(
            id=message.id,
            thread_id=message.thread_id,
            resource_id=message.resource_id,
            role=message.role,
            content=from_json(to_json(message.content)),
            created_at=message.created_at,
        )
        for message in messages
    ]


def recalled(models):
    return to_model_messages(stored(from_model_messages(models, thread_id="t", resource_id="r")))


def as_read(models):
    """What the framework itself reads back of what it writes: the most that can be expected."""
    return ModelMessagesTypeAdapter.validate_json(ModelMessagesTypeAdapter.dump_json(models))


@settings(max_examples=60, deadline=None)
@given(st.lists(turns(), max_size=2).map(joined))
def test_models_to_storage_and_back_are_equal(models):
    assert recalled(models) == as_read(models)


@settings(max_examples=20, deadline=None)
@given(st.lists(turns(), min_size=1, max_size=3).map(joined))
def test_each_turn_is_a_message_of_the_user_and_one_of_the_assistant_in_strict_order(models):
    messages = from_model_messages(models, thread_id="t", resource_id="r")
    roles = [message.role for message in messages]
    assert roles == ["user", "assistant"] * (len(roles) // 2)
    times = [message.created_at for message in messages]
    assert times == sorted(set(times))


parts = st.one_of(
    st.fixed_dictionaries({"type": st.just("text"), "text": texts | st.integers()}),
    st.fixed_dictionaries(
        {"type": st.just("reasoning"), "reasoning": scalars, "details": json_values}
    ),
    st.fixed_dictionaries(
        {
            "type": st.just("tool-invocation"),
            "toolInvocation": st.fixed_dictionaries(
                {
                    "state": st.sampled_from(["call", "partial-call", "result", "output-error"]),
                    "toolCallId": scalars,
                    "toolName": scalars,
                    "args": json_values,
                    "result": json_values,
                }
            )
            | json_values,
            "providerMetadata": json_values,
            "createdAt": scalars,
        }
    ),
    st.fixed_dictionaries(
        {"type": st.just("file"), "mimeType": scalars, "data": texts | st.just("data:,x")}
    ),
    st.fixed_dictionaries(
        {"type": st.just("data-pydantic-ai"), "data": objects, "providerMetadata": objects}
    ),
    st.fixed_dictionaries({"type": texts}),
    st.just({"type": "step-start", "providerMetadata": {"pydantic_ai": {"usage": "none"}}}),
    objects,
)
contents = st.fixed_dictionaries(
    {"format": st.just(2), "parts": st.lists(parts, max_size=4)},
    optional={
        "content": texts,
        "toolInvocations": json_values,
        "experimental_attachments": json_values,
        "providerMetadata": json_values,
    },
)


@settings(max_examples=100, deadline=None)
@given(contents, st.sampled_from(["user", "assistant", "system", "tool", "signal", "other"]))
def test_whatever_is_stored_can_be_recalled_and_stays_as_it_is(content, role):
    before = copy.deepcopy(content)
    message = Message(thread_id="t", resource_id="r", role=role, content=content, created_at=AT)
    to_model_messages([message])
    to_model_messages(without_open_calls([message]))
    assert content == before


def assistant(*given_parts, **content):
    return Message(
        thread_id="t",
        resource_id="r",
        role="assistant",
        content={"format": 2, "parts": list(given_parts), **content},
        created_at=AT,
    )


def tool(state, **fields):
    invocation = {"state": state, "toolCallId": "c1", "toolName": "add", "args": {"a": 1}}
    return {"type": "tool-invocation", "toolInvocation": {**invocation, **fields}}


def test_a_turn_is_stored_in_the_parts_of_the_original():
    models = [
        ModelResponse(
            [
                ThinkingPart("hm", signature="sig", provider_name="anthropic"),
                TextPart("I add."),
                ToolCallPart("add", '{"a":1}', "c1"),
            ],
            usage=RequestUsage(input_tokens=3),
            model_name="claude",
            timestamp=AT,
        ),
        ModelRequest([ToolReturnPart("add", 3, "c1", timestamp=AT)]),
        ModelResponse([TextPart("It is 3.")], timestamp=AT),
    ]
    at = 1767323045678
    assert answer_parts(models) == [
        {
            "type": "step-start",
            "model": "claude",
            "createdAt": at,
            "providerMetadata": {
                "pydantic_ai": {"usage": {"input_tokens": 3}, "model_name": "claude"}
            },
        },
        {
            "type": "reasoning",
            "reasoning": "",
            "details": [{"type": "text", "text": "hm", "signature": "sig"}],
            "providerMetadata": {
                "anthropic": {"signature": "sig"},
                "pydantic_ai": {"provider_name": "anthropic"},
            },
        },
        {"type": "text", "text": "I add."},
        {
            "type": "tool-invocation",
            "toolInvocation": {
                "state": "result",
                "toolCallId": "c1",
                "toolName": "add",
                "args": {"a": 1},
                "result": 3,
            },
            "createdAt": at,
            "providerMetadata": {"pydantic_ai": {"args": "json"}},
        },
        {"type": "step-start", "createdAt": at, "providerMetadata": {"pydantic_ai": {}}},
        {"type": "text", "text": "It is 3."},
    ]


@pytest.mark.parametrize(
    ("outcome", "state", "kept"),
    [
        ("failed", "output-error", {"errorText": "no"}),
        ("retried", "output-error", {"errorText": "no"}),
        ("denied", "output-denied", {"result": "no", "approval": {"id": "c1", "approved": False}}),
    ],
)
def test_a_result_that_is_no_success_is_stored_as_what_it_is(outcome, state, kept):
    response = ModelResponse([ToolCallPart("add", {}, "c1")])
    result = ToolReturnPart("add", "no", "c1", outcome=outcome)
    invocation = answer_parts([response, ModelRequest([result])])[1]["toolInvocation"]
    call = {"toolCallId": "c1", "toolName": "add", "args": {}}
    assert invocation == {"state": state, **call, **kept}


def test_what_the_original_wrote_without_marking_steps_is_divided_where_a_result_came_in_between():
    message = assistant(tool("result", result=3), {"type": "text", "text": "It is 3."})
    models = to_model_messages([message])
    assert [type(model) for model in models] == [ModelResponse, ModelRequest, ModelResponse]
    assert models[0].parts == [ToolCallPart("add", {"a": 1}, "c1")]
    assert models[1].parts == [ToolReturnPart("add", 3, "c1", timestamp=AT)]
    assert models[2].parts == [TextPart("It is 3.")]


def test_reasoning_of_the_original_keeps_its_signature():
    parts = [
        {
            "type": "reasoning",
            "reasoning": "",
            "details": [{"type": "text", "text": "hm"}],
            "providerMetadata": {"anthropic": {"signature": "sig"}},
        },
        {"type": "reasoning", "reasoning": "", "details": [{"type": "redacted", "data": "x"}]},
        {"type": "reasoning", "reasoning": "plain", "details": []},
    ]
    (response,) = to_model_messages([assistant(*parts)])
    assert response.parts == [
        ThinkingPart("hm", signature="sig", provider_name="anthropic"),
        ThinkingPart("", id="redacted_thinking", signature="x", provider_name="anthropic"),
        ThinkingPart("plain"),
    ]


def test_parts_that_no_model_is_shown_are_left_out_and_messages_of_only_such_parts_too():
    hidden = [
        {"type": "source", "source": {"url": "https://example.com", "sourceType": "url"}},
        {"type": "source-document", "sourceId": "1", "mediaType": "text/plain", "title": "x"},
        {"type": "error", "error": {"name": "APICallError", "message": "exploded"}},
        {"type": "data-progress", "data": {"percent": 5}},
        {"type": "of-a-newer-version"},
    ]
    (response,) = to_model_messages([assistant(*hidden, {"type": "text", "text": "hi"})])
    assert response.parts == [TextPart("hi")]
    assert to_model_messages([assistant(*hidden)]) == []
    assert to_model_messages([assistant(hidden[2], content="half an ans")]) == []


def test_what_old_versions_kept_beside_the_parts_is_shown():
    invocation = tool("result", result=3)["toolInvocation"]
    (response, request) = to_model_messages(
        [assistant({"type": "text", "text": "adding"}, toolInvocations=[invocation])]
    )
    assert response.parts == [TextPart("adding"), ToolCallPart("add", {"a": 1}, "c1")]
    assert request.parts[0].content == 3
    file = {"url": "https://example.com/a.png", "contentType": "image/png"}
    content = {"format": 2, "parts": [], "content": "look", "experimental_attachments": [file]}
    message = Message(thread_id="t", resource_id="r", role="user", content=content)
    (request,) = to_model_messages([message])
    assert request.parts[0].content == [ImageUrl("https://example.com/a.png"), "look"]


def test_tool_calls_without_a_result_are_taken_out_and_the_rest_stays():
    text = {"type": "text", "text": "adding"}
    done, open_call = tool("result", result=3), tool("call")
    native_call = {**tool("call"), "providerExecuted": True}
    whole = assistant(text, done, native_call)
    mixed = assistant({"type": "step-start"}, text, open_call, done)
    only = assistant({"type": "step-start"}, open_call, tool("partial-call"))
    waiting = assistant(text, tool("approval-requested", approval={"id": "a"}))
    kept = without_open_calls([whole, mixed, only, waiting])
    assert kept[0] is whole
    assert kept[1].parts == [{"type": "step-start"}, text, done]
    assert kept[2].parts == [text]
    assert len(kept) == 3
    assert mixed.parts[2] == open_call
    assert without_open_calls([assistant(toolInvocations=[open_call["toolInvocation"]])]) == []


def test_files_are_data_uris_or_urls():
    png = b"\xfb\xff\xfe"
    content = prompt_content(
        ["see", BinaryContent(png, media_type="image/png"), DocumentUrl("https://example.com/x")]
    )
    assert [
        {key: part[key] for key in ("type", "text", "mimeType", "data") if key in part}
        for part in content["parts"]
    ] == [
        {"type": "text", "text": "see"},
        {"type": "file", "mimeType": "image/png", "data": "data:image/png;base64,+//+"},
        {"type": "file", "mimeType": "*/*", "data": "https://example.com/x"},
    ]


@pytest.mark.parametrize(
    ("data", "mime", "expected"),
    [
        ("+//+", "image/png", BinaryContent(b"\xfb\xff\xfe", media_type="image/png")),
        ("data:text/plain,a%20b", "", BinaryContent(b"a b", media_type="text/plain")),
        ("https://example.com/x", "audio/wav", AudioUrl("https://example.com/x")),
        ("https://example.com/x", "image/*", ImageUrl("https://example.com/x")),
        ("gs://bucket/x", "application/pdf", DocumentUrl("gs://bucket/x")),
    ],
)
def test_files_of_the_original_are_understood(data, mime, expected):
    part = {"type": "file", "mimeType": mime, "data": data}
    content = {"format": 2, "parts": [part, {"type": "text", "text": "?"}]}
    (request,) = to_model_messages(
        [Message(thread_id="t", resource_id="r", role="user", content=content)]
    )
    found = request.parts[0].content[0]
    if isinstance(expected, BinaryContent):
        assert (found.data, found.media_type) == (expected.data, expected.media_type)
    else:
        assert found == expected


@pytest.mark.parametrize("at", [None, "soon", -(2**60), 2**60, 1.5])
def test_a_time_that_is_none_is_that_of_the_message(at):
    start = {"type": "step-start", "createdAt": at}
    (response,) = to_model_messages([assistant(start, {"type": "text", "text": "hi"})])
    assert response.timestamp == AT


def test_a_stored_url_cannot_make_the_server_fetch_from_its_own_network():
    content = prompt_content([ImageUrl("http://10.0.0.1/x.png", force_download="allow-local")])
    (request,) = to_model_messages(
        [Message(thread_id="t", resource_id="r", role="user", content=content)]
    )
    assert request.parts[0].content[0].force_download is True


def test_parts_that_the_framework_does_not_take_cost_neither_the_others_nor_the_message(caplog):
    newer = {"in": "response", "part": {"part_kind": "of-a-newer-version"}}
    message = assistant(
        {"type": "text", "text": "hi"},
        {"type": "data-pydantic-ai", "data": newer},
        {"type": "file", "mimeType": "image/png", "data": "data:image/png;base64,damaged!"},
    )
    (response,) = to_model_messages([message])
    assert response.parts == [TextPart("hi")]
    assert "2 parts" in caplog.text
    broken = {"type": "step-start", "providerMetadata": {"pydantic_ai": {"usage": "none"}}}
    (response,) = to_model_messages([assistant(broken, {"type": "text", "text": "hi"})])
    assert response.parts == [TextPart("hi")]


def test_system_prompts_and_several_prompts_of_one_request_are_messages_of_their_own():
    models = [
        ModelRequest(
            [
                SystemPromptPart("be nice", timestamp=AT),
                UserPromptPart("a", timestamp=AT),
                UserPromptPart("b", timestamp=AT),
            ]
        ),
        ModelResponse([TextPart("c")], timestamp=AT),
    ]
    messages = from_model_messages(models, thread_id="t", resource_id="r")
    assert [(m.role, m.text) for m in messages] == [
        ("system", "be nice"),
        ("user", "a"),
        ("user", "b"),
        ("assistant", "c"),
    ]
    assert [model.parts for model in recalled(models)] == [
        [models[0].parts[0]],
        [models[0].parts[1]],
        [models[0].parts[2]],
        models[1].parts,
    ]


def test_a_result_without_its_call_is_kept_as_it_is():
    orphan = ToolReturnPart("add", 3, "gone", timestamp=AT)
    models = [
        ModelRequest([UserPromptPart("a", timestamp=AT)]),
        ModelResponse([TextPart("b")], timestamp=AT),
        ModelRequest([orphan]),
        ModelResponse([TextPart("c")], timestamp=AT),
    ]
    assert recalled(models) == models


def test_a_result_that_comes_after_another_response_stays_in_its_place():
    models = [
        ModelRequest([UserPromptPart("a", timestamp=AT)]),
        ModelResponse([ToolCallPart("add", {}, "c1")], timestamp=AT),
        ModelResponse([TextPart("wait")], timestamp=AT),
        ModelRequest([ToolReturnPart("add", 3, "c1", timestamp=AT)]),
    ]
    assert recalled(models) == models
