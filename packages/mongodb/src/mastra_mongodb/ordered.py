"""Writes of several documents where the server has no transactions: an order, guards, and a way back.

What may find that the stored rows are not as they should be goes first, and what deletes goes last, as far
as changes of one collection keep their order. If a change fails, those before it are taken back, except
where somebody changed the documents meanwhile, and except changes of any number of rows that only others
like them follow: those fail with the connection, if at all. So they are if the row that a write rests on
(the thread of its messages) is deleted meanwhile. A process that ends in the middle leaves what it did by
then, and others may see a write that is not whole yet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Protocol, TypeVar

from mastra_core.errors import ConflictError, UnavailableError
from mastra_core.storage.schema import Delete, Put, Update
from mastra_mongodb.changes import Operation, Step, undoing
from mastra_mongodb.documents import Document

T = TypeVar("T")


class Documents(Protocol):
    """What is needed of the database."""

    async def documents_of(self, step: Step) -> list[Document]:
        """The documents, whole, that a step will change."""
        ...

    async def run(self, step: Step, before: Sequence[Document] | None) -> int:
        """Do a step, on the documents as they were read if they were; how many it affected.

        What does not hold is a ``ConflictError``.
        """
        ...

    async def all_there(self, collection: str, documents: Sequence[Document]) -> bool:
        """Whether documents that were read are still there, as they were or changed."""
        ...

    async def undo(self, collection: str, operations: Sequence[Operation]) -> None:
        """Do operations that take something back, each of a document of its own."""
        ...


def safe_order(made: Sequence[Step]) -> list[Step]:
    """The steps in the order in which they are done."""
    waiting, ordered = list(made), list[Step]()
    while waiting:
        free = [
            step
            for i, step in enumerate(waiting)
            if all(other.collection != step.collection for other in waiting[:i])
        ]
        chosen = min(free, key=_rank)
        waiting.remove(chosen)
        ordered.append(chosen)
    return ordered


def _rank(step: Step) -> tuple[int, int]:
    if step.guarded:
        return 0, step.number
    return (2 if isinstance(step.change, Delete) else 1), step.number


async def in_order(made: Sequence[Step], documents: Documents, *, look: bool) -> dict[int, int]:
    """Do all steps, or take back those that were done; the count of each by its number.

    ``look`` says that rows are looked for even if they are said to be new.
    """
    done: list[tuple[Step, list[Document]]] = []
    counts: dict[int, int] = {}
    ordered = safe_order(made)
    waiting = list(ordered)
    try:
        for step in ordered:
            del waiting[0]
            counts[step.number] = await _do(step, waiting, documents, done, look=look)
        await _check_again(done, documents)
    except BaseException as error:
        await _take_back(done, documents, error)
        if isinstance(error, ConflictError) and error.change is not None:
            number = error.change
            if any(other.guarded and other.number < number for other in waiting):
                # That one might have been refused too, and is what the caller would be told.
                error.change = None
        raise
    return counts


async def _check_again(done: Sequence[tuple[Step, list[Document]]], documents: Documents) -> None:
    """See that what the write rests on was not deleted before all rows that belong to it were stored.

    Who deletes it deletes first it and then what belongs to it, which was not all there yet.
    """
    puts = [i for i, (step, _) in enumerate(done) if isinstance(step.change, Put)]
    for step, before in done[: puts[-1]] if puts else ():
        if (
            before
            and _is_rested_on(step)
            and not await documents.all_there(step.collection, before)
        ):
            raise unmet(step)


def _is_rested_on(step: Step) -> bool:
    """Whether rows are stored on condition of those that a step changes."""
    return isinstance(step.change, Update) and step.guarded


async def _do(
    step: Step,
    later: Sequence[Step],
    documents: Documents,
    done: list[tuple[Step, list[Document]]],
    *,
    look: bool,
) -> int:
    """Do one step, and note with those that are ``done`` what is to be taken back of it."""
    rests = isinstance(step.change, Put) and any(_is_rested_on(other) for other, _ in done)
    if not rests and not _has_a_way_back(step, later):
        return await documents.run(step, None)
    before = [] if step.new and not look else await documents.documents_of(step)
    _check(step, before)
    done.append((step, before))
    try:
        return await documents.run(step, before)
    except ConflictError:
        if step.single:
            # It did nothing: what is there as it would have written it is somebody else's.
            done.pop()
        raise


def _has_a_way_back(step: Step, later: Sequence[Step]) -> bool:
    """Whether the documents of a step are read first, so that it can be taken back.

    Not of what changes or deletes any number of rows while nothing behind it can be refused.
    """
    if step.single:
        return bool(later)
    return _may_be_refused(step) or any(_may_be_refused(other) for other in later)


def _may_be_refused(step: Step) -> bool:
    return step.guarded or isinstance(step.change, Put)


def _check(step: Step, before: Sequence[Document]) -> None:
    """What can be known before anything is written: the usual conflict leaves nothing to take back."""
    taken = isinstance(step.change, Put) and step.change.on_conflict == "fail" and before
    if taken or (step.expect is not None and step.expect != len(before)):
        raise unmet(step)


def unmet(step: Step) -> ConflictError:
    """The error of a step whose expectation does not hold."""
    return ConflictError(
        f"{step.collection}: the stored rows are not as the write expects (change {step.number}); "
        "nothing was written",
        change=step.number,
    )


async def _take_back(
    done: Sequence[tuple[Step, list[Document]]], documents: Documents, error: BaseException
) -> None:
    for step, before in reversed(done):
        try:
            if operations := undoing(step, before):
                await documents.undo(step.collection, operations)
        except Exception as failed:  # noqa: BLE001 (whatever it is, it is said)
            raise UnavailableError(
                f"a write to {step.collection} failed ({error}) and could not be taken back "
                f"({failed}): part of it may be there; do it again when the server answers"
            ) from error


async def finished(work: Awaitable[T]) -> T:
    """The outcome of something that must not stop in the middle; a cancelled caller waits for it."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            if task.cancelled():
                raise
            cancelled = error
        except Exception:  # noqa: BLE001 (it is the task's, and raised below)
            break
    if cancelled is not None:
        task.exception()
        raise cancelled
    return task.result()
