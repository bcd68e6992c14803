"""``mastra adapters`` and ``mastra doctor``: what is installed, and whether a store is fit for use."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from importlib import metadata
from typing import Annotated, Any, TypeAlias

import typer
from rich.text import Text

from mastra_core.cli.display import console, print_json, print_table
from mastra_core.cli.exits import Exit
from mastra_core.cli.opening import opened
from mastra_core.cli.redaction import secrets
from mastra_core.cli.running import command
from mastra_core.plugins import Adapter, VectorAdapter, installed
from mastra_core.storage.examination import Finding, examine
from mastra_core.vector.filters import OPERATORS

Announced: TypeAlias = Mapping[str, tuple[tuple[Adapter | VectorAdapter, str], ...]]
Url = Annotated[str, typer.Argument(help="The store, as file:./mastra.db or postgresql://…")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
STYLES = {"ok": "green", "note": "yellow", "problem": "red"}


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    command(app)(adapters)
    command(app)(doctor)


async def adapters(*, as_json: AsJson = False) -> Exit:
    """List the installed storage and vector adapters, with versions and capabilities."""
    found = installed()
    every = [
        *described(found.adapters, "storage"),
        *described(found.vectors, "vectors"),
    ]
    if as_json:
        print_json({"adapters": every, "broken": found.broken})
    else:
        print_table(
            ("adapter", "kind", "package", "version", "URLs", "can"),
            [
                (
                    one["name"],
                    one["kind"],
                    one["package"],
                    one["version"],
                    " ".join(one["schemes"]),
                    one["missing"] or " ".join(one["capabilities"]),
                )
                for one in every
            ],
        )
        for distribution, why in found.broken.items():
            console().print(f"{distribution} does not load: {secrets.hide(why)}", style="red")
    return Exit.FOUND if found.broken else Exit.OK


def described(found: Announced, kind: str) -> list[dict[str, Any]]:
    """Each adapter once, with what its class declares; that imports the driver."""
    each = {(one.name, dist): one for brought in found.values() for one, dist in brought}
    return [_description(one, kind, dist) for (_, dist), one in sorted(each.items())]


def _description(one: Adapter | VectorAdapter, kind: str, distribution: str) -> dict[str, Any]:
    declared, missing = one.backend if isinstance(one, Adapter) else one.store, ""
    can: list[str] = []
    if declared:
        module, _, name = declared.partition(":")
        try:
            can = _abilities(getattr(importlib.import_module(module), name))
        except Exception as error:  # noqa: BLE001 (whatever a foreign package raises)
            missing = f"not usable: {secrets.hide(str(error))}"
    return {
        "name": one.name,
        "kind": kind,
        "package": distribution,
        "version": _version(distribution),
        "schemes": list(one.schemes),
        "capabilities": can,
        "missing": missing,
    }


def _abilities(declaring: Any) -> list[str]:
    if hasattr(declaring, "capabilities"):
        return sorted(capability.name for capability in declaring.capabilities)
    search = "exact" if declaring.exact else "approximate"
    every = declaring.operators == OPERATORS
    operators = ["all operators"] if every else sorted(declaring.operators)
    return [*sorted(declaring.metrics), search, f"{declaring.bits} bits", *operators]


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "?"


async def doctor(
    url: Url,
    *,
    fix: Annotated[
        bool, typer.Option(help="Set up the tables and indexes that are missing.")
    ] = False,
    as_json: AsJson = False,
) -> Exit:
    """Look whether a store is reached, set up, exact, quick and in time; say what to do."""
    found: list[Finding] = []
    async with opened(url, make=fix, set_up=True) as storage:
        async for finding in examine(storage, mend=fix):
            hidden = Finding(
                check=finding.check,
                status=finding.status,
                found=secrets.hide(finding.found),
                advice=finding.advice,
            )
            found.append(hidden)
            if not as_json:
                console().print(_line(hidden))
    if as_json:
        print_json({"findings": found})
    return Exit.FOUND if any(finding.status == "problem" for finding in found) else Exit.OK


def _line(finding: Finding) -> Text:
    text = Text()
    text.append(f"{finding.status:<8}", STYLES[finding.status])
    text.append(f"{finding.check:<11} {finding.found}")
    if finding.advice:
        text.append(f"\n{'':<20}{finding.advice}", "bold")
    return text
