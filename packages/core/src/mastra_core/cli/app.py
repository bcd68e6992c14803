"""All commands together, and what becomes of arguments that fit none."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from mastra_core.cli import inspecting, moving, pruning, reading
from mastra_core.cli.display import errors
from mastra_core.cli.exits import Exit
from mastra_core.cli.redaction import secrets, shown
from mastra_core.cli.running import ended

app = typer.Typer(
    name="mastra",
    help="Look at what agents have stored, in any database, and move it. A URL may be given as env:NAME, "
    "which reads it from a variable.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
for module in (inspecting, reading, moving, pruning):
    module.register(app)


def run(arguments: Sequence[str]) -> int:
    """The exit code of the command line with these arguments."""
    for argument in arguments:
        secrets.learn(argument)
    return ended(lambda: _run(arguments))


def _run(arguments: Sequence[str]) -> int:
    try:
        return int(app(list(arguments), prog_name="mastra", standalone_mode=False) or 0)
    except Exception as error:
        # (Wrong usage. Its message quotes what was given, and with it the passwords of URLs.)
        told = getattr(error, "format_message", None)
        if told is None:
            raise
        errors().print(secrets.hide(f"mastra: {shown(told())}"))
        errors().print("mastra: mastra --help tells how it is used")
        return Exit.USAGE
