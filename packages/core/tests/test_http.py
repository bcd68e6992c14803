"""Requests to a database behind HTTP: repeated where that is safe, and only there."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import httpx
import pytest

from mastra_core.storage import http
from mastra_core.storage.http import Endpoint

pytestmark = pytest.mark.asyncio

Step = int | Exception | httpx.Response
UNSENT = httpx.ConnectError("refused")
LOST = httpx.ReadError("reset")


class Script:
    """Answers one step after another, and knows how many requests came."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self.steps = list(steps)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        step = self.steps.pop(0)
        if isinstance(step, Exception):
            raise step
        return httpx.Response(step) if isinstance(step, int) else step


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(http, "LONGEST_PAUSE", 0.001)


def asked(
    script: Script,
    *,
    patience: float = 5.0,
    undone: Callable[[httpx.Response], bool] = http.never,
) -> Endpoint:
    client = httpx.AsyncClient(transport=httpx.MockTransport(script))
    return Endpoint(
        "https://db.example/q",
        headers={"authorization": "Bearer secret"},
        timeout=1.0,
        patience=patience,
        client=client,
        undone=undone,
    )


@pytest.mark.parametrize("step", [429, 500, 503, UNSENT, LOST])
async def test_a_read_is_repeated(step: Step) -> None:
    script = Script([step, step, 200])
    answer = await asked(script).post(b"{}", repeatable=True)
    assert (answer.status_code, len(script.requests)) == (200, 3)


@pytest.mark.parametrize("step", [429, UNSENT])
async def test_a_write_of_which_nothing_was_done_is_repeated(step: Step) -> None:
    script = Script([step, step, 200])
    answer = await asked(script).post(b"{}", repeatable=False)
    assert (answer.status_code, len(script.requests)) == (200, 3)


async def test_a_write_that_may_have_been_done_is_not_repeated() -> None:
    script = Script([500, 200])
    assert (await asked(script).post(b"{}", repeatable=False)).status_code == 500
    lost = Script([LOST, 200])
    with pytest.raises(httpx.ReadError):
        await asked(lost).post(b"{}", repeatable=False)
    assert (len(script.requests), len(lost.requests)) == (1, 1)


async def test_an_answer_that_says_that_nothing_was_done_lets_a_write_be_repeated() -> None:
    queued = httpx.Response(500, text="queued in vain")
    script = Script([queued, 200])
    endpoint = asked(script, undone=lambda answer: "in vain" in answer.text)
    assert (await endpoint.post(b"{}", repeatable=False)).status_code == 200


async def test_patience_ends() -> None:
    script = Script([503] * 1000)
    assert (await asked(script, patience=0.05).post(b"{}", repeatable=True)).status_code == 503
    assert len(script.requests) > 1


async def test_a_wait_that_is_longer_than_the_patience_is_not_begun() -> None:
    script = Script([httpx.Response(429, headers={"retry-after": "3600"}), 200])
    assert (await asked(script).post(b"{}", repeatable=True)).status_code == 429
    assert len(script.requests) == 1


async def test_a_given_client_is_not_closed_and_the_token_is_not_shown() -> None:
    script = Script([200, 200])
    client = httpx.AsyncClient(transport=httpx.MockTransport(script))
    endpoint = Endpoint(
        "https://db.example/q",
        headers={"authorization": "Bearer secret"},
        timeout=1.0,
        patience=1.0,
        client=client,
    )
    await endpoint.post(b"{}", repeatable=True)
    await endpoint.close()
    assert not client.is_closed
    assert "secret" not in repr(endpoint)
    assert script.requests[0].headers["authorization"] == "Bearer secret"
    assert "authorization" not in client.headers
    await client.aclose()


async def test_other_methods_and_what_is_beneath_the_address_are_asked_alike() -> None:
    script = Script([503, 200, 404])
    endpoint = asked(script)
    assert (await endpoint.send("GET", "/a?n=1", repeatable=True)).status_code == 200
    assert (await endpoint.send("DELETE", "/b", repeatable=False)).status_code == 404
    sent = [(request.method, str(request.url)) for request in script.requests]
    get = ("GET", "https://db.example/q/a?n=1")
    assert sent == [get, get, ("DELETE", "https://db.example/q/b")]
