"""The workflows domain: the latest snapshot of every run, changed by many steps at once."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, Final, cast

import msgspec
from msgspec import UNSET, UnsetType

from mastra_core.clock import milliseconds, stamp
from mastra_core.errors import InvalidArgumentError, NotFoundError
from mastra_core.records import Json, JsonObject, WorkflowRun, WorkflowRunPage
from mastra_core.storage.backend import Backend, Capability
from mastra_core.storage.codec import Codec, check_id, from_json, to_json
from mastra_core.storage.domain import StorageDomain, until_applied
from mastra_core.storage.domains.snapshots import (
    context_of,
    decoded_snapshot,
    empty_snapshot,
    snapshot_or_text,
    thread_ids,
    with_step_result,
)
from mastra_core.storage.loops import Turns
from mastra_core.storage.paging import DateRange, PerPage, options, window
from mastra_core.storage.scan import scan, sift
from mastra_core.storage.schema import (
    Advance,
    Delete,
    Merge,
    Order,
    Put,
    Query,
    Row,
    Table,
    Update,
    Value,
    Where,
)
from mastra_core.storage.tables import WORKFLOW_SNAPSHOT

RUN: Final = Codec(WORKFLOW_SNAPSHOT, WorkflowRun, {"snapshot": (to_json, snapshot_or_text)})
SNAPSHOT = WORKFLOW_SNAPSHOT.positions["snapshot"]
NEWEST: Final[Order] = (("createdAt", "desc"),)
SCAN_ROWS = 100
MERGE: Final[Mapping[str, Merge]] = {
    "createdAt": "keep",
    "resourceId": "coalesce",
    "updatedAt": "advance",
}


class WorkflowStateUpdate(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    rename="camel",
    forbid_unknown_fields=True,
    omit_defaults=True,
):
    """What to set of a snapshot; what is not given stays, ``None`` is stored as null.

    ``expected_status`` is a condition, never stored: unless the snapshot's status is this one (or
    one of these), nothing changes.
    """

    status: str
    result: Json = UNSET
    error: Json = UNSET
    suspended_paths: JsonObject | UnsetType = UNSET
    waiting_paths: JsonObject | UnsetType = UNSET
    resume_labels: JsonObject | UnsetType = UNSET
    active_paths: list[Any] | UnsetType = UNSET
    active_steps_path: JsonObject | UnsetType = UNSET
    tracing_context: JsonObject | UnsetType | None = UNSET
    expected_status: str | list[str] | None = None


class WorkflowsStorage(StorageDomain):
    """Runs of workflows, each by its workflow's name and its run id, with the latest snapshot.

    A snapshot is JSON of the original's shape; keys that this version does not know are kept. In
    methods that take ``resource_id`` as a condition, runs of other resources are as not there.
    """

    name: ClassVar[str] = "workflows"
    tables: ClassVar[tuple[Table, ...]] = (WORKFLOW_SNAPSHOT,)
    retention: ClassVar[Mapping[str, tuple[Table, str]]] = {
        "workflow_snapshot": (WORKFLOW_SNAPSHOT, "updatedAt"),
    }

    def __init__(self, backend: Backend) -> None:
        super().__init__(backend)
        self._turns = Turns()

    def supports_concurrent_updates(self) -> bool:
        """Whether steps that report at the same time lose nothing of each other."""
        return Capability.COMPARE_AND_SET in self.backend.capabilities

    async def persist_workflow_snapshot(
        self,
        *,
        workflow_name: str,
        run_id: str,
        snapshot: Mapping[str, Any],
        resource_id: str | None = None,
        created_at: datetime | None = None,
        updated_at: datetime | None = None,
    ) -> None:
        """Store a run's snapshot, over the one that is there.

        A run keeps its first ``created_at``, and its resource where none is given; ``updated_at``
        strictly increases.
        """
        if not isinstance(snapshot, Mapping):
            raise InvalidArgumentError(f"snapshot must be a mapping, not {type(snapshot).__name__}")
        at = stamp()
        row: Row = (
            check_id(workflow_name, "workflow_name"),
            check_id(run_id, "run_id"),
            None if resource_id is None else check_id(resource_id, "resource_id"),
            to_json(snapshot, "snapshot", finite=False),
            at if created_at is None else milliseconds(created_at),
            at if updated_at is None else milliseconds(updated_at),
        )
        await self.backend.write(Put(WORKFLOW_SNAPSHOT, (row,), "replace", MERGE))

    async def load_workflow_snapshot(
        self, *, workflow_name: str, run_id: str, resource_id: str | None = None
    ) -> JsonObject | None:
        """The snapshot of a run, or ``None`` if there is none."""
        where = _run(workflow_name, run_id, resource_id)
        query = Query(where=where, limit=1, columns=("snapshot",))
        rows = await self.backend.find(WORKFLOW_SNAPSHOT, query)
        return decoded_snapshot(cast("str | None", rows[0][0])) if rows else None

    async def update_workflow_results(
        self,
        *,
        workflow_name: str,
        run_id: str,
        step_id: str,
        result: Any,
        request_context: Mapping[str, Any] | None = None,
        resource_id: str | None = None,
    ) -> JsonObject:
        """Store what a step gave and merge the request context's keys; the new context.

        Steps may report at the same time, from any number of processes: none is lost. Outputs of a
        foreach (lists on both sides) are merged element by element: ``None`` erases nothing, and
        ``{"__mastra_pending__": True}`` resets an element that has not finished. A run that is not
        there is created; with ``resource_id`` a run of another resource is a ``NotFoundError``.
        """
        if not isinstance(step_id, str) or not step_id:
            raise InvalidArgumentError("step_id must be a non-empty string")
        given = from_json(to_json(result, "result"))
        request: JsonObject = from_json(to_json(request_context or {}, "request_context"))

        def merged(snapshot: JsonObject | None) -> JsonObject:
            base = snapshot or empty_snapshot(run_id)
            return with_step_result(base, run_id, step_id, given, request)

        changed = await self._change(workflow_name, run_id, resource_id, merged, create=True)
        if changed is None:
            raise NotFoundError(f"run {run_id!r} of {workflow_name!r} is of another resource")
        return context_of(changed, run_id)

    async def update_workflow_state(
        self,
        *,
        workflow_name: str,
        run_id: str,
        opts: WorkflowStateUpdate | Mapping[str, Any],
        resource_id: str | None = None,
    ) -> JsonObject | None:
        """Set keys of a run's snapshot and return it; ``None`` where there is no such run.

        With ``expected_status`` it is ``None`` too, and nothing is written, unless the status is
        as expected: of several callers that expect the same one, one succeeds.
        """
        update = options(WorkflowStateUpdate, opts, "opts")
        check_id(update.status, "status")
        expected = update.expected_status
        allowed = [expected] if isinstance(expected, str) else expected
        state: JsonObject = from_json(
            to_json(msgspec.structs.replace(update, expected_status=None), "opts")
        )

        def merged(snapshot: JsonObject | None) -> JsonObject | None:
            base = snapshot or empty_snapshot(run_id)
            context_of(base, run_id)
            if allowed is not None and base.get("status") not in allowed:
                return None
            return {**base, **state}

        return await self._change(workflow_name, run_id, resource_id, merged, create=False)

    async def list_workflow_runs(
        self,
        *,
        workflow_name: str | None = None,
        resource_id: str | None = None,
        thread_id: str | None = None,
        status: str | None = None,
        from_date: datetime | None = None,
        to_date: datetime | None = None,
        page: int | None = None,
        per_page: PerPage | None = None,
        with_total: bool = True,
    ) -> WorkflowRunPage:
        """Runs, newest first: a page if ``page`` and ``per_page`` are both given, else all.

        ``from_date`` and ``to_date`` (both included) are times of creation. ``thread_id`` is looked
        for where agents leave it in snapshots (every run that matches the rest is read).
        """
        paged = page is not None and per_page is not None
        asked = window(page or 0, per_page if paged and per_page is not None else False)
        where = _filters(workflow_name, resource_id, status)
        where += DateRange(start=from_date, end=to_date).conditions("createdAt")
        if thread_id is None:
            rows, total, _ = await self._page(
                WORKFLOW_SNAPSHOT, where, NEWEST, asked, with_total=with_total
            )
        else:
            pages = scan(self.backend, WORKFLOW_SNAPSHOT, where, NEWEST, size=SCAN_ROWS)
            keep = _in_thread(check_id(thread_id, "thread_id"))
            rows, total, _ = await sift(pages, keep, asked, with_total=with_total)
        return WorkflowRunPage(runs=RUN.records(rows), total=total)

    async def get_workflow_run_by_id(
        self, run_id: str, *, workflow_name: str | None = None, resource_id: str | None = None
    ) -> WorkflowRun | None:
        """The run, or ``None``; the newest where several workflows have a run of this id."""
        where = (
            Where("run_id", "eq", check_id(run_id, "run_id")),
            *_filters(workflow_name, resource_id, None),
        )
        query = Query(where=where, order=NEWEST, limit=1)
        return RUN.record(await self.backend.find(WORKFLOW_SNAPSHOT, query))

    async def delete_workflow_run_by_id(
        self, run_id: str, *, workflow_name: str, resource_id: str | None = None
    ) -> None:
        """Delete a run; one that is not there (or is of another resource) is no error."""
        where = _run(workflow_name, run_id, resource_id)
        await self.backend.write(Delete(WORKFLOW_SNAPSHOT, where))

    async def _change(
        self,
        workflow_name: str,
        run_id: str,
        resource_id: str | None,
        change: Callable[[JsonObject | None], JsonObject | None],
        *,
        create: bool,
    ) -> JsonObject | None:
        """Read a snapshot, change it, and write it unless another writer came in between.

        ``None`` where there is no run to change, or ``change`` gave ``None``.
        """
        key = _run(workflow_name, run_id, None)
        _filters(None, resource_id, None)
        query = Query(where=key, limit=1, columns=("snapshot", "updatedAt", "resourceId"))

        async def attempt() -> JsonObject | None:
            rows = await self.backend.find(WORKFLOW_SNAPSHOT, query)
            if not rows and not create:
                return None
            text, version, owner = rows[0] if rows else (None, None, resource_id)
            if resource_id is not None and owner != resource_id:
                return None
            changed = change(decoded_snapshot(cast("str | None", text)))
            if changed is not None:
                new, at = to_json(changed, "snapshot", finite=False), stamp()
                # The original's updates of a state leave the time alone: the text is compared too.
                read = (*key, Where("updatedAt", "eq", version), Where("snapshot", "eq", text))
                values: Mapping[str, Value | Advance] = {"snapshot": new, "updatedAt": Advance(at)}
                row = (workflow_name, run_id, resource_id, new, at, at)
                await self.backend.write(
                    Update(WORKFLOW_SNAPSHOT, read, values, expect=1)
                    if rows
                    else Put(WORKFLOW_SNAPSHOT, (row,), "fail")
                )
            return changed

        async with self._turns.at((workflow_name, run_id)):
            return await until_applied(attempt)


def _run(workflow_name: str, run_id: str, resource_id: str | None) -> tuple[Where, ...]:
    where = (
        Where("workflow_name", "eq", check_id(workflow_name, "workflow_name")),
        Where("run_id", "eq", check_id(run_id, "run_id")),
    )
    return (*where, *_filters(None, resource_id, None))


def _filters(
    workflow_name: str | None, resource_id: str | None, status: str | None
) -> tuple[Where, ...]:
    where: list[Where] = []
    if workflow_name is not None:
        where.append(Where("workflow_name", "eq", check_id(workflow_name, "workflow_name")))
    if resource_id is not None:
        where.append(Where("resourceId", "eq", check_id(resource_id, "resource_id")))
    if status is not None:
        where.append(Where("snapshot", "eq", check_id(status, "status"), ("status",)))
    return tuple(where)


def _in_thread(thread_id: str) -> Callable[[Sequence[Row]], Awaitable[Sequence[Row]]]:
    # An id of these characters stands in JSON as it is, so most snapshots need no decoding.
    plain = re.fullmatch(r"[\w .:@-]+", thread_id, re.ASCII) is not None

    def is_in(row: Row) -> bool:
        text = str(row[SNAPSHOT])
        return (thread_id in text or not plain) and thread_id in thread_ids(snapshot_or_text(text))

    async def keep(rows: Sequence[Row]) -> Sequence[Row]:
        return [row for row in rows if is_in(row)]

    return keep
