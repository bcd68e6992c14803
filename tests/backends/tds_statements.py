"""Batches of T-SQL as SQL Server runs them, a statement at a time, on one connection to PostgreSQL."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import psycopg
import tds_wire as wire
from psycopg import pq
from psycopg.rows import tuple_row
from tsql_rewriting import translated
from tsql_script import If, Plain, Try, script

# PostgreSQL's states as SQL Server's numbers and levels.
NUMBERS = {
    "23505": (2627, 14),
    "23502": (515, 16),
    "42P01": (208, 16),
    "42703": (207, 16),
    "42601": (102, 15),
    "22001": (2628, 16),
    "22P02": (245, 16),
    "22003": (8115, 16),
    "40P01": (1205, 13),
    "40001": (3960, 16),
    "55P03": (1222, 16),
    "42P07": (2714, 16),
    "42701": (2705, 16),
    "42P06": (2714, 16),
    "22032": (13609, 16),
    "53300": (17809, 16),
}
COLUMNS = {16: "bit", 20: "int", 21: "int", 23: "int", 701: "float", 1114: "time"}
VARCHAR = 1043
VALUE = re.compile(
    r"(-?\d+)|N?'((?:[^']|'')*)'|@(\w+)|(ERROR_NUMBER|ERROR_MESSAGE)\(\)|@@(\w+)", re.IGNORECASE
)


class ServerError(Exception):
    """An error as SQL Server tells it."""

    def __init__(self, number: int, level: int, text: str) -> None:
        super().__init__(text)
        self.number, self.level, self.text = number, level, text


def told(error: psycopg.Error) -> ServerError:
    """PostgreSQL's error as SQL Server tells it."""
    number, level = NUMBERS.get(error.sqlstate or "", (50000, 16))
    text = error.diag.message_primary or str(error)
    if number == 1205:
        text = "Transaction (Process ID 51) was deadlocked on lock resources with another process and has been chosen as the deadlock victim. Rerun the transaction."
    if number == 208:
        text = f"Invalid object name. {text}"
    return ServerError(number, level, text)


