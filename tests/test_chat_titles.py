"""The example of titles does what it says: a list in pages, newest first, every thread named once."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / "examples" / "chat_titles.py"


def chat_titles(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k != "OPENAI_API_KEY"}
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments],
        cwd=folder,
        env={**environment, "COLUMNS": "90", "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


def test_every_conversation_has_a_title_in_a_list_of_pages_again_and_again(tmp_path):
    for _ in range(2):
        run = chat_titles(tmp_path)
        assert (run.returncode, run.stderr) == (0, "")
        pages = run.stdout.split("\nPage ")
        assert [page.partition(" conversations")[0] for page in pages[1:]] == [
            "1 of the 7",
            "2 of the 7",
        ]
        heads = [page.splitlines()[2].split() for page in pages[1:]]
        assert heads == [["title", "when", "(UTC)", "messages"]] * 2
        rows = [
            re.split(r"  +", line.strip()) for page in pages[1:] for line in page.splitlines()[3:]
        ]
        assert [(title, count) for title, _, count in rows] == [
            ("Shopping list", "2"),
            ("Sourdough rise although kitchen warm starter bubbles ev…", "2"),
            ("Learn ukulele begin", "6"),
            ("Hi", "2"),
            ("Early bird catches worm French", "4"),
            ("Cook leeks potatoes", "2"),
            ("Tides work", "4"),
        ]
        assert all(re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d", when) for _, when, _ in rows)


def test_a_model_that_cannot_be_used_is_one_line(tmp_path):
    run = chat_titles(tmp_path, "--model", "no-such/model")
    assert run.returncode == 1
    assert run.stderr.strip().splitlines() == [
        "ConfigurationError: model 'no-such/model': Unknown model: no-such:model"
    ]
