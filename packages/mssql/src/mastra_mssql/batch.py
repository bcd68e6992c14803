"""A write as one batch: a transaction that answers with what it did, or with what undid it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from mastra_core.storage.sql import Statement

# The number with which a batch says that a statement did not affect what it was expected to.
UNMET: Final = 51000
# Any error undoes the whole transaction, a broken connection and a cancelled request too.
_BEGIN: Final = "SET NOCOUNT ON; SET XACT_ABORT ON; DECLARE @at INT = 0"
_END: Final = (
    "END TRY BEGIN CATCH IF XACT_STATE() <> 0 ROLLBACK TRANSACTION; "
    "SELECT ERROR_NUMBER(), ERROR_MESSAGE(), @at; END CATCH"
)


def transaction(statements: Sequence[Statement], *, own: bool = True) -> Statement:
    """The batch of some statements, which gives one row.

    It is ``(0, '', n0, n1, …)`` with the numbers of affected rows, or an error's number, its text
    and the position of the statement. One that is not its ``own`` transaction leaves the
    transaction around it to be committed, or undoes it.
    """
    begin = [_BEGIN]
    body: list[str] = []
    params: list[Any] = []
    for i, statement in enumerate(statements):
        begin.append(f"@n{i} BIGINT")
        params += statement.params
        body.append(
            f"SET @at = {i}; {statement.sql.removesuffix(';')}; SET @n{i} = @@ROWCOUNT; "
            + guard(statement, i)
        )
    counts = "".join([f", @n{i}" for i in range(len(statements))])
    opened, closed = ("BEGIN TRANSACTION; ", "COMMIT TRANSACTION; ") if own else ("", "")
    text = (
        f"{', '.join(begin)}; BEGIN TRY {opened}{''.join(body)}{closed}"
        f"SELECT 0, N''{counts}; {_END}"
    )
    return Statement(text, params)


def guard(statement: Statement, position: int) -> str:
    """What ends the batch unless a statement affected what it was expected to."""
    if statement.expect is None:
        return ""
    return f"IF @n{position} <> {statement.expect} THROW {UNMET}, N'unmet', 1; "
