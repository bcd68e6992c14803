"""The command mastra-cloudflare: ``init DIR`` writes out the Worker that a store speaks to."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

NEXT = """Next, in {folder}:
  npm install
  npx wrangler deploy
  npx wrangler secret put MASTRA_TOKEN
"""


def sources(at: Traversable | None = None, within: str = "") -> Iterator[tuple[str, str]]:
    """Each file of the Worker: its path in the project, and its text."""
    for entry in (at or files("mastra_cloudflare") / "worker").iterdir():
        path = f"{within}{entry.name}"
        if entry.is_dir():
            yield from sources(entry, f"{path}/")
        else:
            yield path, entry.read_text(encoding="utf-8")


def init(folder: Path) -> list[Path]:
    """Write the Worker into a folder; the files that were written.

    A file that is there with another text is an error, and nothing is written.
    """
    wanted = {folder / path: text for path, text in sources()}
    for path, text in wanted.items():
        if path.exists() and path.read_text(encoding="utf-8") != text:
            raise FileExistsError(f"{path} is there already and differs; move it away first")
    written = [path for path in wanted if not path.exists()]
    for path in written:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(wanted[path], encoding="utf-8")
    return written


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 0, or 1 where a file is in the way."""
    parser = argparse.ArgumentParser(prog="mastra-cloudflare", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    new = commands.add_parser("init", help="write the Worker's project into a folder")
    new.add_argument("folder", type=Path)
    folder = parser.parse_args(arguments).folder
    try:
        written = init(folder)
    except OSError as error:
        sys.stderr.write(f"mastra-cloudflare: {error}\n")
        return 1
    sys.stdout.write("".join([f"wrote {path}\n" for path in written]))
    sys.stdout.write(NEXT.format(folder=folder))
    return 0
