"""The quickstart does what it says: what one process was told, another one knows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / "examples" / "quickstart.py"


def quickstart(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k != "OPENAI_API_KEY"}
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments],
        cwd=folder,
        env={**environment, "COLUMNS": "80", "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


def test_another_process_knows_what_the_first_was_told_again_and_again(tmp_path):
    for _ in range(2):
        run = quickstart(tmp_path)
        assert (run.returncode, run.stderr) == (0, "")
        told, asked = re.findall(r"^Process (\d+)", run.stdout, re.MULTILINE)
        assert told != asked
        assert (
            "  assistant  I know that your name is Ada, you live in London, "
            "your favourite tea is Darjeeling.\n"
        ) in run.stdout
        table = run.stdout.partition(" messages\n\n")[2].splitlines()
        assert table[0] == "  time (UTC)  role       text"
        assert [line.split()[1] for line in table[1:]] == ["user", "assistant"] * 3
        assert table[1].endswith("My name is Ada, and I live in London.")
        assert table[-1].endswith("…")
        assert {len(line) <= 80 for line in table} == {True}
        assert len(run.stdout.splitlines()) < 30


def test_forgetting_is_seen(tmp_path):
    run = quickstart(tmp_path, "--ask", "a-thread-that-nobody-told-anything")
    assert run.returncode == 1
    assert "I know nothing about you." in run.stdout


def test_a_model_that_cannot_be_used_is_one_line(tmp_path):
    run = quickstart(tmp_path, "--model", "no-such/model")
    assert run.returncode == 1
    assert run.stderr.strip().splitlines() == [
        "ConfigurationError: model 'no-such/model': Unknown model: no-such:model"
    ]
