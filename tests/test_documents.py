"""What the documents show runs: every block of Python, in order, where nothing else is.

A model by name is replaced by a scripted one, so that no key and no network is needed.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import tomllib
from collections.abc import AsyncIterator, Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from pydantic_ai import models
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, UserPromptPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from mastra_core import models as known_models
from mastra_core.storage.store import DOMAINS

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(
    path
    for path in [
        *ROOT.glob("*.md"),
        *ROOT.glob("packages/*/README.md"),
        *ROOT.glob("tests/*/README.md"),
    ]
    if path.name != "CHANGELOG.md"
)
BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)")
MARKERS = ("<!-- support matrix -->", "<!-- end of support matrix -->")


class Block(NamedTuple):
    """A fenced block: its language, what follows it on the fence, its text and first line."""

    language: str
    note: str
    text: str
    line: int


def blocks(path: Path) -> Iterator[Block]:
    text = path.read_text()
    for found in BLOCK.finditer(text):
        line = text.count("\n", 0, found.start(3)) + 1
        yield Block(found[1], found[2].strip(), found[3], line)


def python_of(path: Path) -> list[Block]:
    return [block for block in blocks(path) if (block.language, block.note) == ("python", "")]


def answer(messages: list[ModelMessage]) -> str:
    """Every name that was ever told, so that a document can show what is remembered."""
    told = " ".join(
        str(part.content)
        for message in messages
        for part in message.parts
        if isinstance(part, UserPromptPart)
    )
    names = re.findall(r"name is (\w+)", told)
    return f"You are {names[-1]}." if names else "Hello."


async def respond(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
    return ModelResponse(parts=[TextPart(answer(messages))])


async def stream(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
    for word in re.findall(r"\S+\s*", answer(messages)):
        yield word


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    """No name of a model leads out of this process."""
    model = FunctionModel(respond, stream_function=stream)
    monkeypatch.setattr(known_models, "infer_model", lambda name: model)
    monkeypatch.setattr(models, "ALLOW_MODEL_REQUESTS", False)


def run(block: Block, path: Path, names: dict[str, Any]) -> None:
    """Run one block as a module would; ``await`` may stand at its top."""
    # Errors and tracebacks name the document and its line.
    source = "\n" * (block.line - 1) + block.text
    code = compile(source, path, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    if code.co_flags & inspect.CO_COROUTINE:
        asyncio.run(eval(code, names))
    else:
        exec(code, names)


@pytest.mark.parametrize(
    "path", [p for p in DOCUMENTS if python_of(p)], ids=lambda p: str(p.relative_to(ROOT))
)
def test_the_python_of_a_document_runs(
    path: Path, scripted: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in python_of(path):
        run(block, path, names)


def test_the_agent_of_the_readme_remembers(
    scripted: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    readme = ROOT / "README.md"
    run(python_of(readme)[0], readme, {"__name__": "__main__"})
    assert capsys.readouterr().out == "You are Ada.You are Ada.\n"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_what_a_document_links_to_is_there(path: Path) -> None:
    links = [link for link in LINK.findall(path.read_text()) if "://" not in link]
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_the_readme_says_what_each_provider_passes() -> None:
    text = (ROOT / "README.md").read_text()
    begin, end = (text.index(marker) for marker in MARKERS)
    matrix = text[begin:end]
    for point in entry_points(group="mastra"):
        assert f"| {point.value}." in matrix, f"no column for {point.value}; run: hatch run matrix"
    assert matrix.count("|") > 20


def test_every_package_has_its_documents() -> None:
    for project in [
        *ROOT.glob("packages/*/pyproject.toml"),
        ROOT / "tests/conformance/pyproject.toml",
    ]:
        version = tomllib.loads(project.read_text())["project"]["version"]
        changes = (project.parent / "CHANGELOG.md").read_text()
        assert f"## {version}" in changes or "## Unreleased" in changes, project
        assert (project.parent / "README.md").stat().st_size > 500, project


def test_the_core_readme_names_methods_that_exist() -> None:
    text = (ROOT / "packages/core/README.md").read_text()
    rows = re.findall(r"^\| `storage\.(\w+)` \|[^|]*\|([^|]*)\|$", text, re.MULTILINE)
    assert {domain for domain, _ in rows} == DOMAINS.keys()
    for domain, methods in rows:
        for method in re.findall(r"`(\w+)`", methods):
            assert callable(getattr(DOMAINS[domain], method, None)), f"{domain}.{method}"
