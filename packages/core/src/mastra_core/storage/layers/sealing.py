"""Rows sealed and opened: which columns are, and what each value is bound to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from mastra_core.errors import AuthenticationError, InvalidArgumentError
from mastra_core.storage.layers.cipher import PREFIX, Cipher
from mastra_core.storage.schema import Put, Row, Table, Value, Where

_encode = msgspec.json.Encoder().encode


class Sealing:
    """Turns values of the encrypted columns into sealed texts and back.

    A sealed value is bound to table, column and key of its row, so that it opens nowhere else. In
    a JSON column it is a JSON string; an absent value stays absent.
    """

    def __init__(
        self, cipher: Cipher, columns: Mapping[str, Sequence[str]], *, read_plain: bool
    ) -> None:
        self.cipher = cipher
        self.read_plain = read_plain
        self._columns = {table: frozenset(names) for table, names in columns.items()}

    @property
    def single(self) -> bool:
        """Whether a value can be stored in one form only: no old keys, nothing unencrypted."""
        return len(self.cipher.ids) == 1 and not self.read_plain

    def hidden(self, table: Table) -> frozenset[str]:
        """The encrypted columns of a table."""
        return self._columns.get(table.name, frozenset())

    def hides(self, table: Table, where: Where) -> bool:
        """Whether a condition looks into an encrypted column; that one is absent can be seen."""
        if where.column not in self.hidden(table):
            return False
        return bool(where.path) or where.value is not None or where.op not in {"eq", "ne"}

    def seal(self, table: Table, name: str, value: Value, key: Sequence[Value]) -> Value:
        """The value as it is stored in the row with this key."""
        if value is None:
            return None
        if not isinstance(value, str):
            raise InvalidArgumentError(f"{name} of {table.name} is no text: {type(value).__name__}")
        sealed = self.cipher.seal(value, _place(table, name, key))
        return f'"{sealed}"' if table.by_name[name].type == "json" else sealed

    def seal_rows(self, put: Put) -> Put:
        """The put with its rows sealed."""
        hidden = self.hidden(put.table)
        if not hidden:
            return put
        at = [(i, name) for i, name in enumerate(put.table.names) if name in hidden]
        positions = [put.table.positions[name] for name in put.table.key]
        rows: list[Row] = []
        for row in put.rows:
            sealed, key = list(row), [row[i] for i in positions]
            for i, name in at:
                sealed[i] = self.seal(put.table, name, row[i], key)
            rows.append(tuple(sealed))
        return msgspec.structs.replace(put, rows=rows)

    def open_rows(
        self, table: Table, names: Sequence[str], rows: Iterable[Row], width: int
    ) -> list[Row]:
        """Rows of these columns (the key is among them), opened, the first ``width`` columns."""
        hidden = self.hidden(table)
        at = [(i, name) for i, name in enumerate(names[:width]) if name in hidden]
        positions = [names.index(name) for name in table.key]
        opened: list[Row] = []
        for row in rows:
            values, key = list(row[:width]), [row[i] for i in positions]
            for i, name in at:
                values[i] = self._open(table, name, row[i], key)
            opened.append(tuple(values))
        return opened

    def _open(self, table: Table, name: str, value: Value, key: Sequence[Value]) -> Value:
        if value is None:
            return None
        if isinstance(value, str):
            text = value[1:-1] if value[:1] == '"' and table.by_name[name].type == "json" else value
            if text.startswith(PREFIX):
                try:
                    return self.cipher.open(text, _place(table, name, key))
                except AuthenticationError as error:
                    raise AuthenticationError(f"{_named(table, name, key)}: {error}") from None
        if self.read_plain:
            return value
        raise AuthenticationError(
            f"{_named(table, name, key)}: it is not encrypted; with read_plain=True such values are "
            "read as they are"
        )

    def is_current(self, value: Value) -> bool:
        """Whether a stored value is as it would be written now: absent, or sealed with the new key."""
        return value is None or (
            isinstance(value, str) and self.cipher.is_current(value.removeprefix('"'))
        )


def _place(table: Table, name: str, key: Sequence[Value]) -> bytes:
    return _encode([table.name, name, *key])


def _named(table: Table, name: str, key: Sequence[Value]) -> str:
    return f"{name} of {table.name} {tuple(key)}"