class Statements:
    """What one client's batches run on, and the answer that they have so far."""

    def __init__(self) -> None:
        self.database: psycopg.AsyncConnection[Any] | None = None
        self.transactions = 0
        self.open = False
        self.manual = False
        self.variables: dict[str, Any] = {}
        self.affected = 0
        self.error: ServerError | None = None
        self.answer: list[bytes] = []

    async def batch(self, text: str, bound: dict[str, Any], token: int) -> bytes:
        """The answer to a batch; what is not caught in it undoes the transaction."""
        self.variables = dict(bound)
        try:
            await self.run(script(text), token)
        except ServerError as failed:
            await self.finish("ROLLBACK")
            self.answer.append(wire.failed(failed.number, failed.level, failed.text))
            self.answer.append(wire.done(token, wire.ERROR | wire.MORE * (token != wire.DONE), 0))
        if not self.answer or token == wire.DONE:
            self.answer.append(wire.done(token, wire.MORE * (token != wire.DONE), 0))
        return b"".join(self.answer)

    async def run(self, parts: Sequence[object], token: int) -> None:
        for part in parts:
            if isinstance(part, Try):
                try:
                    await self.run(part.body, token)
                except ServerError as failed:
                    self.error = failed
                    await self.run(part.caught, token)
            elif isinstance(part, If):
                if await self.holds(part.condition):
                    await self.statement(part.then.text, token)
            elif isinstance(part, Plain):
                await self.statement(part.text, token)

    async def holds(self, condition: str) -> bool:
        """Whether the condition of an IF holds."""
        if condition.upper().startswith("XACT_STATE()"):
            return self.open
        found = re.fullmatch(r"@(\w+) (<>|<) (-?\d+)", condition)
        if found is not None:
            value, number = self.variables[found[1]], int(found[3])
            return value != number if found[2] == "<>" else value < number
        cursor = await self.execute(f"SELECT CASE WHEN {condition} THEN 1 ELSE 0 END")
        return (await cursor.fetchone()) == (1,)

    async def statement(self, text: str, token: int) -> None:  # noqa: C901 (one case each)
        words = re.split(r"[\s,]+", text, maxsplit=3)
        first = (re.match(r"\w+", text) or [""])[0].upper()
        if first == "SET" and words[1].startswith("@"):
            name, _, value = text[4:].partition("=")
            self.variables[name.strip().lstrip("@")] = self.value(value.strip())
        elif first == "DECLARE":
            for each in re.split(r",\s*(?=@)", text[8:]):
                name, _, value = each.partition("=")
                known = self.value(value.strip()) if value else None
                self.variables[name.split()[0].lstrip("@")] = known
        elif first == "SET" and words[1].upper() == "IMPLICIT_TRANSACTIONS":
            self.manual = words[2].upper() == "ON"
        elif first in {"SET", "USE"}:
            pass
        elif first == "BEGIN":
            await self.begin()
        elif first in {"COMMIT", "ROLLBACK"}:
            await self.finish(first)
        elif first == "THROW":
            number, said, _ = [self.value(v.strip()) for v in text[6:].split(",")]
            raise ServerError(number, 16, said)
        elif first == "EXEC":
            await self.procedure(text, token)
        elif first == "SELECT" and (row := self.constant(text[7:])) is not None:
            self.rows(
                [""] * len(row),
                [wire.column("int" if isinstance(v, int) else "text") for v in row],
                [row],
                token,
            )
        else:
            await self.translated(text, token)

    def value(self, text: str) -> Any:
        """What a constant, a variable or a function of the last error is."""
        found = VALUE.fullmatch(text)
        assert found is not None, text
        number, string, variable, error, system = found.groups()
        if number is not None:
            return int(number)
        if string is not None:
            return string.replace("''", "'")
        if variable is not None:
            return self.variables[variable]
        if system is not None:
            return {"ROWCOUNT": self.affected, "TRANCOUNT": int(self.open)}[system.upper()]
        assert self.error is not None
        return self.error.number if error.upper() == "ERROR_NUMBER" else self.error.text

    def constant(self, text: str) -> list[Any] | None:
        """The values of a SELECT of nothing but constants and variables."""
        parts = [part.strip() for part in re.split(r",\s*(?=[^']*(?:'[^']*'[^']*)*$)", text)]
        if not all(VALUE.fullmatch(part) for part in parts):
            return None
        return [self.value(part) for part in parts]

    async def procedure(self, text: str, token: int) -> None:
        inner = re.fullmatch(r"EXEC\(N'((?:[^']|'')*)'\)", text)
        if inner is not None:
            await self.run(script(inner[1].replace("''", "'")), token)
            return
        if "sp_getapplock" not in text:
            raise ServerError(2812, 16, f"there is no procedure for {text[:60]} here")
        resource = re.search(r"@Resource = N?'([^']*)'", text)
        assert resource is not None
        assert self.database is not None
        await self.asked("SELECT pg_advisory_xact_lock(hashtext($1))", [resource[1]])
        self.variables["held"] = 0

    async def begin(self) -> None:
        if not self.open:
            await self.asked("BEGIN", [])
            self.open = True
            self.transactions += 1
            self.answer.append(wire.in_transaction(self.transactions))

    async def finish(self, how: str) -> None:
        assert self.database is not None
        if self.open:
            self.open = False
            committed = (
                how == "COMMIT"
                and self.database.info.transaction_status == pq.TransactionStatus.INTRANS
            )
            self.answer.append(wire.out_of_transaction(self.transactions, committed=committed))
            await self.asked("COMMIT" if committed else "ROLLBACK", [])

    async def translated(self, text: str, token: int) -> None:
        """A statement that PostgreSQL runs."""
        if self.manual:
            await self.begin()
        cursor = await self.execute(text)
        self.affected = max(cursor.rowcount, 0)
        if cursor.description is None:
            return
        columns = [
            wire.column(
                COLUMNS.get(d.type_code, "text"), d.display_size if d.type_code == VARCHAR else None
            )
            for d in cursor.description
        ]
        rows = await cursor.fetchall()
        self.rows(
            [d.name.replace("?column?", "") for d in cursor.description], columns, rows, token
        )

    def rows(
        self,
        names: Sequence[str],
        columns: Sequence[wire.Column],
        rows: Sequence[Sequence[Any]],
        token: int,
    ) -> None:
        self.answer.append(wire.table(names, columns, rows))
        self.answer.append(wire.done(token, wire.COUNT | wire.MORE, len(rows)))

    async def execute(self, text: str) -> psycopg.AsyncCursor[Any]:
        names: list[str] = []

        def numbered(found: re.Match[str]) -> str:
            names.append(found[1])
            return f"@{len(names)}"

        plain = re.sub(r"(?<!@)@(?!@)(\w+)", numbered, text)
        values = [self.variables[name] for name in names]
        try:
            sql, places = translated(plain, tuple([type(v) for v in values]))
        except Exception as error:
            raise ServerError(
                102,
                15,
                f"the front cannot translate this: {type(error).__name__}: {error}: {text[:500]}",
            ) from error
        given = [values[place - 1] for place in places]
        return await self.asked(
            sql,
            [
                str(v).lower()
                if isinstance(v, bool)
                else repr(v)
                if isinstance(v, float)
                else str(v)
                for v in given
            ],
        )

    async def asked(self, sql: str, values: Sequence[str]) -> psycopg.AsyncCursor[Any]:
        assert self.database is not None
        cursor = psycopg.AsyncRawCursor(self.database, row_factory=tuple_row)
        try:
            await cursor.execute(sql.encode(), values)
        except psycopg.Error as error:
            raise told(error) from error
        return cursor
