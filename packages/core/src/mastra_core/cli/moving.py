"""``mastra copy|diff|export|import``: moving what is stored, and comparing it."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO

import typer
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars
from rich.text import Text

from mastra_core.cli.display import console, errors, print_json, print_table
from mastra_core.cli.exits import Exit
from mastra_core.cli.inspecting import AsJson, Url
from mastra_core.cli.opening import identity, opened, same_store
from mastra_core.cli.running import command
from mastra_core.errors import ConfigurationError
from mastra_core.transfer import (
    CopiedTable,
    Journal,
    Progress,
    TableDifference,
    compare,
    export_lines,
    import_lines,
)
from mastra_core.transfer import (
    copy as copy_store,
)

Domains = Annotated[
    list[str] | None,
    typer.Option("--domain", help="Only this domain, as memory; may be given several times."),
]
Overwrite = Annotated[
    bool, typer.Option(help="Replace rows of the target that differ; otherwise they are an error.")
]
Target = Annotated[str, typer.Argument(help="The store that it goes to; its tables are made.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    command(app)(copy)
    command(app)(diff)
    command(app, "export")(export)
    command(app, "import")(import_)


class Rate(ProgressColumn):
    """How many rows a second."""

    def render(self, task: Task) -> Text:
        """The rate of a table, once there is one."""
        return Text(f"{task.speed:,.0f} rows/s" if task.speed else "", "cyan")


@contextmanager
def bars() -> Generator[Callable[[Progress], None], None, None]:
    """Show progress on standard error: a bar for each table that has rows, rate and remaining time."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        Rate(),
        TimeRemainingColumn(),
    )
    tasks: dict[str, int] = {}
    with Bars(*columns, console=errors(), disable=not errors().is_terminal) as shown:

        def tell(progress: Progress) -> None:
            name = f"{'verifying ' if progress.verifying else ''}{progress.table}"
            if progress.total == 0:
                return
            if name not in tasks:
                # What an earlier copy did is not this one's rate.
                tasks[name] = shown.add_task(name, total=progress.total, completed=progress.rows)
            shown.update(shown.task_ids[tasks[name]], completed=progress.rows, total=progress.total)

        yield tell


def journal_of(source: str, target: str, domains: Sequence[str]) -> Path:
    """Where a copy between these stores notes how far it is; no secret is in the name."""
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state")
    named = "\n".join([identity(source), identity(target), *sorted(domains)])
    return state / "mastra" / f"copy-{hashlib.sha256(named.encode()).hexdigest()[:32]}.json"


async def copy(
    source: Url,
    target: Target,
    *,
    domain: Domains = None,
    overwrite: Overwrite = False,
    verify: Annotated[bool, typer.Option(help="Read the target afterwards and compare.")] = True,
    state: Annotated[
        Path | None, typer.Option(help="The file that notes how far the copy is.")
    ] = None,
    as_json: AsJson = False,
) -> Exit:
    """Copy every domain from one store into another. After a kill, the same command goes on."""
    if same_store(source, target):
        raise ConfigurationError("both URLs are of the same store")
    domains = domain or []
    journal = Journal(state or journal_of(source, target, domains))
    if journal.begun:
        errors().print(f"going on with a copy that was broken off (noted in {journal.path})")
    async with opened(source) as one, opened(target, make=True) as other:
        with bars() as tell:
            found = await copy_store(
                one,
                other,
                domains=domains,
                overwrite=overwrite,
                verify=verify,
                journal=journal,
                progress=tell,
            )
    if as_json:
        print_json({"tables": found})
    else:
        _print_copied(found)
    return Exit.FOUND if any(table.verified is False for table in found) else Exit.OK


