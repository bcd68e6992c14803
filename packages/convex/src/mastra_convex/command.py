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


def init(project: Path) -> list[str]:
    """Write the functions, over those of an earlier version; what is to be told about it.

    ``convex/schema.ts`` is written where there is none, and otherwise left to its owner.
    """
    folder = project / "convex" / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files().items():
        (folder / name).write_text(text, encoding="utf-8")
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
    given = parser.parse_args(arguments)
    if not given.directory.is_dir():
        print(f"{given.directory} is no folder", file=sys.stderr)  # noqa: T201 (a command talks)
        return 2
    print("\n".join(init(given.directory)))  # noqa: T201 (a command talks)
    return 0
