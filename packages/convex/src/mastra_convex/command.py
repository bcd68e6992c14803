"""The command ``mastra-convex init``: writes the functions into a project of Convex."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Final

from mastra_convex.shapes import source

# The folder in ``convex/`` of a project, and so the first part of the functions' names.
FOLDER: Final = "mastra_python"
# What Convex has vector indexes for, and how many of them in one table.
MIN_DIMENSION: Final = 2
MAX_DIMENSION: Final = 4096
VECTOR_INDEXES: Final = 4
SCHEMA: Final = f"""import {{ defineSchema }} from "convex/server";
import {{ mastraTables }} from "./{FOLDER}/tables";

export default defineSchema({{ ...mastraTables }});
"""


def files() -> dict[str, str]:
    """The modules of the functions, by their names in ``convex/mastra_python``."""
    folder = resources.files("mastra_convex") / "functions"
    found = {
        entry.name: entry.read_text(encoding="utf-8")
        for entry in folder.iterdir()
        if entry.name.endswith(".ts")
    }
    return {**found, "shapes.ts": source()}


def _dimension(text: str) -> int:
    """A length of vectors that Convex can have an index for."""
    if not text.isdecimal() or not MIN_DIMENSION <= int(text) <= MAX_DIMENSION:
        raise argparse.ArgumentTypeError(
            f"{text} is no number from {MIN_DIMENSION} to {MAX_DIMENSION}"
        )
    return int(text)


def _dimensions(numbers: Sequence[int]) -> str:
    """The module that names the lengths of vectors that Convex has an index for."""
    return (
        "/** Lengths of vectors with an index of Convex: `mastra-convex init --dimensions`. */\n"
        f"\nexport const dimensions: number[] = {sorted(set(numbers))};\n"
    )


def init(project: Path, dimensions: Sequence[int] | None = None) -> list[str]:
    """Write the functions, over those of an earlier version; what is to be told about it.

    ``convex/schema.ts`` is written where there is none, and otherwise left to its owner. Vectors of
    ``dimensions`` numbers get an index of Convex; without any given, those that are there stay.
    """
    folder = project / "convex" / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files().items():
        (folder / name).write_text(text, encoding="utf-8")
    lengths = folder / "dimensions.ts"
    if dimensions is not None or not lengths.exists():
        lengths.write_text(_dimensions(dimensions or ()), encoding="utf-8")
    schema = project / "convex" / "schema.ts"
    told = [f"wrote {folder}"]
    if not schema.exists():
        schema.write_text(SCHEMA, encoding="utf-8")
        told.append(f"wrote {schema}")
    elif "mastraTables" not in schema.read_text(encoding="utf-8"):
        told.append(
            f"{schema} is yours: import {{ mastraTables }} from './{FOLDER}/tables' there, and put "
            "...mastraTables last into defineSchema({ })"
        )
    return [*told, "deploy with: npx convex deploy (or npx convex dev)"]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; the exit code."""
    parser = argparse.ArgumentParser(prog="mastra-convex", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    writing = commands.add_parser("init", help="write the functions into a project of Convex")
    writing.add_argument("directory", type=Path, help="the folder with the project's package.json")
    writing.add_argument(
        "--dimensions",
        type=_dimension,
        nargs="+",
        help="lengths of vectors that Convex is to have an index for (at most 4 of them)",
    )
    given = parser.parse_args(arguments)
    if len(set(given.dimensions or ())) > VECTOR_INDEXES:
        parser.error(f"a table of Convex has at most {VECTOR_INDEXES} indexes of vectors")
    if not given.directory.is_dir():
        print(f"{given.directory} is no folder", file=sys.stderr)  # noqa: T201 (a command talks)
        return 2
    print("\n".join(init(given.directory, given.dimensions)))  # noqa: T201 (a command talks)
    return 0
