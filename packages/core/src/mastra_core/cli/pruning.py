"""``mastra prune``: deleting what is older than some age, after it was counted and agreed to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from mastra_core.cli.display import print_json, print_table
from mastra_core.cli.exits import Exit
from mastra_core.cli.inspecting import AsJson, Url
from mastra_core.cli.opening import opened
from mastra_core.cli.redaction import secrets
from mastra_core.cli.running import command
from mastra_core.clock import now
from mastra_core.errors import ConfigurationError
from mastra_core.storage.domain import StorageDomain
from mastra_core.storage.retention import Bounds, Policy, policies
from mastra_core.storage.retention import prune as prune_table
from mastra_core.storage.schema import Where
from mastra_core.storage.store import MastraStorage
from mastra_core.transfer.routes import chosen


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    command(app)(prune)


async def prune(
    url: Url,
    *,
    older_than: Annotated[str, typer.Option(help="The age: a number and s, m, h, d or w, as 30d.")],
    only: Annotated[
        list[str] | None,
        typer.Option(help="Only this table, as memory.messages; may be given several times."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> Exit:
    """Delete rows that are older than an age, in small batches. A thread goes with its messages."""
    age = Policy(max_age=older_than)
    before = now() - age.age
    async with opened(url, set_up=not dry_run) as storage:
        wanted = tables(storage, only or ())
        counts = [
            (domain, key, await domain.backend.count(table, (Where(column, "lt", before),)))
            for domain, key in wanted
            for table, column in [domain.retention[key]]
        ]
        old = any(count for _, _, count in counts)
        if dry_run or not as_json:
            _tell("older", {f"{d.name}.{key}": count for d, key, count in counts}, as_json=as_json)
        if dry_run or not (old or as_json):
            return Exit.OK
        if old and not yes:
            typer.confirm(f"Delete these rows of {secrets.hide(url)}?", abort=True, err=True)
        done = [
            await prune_table(domain, key, policy, Bounds(None, None, 0.0))
            for domain, key, count in counts
            if count
            for policy in policies(domain, {key: age}).values()
        ]
    numbers = {f"{d.name}.{key}": 0 for d, key, _ in counts}
    numbers |= {f"{p.domain}.{p.table}": p.deleted for p in done}
    _tell("deleted", numbers, as_json=as_json)
    return Exit.OK


def _tell(what: str, numbers: Mapping[str, int], *, as_json: bool) -> None:
    """How many rows of each table are older, or were deleted."""
    if as_json:
        print_json({name: {what: number} for name, number in numbers.items()})
    else:
        print_table(("table", what), list(numbers.items()), right=what)


def tables(storage: MastraStorage, only: Sequence[str]) -> list[tuple[StorageDomain, str]]:
    """The domains and names of tables that have an age, or those of them that are named."""
    every = {
        f"{domain.name}.{key}": (domain, key)
        for domain in chosen(storage)
        for key in domain.retention
    }
    unknown = sorted(set(only) - set(every))
    if unknown:
        raise ConfigurationError(
            f"there is no {', '.join(unknown)} to prune; known: {', '.join(every)}"
        )
    return [every[name] for name in only or every]
