"""Running a command: its event loop, and its errors as messages and exit codes, without secrets."""

from __future__ import annotations

import asyncio
import functools
import traceback
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec

import typer

from mastra_core.cli.display import errors
from mastra_core.cli.exits import Exit, code_of
from mastra_core.cli.redaction import secrets
from mastra_core.errors import MastraError, SchemaError

P = ParamSpec("P")


def command(
    app: typer.Typer, name: str = ""
) -> Callable[[Callable[P, Coroutine[Any, Any, Exit]]], Callable[P, None]]:
    """Make a coroutine a command of the app; what it returns is the exit code."""

    def register(do: Callable[P, Coroutine[Any, Any, Exit]]) -> Callable[P, None]:
        @functools.wraps(do)
        def run(*args: P.args, **kwargs: P.kwargs) -> None:
            raise typer.Exit(ended(lambda: asyncio.run(do(*args, **kwargs))))

        return app.command(name or None)(run)

    return register


def ended(do: Callable[[], int]) -> int:
    """The exit code of something; an error is told on standard error, without secrets."""
    try:
        return do()
    except MastraError as error:
        errors().print(secrets.hide(f"mastra: {error}"))
        if isinstance(error, SchemaError) or "call init()" in str(error):
            errors().print("mastra: mastra doctor URL --fix makes tables that are missing")
        return code_of(error)
    except KeyboardInterrupt:
        errors().print("mastra: interrupted")
        return Exit.INTERRUPTED
    except typer.Abort:
        errors().print("mastra: nothing was done")
        return Exit.INTERRUPTED
    except BrokenPipeError:
        return Exit.OK
    except Exception as error:  # noqa: BLE001 (whatever it is, its text may have secrets)
        errors().print(secrets.hide("".join(traceback.format_exception(error))))
        errors().print("mastra: this is a defect; please report it with the lines above")
        return Exit.INTERNAL
