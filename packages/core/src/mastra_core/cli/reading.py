"""``mastra threads|messages|runs|traces``: what is stored, as tables, JSON, and a tree of spans."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.text import Text
from rich.tree import Tree

from mastra_core.cli.display import cell, console, duration, line, print_json, print_table
from mastra_core.cli.exits import Exit
from mastra_core.cli.inspecting import AsJson, Url
from mastra_core.cli.opening import opened
from mastra_core.cli.running import command
from mastra_core.errors import NotFoundError
from mastra_core.records import Span
from mastra_core.storage.codec import json_object

Page = Annotated[int, typer.Option(min=0, help="Which page, from 0.")]
Rows = Annotated[int, typer.Option("--per-page", min=1, max=1000, help="Rows of a page.")]
Resource = Annotated[str | None, typer.Option(help="Only what belongs to this resource.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    command(app)(threads)
    command(app)(messages)
    command(app)(runs)
    command(app)(traces)


def _more(total: int | None, has_more: bool, page: int) -> None:  # noqa: FBT001 (of a page)
    told = "" if total is None else f"{total:,} in all"
    if has_more:
        told += f"; go on with --page {page + 1}"
    console().print(told, style="dim")


async def threads(
    url: Url,
    *,
    resource: Resource = None,
    page: Page = 0,
    per_page: Rows = 20,
    as_json: AsJson = False,
) -> Exit:
    """List threads, those that were used last first."""
    async with opened(url) as storage:
        found = await storage.memory.list_threads(
            resource_id=resource,
            page=page,
            per_page=per_page,
            order_by={"field": "updatedAt", "direction": "desc"},
        )
    if as_json:
        print_json(found)
        return Exit.OK
    rows = [(t.id, t.resource_id, t.title, t.updated_at, t.created_at) for t in found.threads]
    print_table(("thread", "resource", "title", "used (UTC)", "made (UTC)"), rows)
    _more(found.total, found.has_more, page)
    return Exit.OK


async def messages(
    url: Url,
    thread: Annotated[str, typer.Argument(help="The thread.")],
    *,
    resource: Resource = None,
    page: Page = 0,
    per_page: Rows = 40,
    latest: Annotated[bool, typer.Option(help="Begin with the newest.")] = False,
    as_json: AsJson = False,
) -> Exit:
    """List the messages of a thread, oldest first."""
    async with opened(url) as storage:
        if await storage.memory.get_thread_by_id(thread, resource_id=resource) is None:
            raise NotFoundError(
                f"there is no thread {thread!r}" + (" of this resource" * bool(resource))
            )
        found = await storage.memory.list_messages(
            thread,
            resource_id=resource,
            page=page,
            per_page=per_page,
            order_by={"field": "createdAt", "direction": "desc" if latest else "asc"},
        )
    if as_json:
        print_json(found)
        return Exit.OK
    rows = [(m.created_at, m.role, _said(m.text, m.parts), m.id) for m in found.messages]
    print_table(("time (UTC)", "role", "message", "id"), rows)
    _more(found.total, found.has_more, page)
    return Exit.OK


def _said(text: str, parts: list[dict[str, Any]]) -> str:
    """The text of a message, or of which kinds its parts are."""
    return text or " ".join(f"[{part.get('type', '?')}]" for part in parts)


async def runs(
    url: Url,
    *,
    workflow: Annotated[str | None, typer.Option(help="Only runs of this workflow.")] = None,
    status: Annotated[
        str | None, typer.Option(help="Only runs in this state, as suspended.")
    ] = None,
    resource: Resource = None,
    page: Page = 0,
    per_page: Rows = 20,
    as_json: AsJson = False,
) -> Exit:
    """List the runs of workflows, newest first."""
    async with opened(url) as storage:
        found = await storage.workflows.list_workflow_runs(
            workflow_name=workflow,
            status=status,
            resource_id=resource,
            page=page,
            per_page=per_page,
        )
    if as_json:
        print_json(found)
        return Exit.OK
    rows = [
        (
            run.workflow_name,
            run.run_id,
            json_object(run.snapshot).get("status"),
            run.resource_id,
            run.created_at,
            run.updated_at,
        )
        for run in found.runs
    ]
    print_table(("workflow", "run", "status", "resource", "begun (UTC)", "changed (UTC)"), rows)
    _more(found.total, bool(found.total and found.total > (page + 1) * per_page), page)
    return Exit.OK


async def traces(
    url: Url,
    trace: Annotated[str | None, typer.Argument(help="Show this trace as a tree.")] = None,
    *,
    page: Page = 0,
    per_page: Rows = 20,
    as_json: AsJson = False,
) -> Exit:
    """List traces, newest first; or show one as a tree with durations."""
    async with opened(url) as storage:
        if trace is not None:
            found = await storage.observability.get_trace(trace)
            if found is None:
                raise NotFoundError(f"there is no trace {trace!r}")
            if as_json:
                print_json(found)
            else:
                console().print(tree(found.spans))
            return Exit.OK
        listed = await storage.observability.list_traces_light(page=page, per_page=per_page)
    if as_json:
        print_json(listed)
        return Exit.OK
    rows = [
        (
            span.trace_id,
            span.name,
            span.span_type,
            span.status,
            duration(None if span.ended_at is None else span.ended_at - span.started_at),
            span.started_at,
        )
        for span in listed.spans
    ]
    print_table(
        ("trace", "name", "type", "status", "duration", "begun (UTC)"), rows, right="duration"
    )
    _more(listed.total, listed.has_more, page)
    return Exit.OK


def tree(spans: list[Span]) -> Tree:
    """The spans of a trace below their parents; those whose parent is not there stand at the top."""
    known = {span.span_id for span in spans}
    below: dict[str | None, list[Span]] = {}
    for span in spans:
        parent = span.parent_span_id if span.parent_span_id in known else None
        below.setdefault(parent, []).append(span)
    first = min((span.started_at for span in spans), default=None)
    root = Tree(Text(f"trace {spans[0].trace_id if spans else ''}  {cell(first)}", "bold"))
    waiting = [(root, span) for span in reversed(below.get(None, []))]
    seen: set[str] = set()
    while waiting:
        place, span = waiting.pop()
        if span.span_id in seen:
            continue
        seen.add(span.span_id)
        branch = place.add(_label(span))
        waiting += [(branch, child) for child in reversed(below.get(span.span_id, []))]
    for span in spans:
        # (Spans that are their own ancestors: nothing leads to them.)
        if span.span_id not in seen:
            root.add(_label(span))
    return root


def _label(span: Span) -> Text:
    spent = None if span.ended_at is None else span.ended_at - span.started_at
    text = Text(line(span.name))
    text.append(f"  {span.span_type}", "dim")
    if span.is_event:
        return text
    failed = span.error is not None
    text.append(f"  {duration(spent)}", "red" if failed else "green")
    if failed:
        told = json_object(span.error).get("message") or span.error
        text.append(f"  {line(str(told))}", "red")
    return text
