"""The suite reports a run as what it was, whatever somebody did to make it look better."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mastra_conformance import Report, support_matrix
from mastra_conformance.manifest import FILE, collected, digest, shipped

from .suite_run import run_suite

SCORES = "from mastra_conformance.suite import TestScoreLists, TestScores\n"
FIRST = "TestScores::test_a_saved_score_is_read_back"
BROKEN = """
class Adapter(Adapter):
    async def _find(self, table, query):
        raise UnsupportedError("this adapter is empty")

    async def _count(self, table, where):
        raise UnsupportedError("this adapter is empty")

    async def _write(self, changes):
        raise UnsupportedError("this adapter is empty")
"""
SKIP_ALL = """
def pytest_collection_modifyitems(items):
    for item in items:
        item.add_marker(pytest.mark.skip(reason="not today"))
"""


def test_the_shipped_manifest_is_that_of_the_suite():
    assert shipped().digest == digest(), f"run python -m mastra_conformance.manifest ({FILE.name})"
    assert shipped().tests == collected().tests


def test_a_part_that_passes_is_full_and_the_parts_left_out_are_not(tmp_path):
    run = run_suite(tmp_path, SCORES)
    assert run.code == 0
    assert run.report["levels"]["scores"] == "full"
    assert run.report["levels"]["memory"] == "INCOMPLETE"
    assert run.report["level"] == "INCOMPLETE"
    assert run.statuses["TestThreads::test_an_unknown_thread_is_none"] == "never collected"


def test_an_empty_adapter_has_no_level(tmp_path):
    run = run_suite(tmp_path, SCORES, adapter=BROKEN)
    assert run.code == 1
    assert run.report["levels"]["scores"] == "none"


def test_a_broken_adapter_with_everything_skipped_is_incomplete(tmp_path):
    run = run_suite(tmp_path, SCORES, adapter=BROKEN, fixtures=SKIP_ALL)
    assert run.statuses[FIRST] == "skipped by somebody else"
    assert run.report["levels"]["scores"] == "INCOMPLETE"
    assert "INCOMPLETE" in run.text


def test_an_overridden_test_is_not_the_suites_own(tmp_path):
    module = """
    from mastra_conformance.suite import TestScoreLists, TestScores as Genuine

    class TestScores(Genuine):
        def test_a_saved_score_is_read_back(self):
            pass
    """
    run = run_suite(tmp_path, module)
    assert run.statuses[FIRST] == "overridden: what ran is not the suite's own"
    assert run.report["levels"]["scores"] == "INCOMPLETE"


@pytest.mark.parametrize("fixture", ["lab", "conformance_site", "conformance_gap"])
def test_an_overridden_guard_is_noticed(tmp_path, fixture):
    fixtures = f"""
    @pytest.fixture
    def {fixture}():
        pytest.skip("nothing to see")
    """
    run = run_suite(tmp_path, SCORES, fixtures=fixtures)
    assert run.statuses[FIRST] == "overridden: what ran is not the suite's own"
    assert run.report["levels"]["scores"] == "INCOMPLETE"


def test_a_skip_of_a_class_makes_its_area_incomplete(tmp_path):
    module = """
    import pytest
    from mastra_conformance.suite import TestScoreLists, TestScores as Genuine

    @pytest.mark.skip(reason="flaky")
    class TestScores(Genuine):
        pass
    """
    run = run_suite(tmp_path, module)
    assert run.statuses[FIRST] == "skipped by somebody else"
    assert run.report["levels"]["scores"] == "INCOMPLETE"


def test_deselected_tests_make_their_area_incomplete(tmp_path):
    run = run_suite(tmp_path, SCORES, "-k", "not read_back")
    assert run.statuses[FIRST] == "deselected"
    assert run.report["levels"]["scores"] == "INCOMPLETE"


@pytest.mark.parametrize(
    ("adapter", "status"),
    [
        ("", "passed although a mark, that is no declared gap, expects it to fail"),
        (BROKEN, "expected to fail by a mark that is no declared gap"),
    ],
)
def test_an_xfail_that_is_no_declared_gap_is_reported_as_one(tmp_path, adapter, status):
    fixtures = """
    def pytest_collection_modifyitems(items):
        for item in items:
            item.add_marker(pytest.mark.xfail(strict=False, reason="known"))
    """
    run = run_suite(tmp_path, SCORES, adapter=adapter, fixtures=fixtures)
    assert run.statuses[FIRST] == status
    assert run.report["levels"]["scores"] == "INCOMPLETE"


GAP = """
@pytest.fixture(scope="session")
def conformance_gaps():
    return {"TestScores::test_a_saved_score_is_read_back": "scores are lost on Sundays"}
