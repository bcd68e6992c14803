"""An adapter from outside of the repository: installed from wheels, and tested as its author would."""

from __future__ import annotations

import ast
import io
import json
import os
import re
import shutil
import subprocess
import tokenize
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "tests/examples/mastra-duckdb"
WORKFLOW = ROOT / "tests/examples/workflow.yml"
MOST_LINES = 150
SMALL = ("--conformance-rows=1000", "--conformance-seconds=1", "--conformance-rounds=2")
NO_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}


class Stranger:
    """Somebody with a new environment and an empty folder, who knows nothing of this checkout."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / "venv/bin/python"
        # What this run was started with must not lead the other one back into the checkout.
        own = ("PYTHON", "PYTEST", "VIRTUAL_ENV", "COV_", "MASTRA_")
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(own)}

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(self.python), *arguments]
        return subprocess.run(
            command,
            check=False,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
        )

    def pip(self, *arguments: str) -> None:
        done = self.run("-m", "pip", "--disable-pip-version-check", *arguments)
        if done.returncode:
            text = f"pip {' '.join(arguments[:2])} failed: {done.stderr[-1500:]}"
            if os.environ.get("MASTRA_REQUIRE_BACKENDS"):
                pytest.fail(text)
            pytest.skip(text)

    def pytest(self, *arguments: str) -> tuple[str, dict[str, object], str]:
        """What a run of the suite prints at its end, its report, and its badge."""
        report = self.folder / "report"
        shutil.rmtree(report, ignore_errors=True)
        done = self.run("-m", "pytest", "-q", *SMALL, f"--conformance-report={report}", *arguments)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
        told = json.loads((report / "conformance.json").read_bytes())
        return done.stdout, told, (report / "conformance.svg").read_text()


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Stranger:
    """With core, the suite and the example installed from wheels, each as it would be published."""
    made = Stranger(tmp_path_factory.mktemp("stranger"))
    venv.create(made.folder / "venv", with_pip=True)
    made.pip("install", "-q", "hatchling>=1.27")
    sources = [str(ROOT / "packages/core"), str(ROOT / "tests/conformance"), str(EXAMPLE)]
    made.pip("wheel", "-q", "--no-deps", "--no-build-isolation", "-w", "wheels", *sources)
    made.pip("install", "-q", *map(str, sorted((made.folder / "wheels").glob("*.whl"))))
    return made


def code_lines(text: str) -> int:
    """How many lines have code: more than a comment, a docstring, or nothing."""
    told: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        if isinstance(node, kinds) and ast.get_docstring(node) is not None:
            told.update(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in NO_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    return len(lines - told)


def test_the_example_is_short() -> None:
    counts = {path.name: code_lines(path.read_text()) for path in EXAMPLE.rglob("src/**/*.py")}
    assert len(counts) == 4
    assert sum(counts.values()) <= MOST_LINES, counts


def test_lines_are_counted_as_they_are_read() -> None:
    text = (
        '"""One\ntwo."""\n\n# three\ndef f(\n    a,\n):\n    """Four."""\n    return """\nfive"""\n'
    )
    assert code_lines(text) == 5


def test_the_example_of_a_workflow_sets_what_tests_read() -> None:
    named = set(re.findall(r"\bMASTRA_\w+_URL\b", WORKFLOW.read_text()))
    assert {"MASTRA_PG_URL", "MASTRA_REDIS_URL"} <= named
    assert named <= set(re.findall(r"\bMASTRA_\w+_URL\b", (ROOT / "CONTRIBUTING.md").read_text()))


def test_its_wheel_announces_it_and_loads_no_driver_before_it_is_used(stranger: Stranger) -> None:
    asked = (
        "import sys, mastra_duckdb; from mastra_core import open_storage; "
        "from mastra_core.plugins import installed; found = installed(); "
        "print(sorted(found.adapters), dict(found.broken), 'duckdb' in sys.modules, "
        "open_storage('duckdb:./here.duckdb'))"
    )
    done = stranger.run("-I", "-c", asked)
    assert done.stdout.startswith("['duckdb'] {} False DuckDBStore(id='duckdb'"), done


def test_its_two_test_files_reach_the_full_level(stranger: Stranger) -> None:
    for name in ("conftest.py", "test_conformance.py"):
        shutil.copy(EXAMPLE / "tests" / name, stranger.folder)
    printed, report, badge = stranger.pytest("--conformance-require=full", "test_conformance.py")
    facts = report["facts"]
    assert isinstance(facts, dict)
    assert (facts["adapter"], facts["version"]) == ("mastra_duckdb.DuckDBStore", "0.1.0")
    assert facts["server"].startswith("DuckDB v")
    assert (report["level"], report["gaps"], report["problems"]) == ("full", {}, [])
    assert set(report["levels"].values()) == {"full"}  # type: ignore[attr-defined]
    assert "mastra conformance: full" in badge
    assert "mastra_duckdb.DuckDBStore 0.1.0: full" in printed


def test_a_url_is_enough_and_a_part_of_the_suite_is_no_level(stranger: Stranger) -> None:
    url = f"--storage=duckdb:{stranger.folder}/by_url.duckdb"
    printed, report, badge = stranger.pytest("--pyargs", "mastra_conformance", url, "-k=TestPuts")
    outcomes = report["outcomes"]
    assert isinstance(outcomes, list)
    became = {o["status"] for o in outcomes if o["test"].startswith("TestPuts::")}
    assert became == {"passed"}
    assert report["level"] == "INCOMPLETE"
    assert "mastra conformance: INCOMPLETE" in badge
    assert "mastra_duckdb.DuckDBStore 0.1.0: INCOMPLETE" in printed
