"""The example of semantic recall does what it says: questions in other words find their answers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / "examples" / "semantic_recall.py"


def example(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k != "OPENAI_API_KEY"}
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments],
        cwd=folder,
        env={**environment, "COLUMNS": "110", "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


def test_questions_in_other_words_find_their_answers_again_and_again(tmp_path):
    for _ in range(2):
        run = example(tmp_path)
        assert (run.returncode, run.stderr) == (0, "")
        assert "200 messages of user_123 in 8 threads" in run.stdout
        assert run.stdout.endswith("6 of 6 questions found their answer first.\n")
        _, _, rest = run.stdout.partition("Who has borrowed Middlemarch?\n\n")
        rows = rest.splitlines()
        assert rows[0].split() == ["score", "thread", "when", "role", "text"]
        before, found, after = rows[1:4]
        assert re.match(r"  > 0\.\d\d   recall-books     2026-03-08 09:10  user ", found)
        assert found.endswith("I lent my copy of Middlemarch to Hannah.")
        assert before.startswith(" " * 11 + "recall-books ")
        assert after.endswith("She reads quickly, you said.")
        assert {len(row) <= 110 for row in rows} == {True}


def test_an_embedder_that_cannot_be_used_is_one_line(tmp_path):
    run = example(tmp_path, "--embedder", "no-such/model")
    assert run.returncode == 1
    (line,) = run.stderr.strip().splitlines()
    assert line.startswith("ConfigurationError: embedder 'no-such/model'")