"""


def test_a_declared_gap_is_reported_with_its_reason(tmp_path):
    run = run_suite(tmp_path, SCORES, adapter=BROKEN, fixtures=GAP)
    assert run.statuses[FIRST] == "declared gap"
    assert run.report["gaps"] == {FIRST: "scores are lost on Sundays"}
    assert run.report["levels"]["scores"] == "none"


def test_a_declared_gap_that_has_closed_fails_until_the_declaration_goes(tmp_path):
    run = run_suite(tmp_path, SCORES, fixtures=GAP)
    assert run.code == 1
    assert run.statuses[FIRST] == "declared gap that has closed"


def test_a_gap_that_is_no_test_is_a_wrong_declaration(tmp_path):
    fixtures = GAP.replace("test_a_saved_score_is_read_back", "test_no_such_test")
    run = run_suite(tmp_path, SCORES, fixtures=fixtures)
    assert run.code == 1
    assert run.report["problems"] == [
        "the declared gap 'TestScores::test_no_such_test' is no test, capability or domain"
    ]


VECTORS = "from mastra_conformance.vectors import TestRecall, TestVectorPrograms\n"
FEW = "among_few"


def test_what_was_collected_decides_by_which_suites_it_is_graded(tmp_path):
    storage = run_suite(tmp_path / "storage", SCORES)
    assert list(storage.reports) == ["conformance"]
    vectors = run_suite(tmp_path / "vectors", VECTORS, "-k", FEW)
    assert list(vectors.reports) == ["vectors"]
    assert vectors.report["facts"]["adapter"] == "conftest.Vectors"
    assert set(vectors.report["levels"].values()) == {"INCOMPLETE"}
    assert "TestLogic::test_no_condition_finds_everything" in vectors.of("never collected")
    assert FIRST not in vectors.statuses


def test_storage_and_vectors_of_one_run_are_two_adapters(tmp_path):
    fixtures = """
    @pytest.fixture(scope="session")
    def conformance_gaps():
        return {
            "TestScores::test_a_saved_score_is_read_back": "of storage",
            "TestRecall::test_among_few_vectors_every_search_is_exact": "of vectors",
        }
    """
    run = run_suite(tmp_path, SCORES + VECTORS, "-k", f"read_back or {FEW}", fixtures=fixtures)
    storage, vectors = run.reports["conformance"], run.reports["vectors"]
    assert (storage["kind"], vectors["kind"]) == ("storage", "vectors")
    assert storage["facts"]["adapter"] == "mastra_core.BackendStore"
    assert vectors["facts"]["adapter"] == "conftest.Vectors"
    assert vectors["facts"]["domains"] == storage["facts"]["metrics"] == []
    assert list(storage["gaps"].values()) == ["of storage"]
    assert list(vectors["gaps"].values()) == ["of vectors"]
    assert "memory" in storage["levels"]
    assert "memory" not in vectors["levels"]


@pytest.mark.parametrize("fixture", ["vector_lab", "conformance_vector_site"])
def test_an_overridden_guard_of_vectors_is_noticed(tmp_path, fixture):
    fixtures = f"""
    @pytest.fixture
    def {fixture}():
        pytest.skip("nothing to see")
    """
    run = run_suite(tmp_path, VECTORS, "-k", FEW, fixtures=fixtures)
    test = "TestRecall::test_among_few_vectors_every_search_is_exact"
    assert run.statuses[test] == "overridden: what ran is not the suite's own"
    assert run.report["levels"]["vector model"] == "INCOMPLETE"


def test_a_url_of_vectors_alone_runs_the_suite_of_vectors_alone(tmp_path):
    for options, found in (
        (["--vector", "memory:"], {"test_vectors.py"}),
        (["--storage", "memory:"], {"test_suite.py"}),
        (["--storage", "memory:", "--vector", "memory:"], {"test_suite.py", "test_vectors.py"}),
    ):
        command = [sys.executable, "-m", "pytest", "--pyargs", "mastra_conformance", "--co", "-q"]
        done = subprocess.run(
            [*command, "-p", "no:cacheprovider", *options],
            cwd=tmp_path,
            # Where the suite is installed editable, this repository's conftest.py is in its path.
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert {
            name for name in ("test_suite.py", "test_vectors.py") if name in done.stdout
        } == found


def test_the_matrix_has_a_table_for_each_kind(tmp_path):
    run_suite(tmp_path, SCORES + VECTORS, "-k", f"read_back or {FEW}")
    written = sorted((tmp_path / "report").glob("*.json"))
    storage, vectors = support_matrix(map(Report.read, written)).split("\n\n")
    assert "mastra_core.BackendStore" in storage
    assert "conftest.Vectors" not in storage
    assert "| `ATOMIC_WRITE` | yes |" in storage
    assert "conftest.Vectors" in vectors
    assert "| `cosine` | yes |" in vectors
    assert "| search | exact |" in vectors


def test_a_run_with_a_part_of_the_sizes_says_so(tmp_path):
    share = '@pytest.fixture(scope="session")\ndef conformance_share():\n    return 0.5\n'
    run = run_suite(tmp_path, SCORES, fixtures=share)
    assert run.report["levels"]["scores"] == "full"
    assert run.report["facts"]["measured"]["share of the sizes of the run"] == 0.5
    whole = run_suite(tmp_path, SCORES)
    assert "share of the sizes of the run" not in whole.report["facts"]["measured"]
    run = run_suite(tmp_path, SCORES, fixtures=share.replace("0.5", "2"))
    assert run.code == 1


def test_the_environment_names_a_seed_and_the_command_line_another(tmp_path, monkeypatch):
    monkeypatch.setenv("MASTRA_CONFORMANCE_SEED", "42")
    assert "(seed 42)" in run_suite(tmp_path, SCORES).text
    assert "(seed 7)" in run_suite(tmp_path, SCORES, "--conformance-seed=7").text
    monkeypatch.setenv("MASTRA_CONFORMANCE_SEED", "4x")
    with pytest.raises(AssertionError, match="must be a whole number, not '4x'"):
        run_suite(tmp_path / "other", SCORES)


def test_the_environment_makes_runs_smaller_and_the_command_line_has_the_last_word(
    tmp_path, monkeypatch
):
    sizes = "--conformance-rows=300", "--conformance-rounds=4"
    monkeypatch.setenv("MASTRA_CONFORMANCE_SHARE", "0.2")
    settings = run_suite(tmp_path, SCORES, sizes=()).report["settings"]
    assert (settings["rows"], settings["rounds"], settings["seconds"]) == (20_000, 5, 4.0)
    settings = run_suite(tmp_path, SCORES, sizes=sizes).report["settings"]
    assert (settings["rows"], settings["rounds"], settings["seconds"]) == (300, 4, 4.0)
    for wrong in ("2", "0", "half"):
        monkeypatch.setenv("MASTRA_CONFORMANCE_SHARE", wrong)
        with pytest.raises(AssertionError, match="must be"):
            run_suite(tmp_path / wrong, SCORES)
