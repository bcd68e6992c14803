"""Runs the suite, or a part of it, in a process of its own on an adapter that is given as text."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

CONFTEST = """
import msgspec
import pytest
from mastra_core.errors import *
from mastra_core.storage.inmemory import InMemoryBackend
from mastra_core.storage.schema import *
from mastra_core.storage.store import BackendStore
from mastra_core.vector import InMemoryVector
from mastra_core.vector.filters import *
from mastra_core.vector.filters import AnyOf, Compare

class Adapter(InMemoryBackend):
    pass

class Vectors(InMemoryVector):
    pass

{adapter}

@pytest.fixture(scope="session")
def storage_factory():
    backend = Adapter()
    return lambda: BackendStore(backend, id="under-test")

@pytest.fixture(scope="session")
def vector_factory():
    stored = {{}}

    def make():
        made = Vectors(id="under-test")
        made._stored = stored
        return made

    return make

{fixtures}
"""
SMALL = ("--conformance-rows=2000", "--conformance-rounds=3", "--conformance-seconds=2")
# For an adapter with a fault: always the same random programs, and they end where they find it.
UNTIL_FOUND = ("--conformance-seed=1", "--conformance-seconds=60")


class Run:
    """What a run came to: its exit code, its text, and the reports that it wrote.

    ``report`` is the one of storage, or that of vectors where there is no other.
    """

    def __init__(self, code: int, text: str, reports: dict[str, dict[str, Any]]) -> None:
        self.code = code
        self.text = text
        self.reports = reports
        assert reports, text
        self.report = report = reports.get("conformance") or reports["vectors"]
        self.statuses = {o["test"]: o["status"] for o in report["outcomes"]}

    def of(self, status: str) -> list[str]:
        """The tests with this status."""
        return [test for test, found in self.statuses.items() if found == status]


def run_suite(
    folder: Path,
    module: str,
    *options: str,
    adapter: str = "",
    fixtures: str = "",
    sizes: Sequence[str] = SMALL,
) -> Run:
    """Run a test module (its text) on an adapter (text that makes another ``Adapter`` or
    ``Vectors``)."""
    folder.mkdir(exist_ok=True)
    conftest = CONFTEST.format(adapter=textwrap.dedent(adapter), fixtures=textwrap.dedent(fixtures))
    (folder / "conftest.py").write_text(conftest, encoding="utf-8")
    (folder / "test_it.py").write_text(textwrap.dedent(module), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", "."]
    done = subprocess.run(
        [*command, "--conformance-report", "report", *sizes, *options, "test_it.py"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    written = (folder / "report").glob("*.json")
    reports = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in written}
    return Run(done.returncode, done.stdout + done.stderr, reports)
