"""The command line ``mastra``: what is installed, what is stored, and moving it.

It needs ``mastra-core[cli]``; without it, it says so.
"""

from __future__ import annotations

import sys

NEEDED = ("typer", "rich")


def main() -> int:
    """Run the command line with the arguments of the process; its exit code."""
    try:
        from mastra_core.cli.app import run  # noqa: PLC0415 (it needs the extra)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in NEEDED:
            raise
        sys.stderr.write(
            f"mastra: the command line needs {error.name}: pip install 'mastra-core[cli]'\n"
        )
        return 3
    return run(sys.argv[1:])