def _print_copied(found: Sequence[CopiedTable]) -> None:
    rows = [
        (t.table, t.rows, t.new, t.same, t.replaced, t.resumed, _verdict(t), t.checksum[:16])
        for t in found
        if t.rows or t.others
    ]
    columns = ("table", "rows", "new", "same", "replaced", "resumed", "verified", "checksum")
    print_table(columns, rows, right="rows new same replaced resumed")
    if not rows:
        console().print("the source has no rows")
    if any(t.verified is False for t in found):
        errors().print(
            "mastra: the target is not as the source, which may have changed meanwhile; look at it with "
            "mastra diff, and copy again (with --overwrite where rows differ)"
        )


def _verdict(table: CopiedTable) -> str:
    if table.verified is None:
        return "not looked at"
    if not table.verified:
        return f"NO: {table.missing:,} missing, {table.different:,} different"
    return f"yes, and {table.others:,} others" if table.others else "yes"


async def diff(
    first: Url,
    second: Annotated[str, typer.Argument(help="The other store.")],
    *,
    domain: Domains = None,
    show: Annotated[int, typer.Option(min=0, help="How many rows of each table to name.")] = 5,
    as_json: AsJson = False,
) -> Exit:
    """Compare two stores row by row. The exit code is 1 if they differ."""
    async with opened(first) as one, opened(second) as other:
        found = await compare(one, other, domains=domain or [], examples=show)
    if as_json:
        print_json({"tables": found})
    else:
        _print_differences(found)
    return Exit.OK if all(table.equal for table in found) else Exit.FOUND


def _print_differences(found: Sequence[TableDifference]) -> None:
    some = [t for t in found if t.same or not t.equal]
    print_table(
        ("table", "same", "different", "only-first", "only-second"),
        [(t.table, t.same, t.different, t.only_first, t.only_second) for t in some],
        right="same different only-first only-second",
    )
    for table in some:
        for each in table.examples:
            key = "/".join(map(str, each.key))
            if each.where == "both":
                told = f"differs in {', '.join(each.columns)}"
            else:
                told = f"only in the {each.where}"
            console().print(f"{table.table} {key}: {told}")
    if all(t.equal for t in found):
        console().print("both have the same rows")


async def export(
    url: Url,
    file: Annotated[str, typer.Argument(help="The file that is made, or - for standard output.")],
    *,
    domain: Domains = None,
) -> Exit:
    """Write a store to a file of JSON Lines, which is there whole or not at all."""
    async with opened(url) as storage:
        with _writing(file) as target, bars() as tell:
            found = await export_lines(storage, target, domains=domain or [], progress=tell)
    if file != "-":
        rows = [(name, t.rows, t.checksum[:16]) for name, t in found.items() if t.rows]
        print_table(("table", "rows", "checksum"), rows, right="rows")
    return Exit.OK


@contextmanager
def _writing(name: str) -> Generator[BinaryIO, None, None]:
    if name == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(name)
    half = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with half.open("xb") as file:
            yield file
        half.replace(path)
    except OSError as error:
        raise ConfigurationError(f"{name} cannot be written: {error.strerror}") from error
    finally:
        half.unlink(missing_ok=True)


async def import_(
    url: Target,
    file: Annotated[str, typer.Argument(help="The file, or - for standard input.")],
    *,
    domain: Domains = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> Exit:
    """Read a file of JSON Lines into a store. Reading it twice changes nothing."""
    async with opened(url, make=True) as storage:
        with _reading(file) as source, bars() as tell:
            found = await import_lines(
                storage, source, domains=domain or [], overwrite=overwrite, progress=tell
            )
    if as_json:
        print_json({"tables": found})
    else:
        rows = [(name, t.new, t.same, t.replaced) for name, t in found.items()]
        print_table(("table", "new", "same", "replaced"), rows, right="new same replaced")
    return Exit.OK


@contextmanager
def _reading(name: str) -> Generator[BinaryIO, None, None]:
    if name == "-":
        yield sys.stdin.buffer
        return
    try:
        with Path(name).open("rb") as file:
            yield file
    except OSError as error:
        raise ConfigurationError(f"{name} cannot be read: {error.strerror}") from error
