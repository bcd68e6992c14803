"""The bytes of TDS 7.4, SQL Server's protocol: packets, parameters that come in, answers that go out."""

from __future__ import annotations

import datetime as dt
import struct
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

BATCH, RPC, ATTENTION, TRANSACTION, LOGIN, PRELOGIN = 0x01, 0x03, 0x06, 0x0E, 0x10, 0x12
# What ends an answer: of a batch, of a call, and of a statement within a call.
DONE, DONE_PROC, DONE_IN_PROC = 0xFD, 0xFE, 0xFF
MORE, ERROR, COUNT, ATTENDED = 0x01, 0x02, 0x10, 0x20
PACKET = 4096
# Latin1_General_CI_AS, which the drivers are told and nothing here does.
COLLATION = b"\x09\x04\xd0\x00\x34"
ABSENT = 0xFFFFFFFFFFFFFFFF
EPOCH = dt.date(1, 1, 1)
SCALE = 7


def text16(text: str) -> bytes:
    """Text with its length in two bytes."""
    return struct.pack("<H", len(text.encode("utf-16-le")) // 2) + text.encode("utf-16-le")


def text8(text: str) -> bytes:
    """Text with its length in one byte."""
    return bytes([len(text.encode("utf-16-le")) // 2]) + text.encode("utf-16-le")


def packets(data: bytes) -> bytes:
    """An answer as packets."""
    size = PACKET - 8
    parts = [data[i : i + size] for i in range(0, len(data), size)] or [b""]
    last = len(parts) - 1
    return b"".join(
        struct.pack(">BBHHBB", 4, int(i == last), len(part) + 8, 51, i % 256, 0) + part
        for i, part in enumerate(parts)
    )


def prelogin() -> bytes:
    """The answer to the first packet: a version, no encryption, no several results at once."""
    options = [(0, b"\x10\x00\x03\xe8\x00\x00"), (1, b"\x02"), (2, b"\x00"), (3, b""), (4, b"\x00")]
    offset, head, body = 5 * len(options) + 1, b"", b""
    for kind, value in options:
        head += struct.pack(">BHH", kind, offset + len(body), len(value))
        body += value
    return head + b"\xff" + body


def changed(kind: int, new: bytes, old: bytes = b"\x00") -> bytes:
    """What changed in the session: its database, collation, packet size or transaction."""
    return b"\xe3" + struct.pack("<HB", 1 + len(new) + len(old), kind) + new + old


def in_transaction(number: int) -> bytes:
    """A transaction began."""
    return changed(8, b"\x08" + struct.pack("<Q", number))


def out_of_transaction(number: int, *, committed: bool) -> bytes:
    """A transaction ended."""
    return changed(9 if committed else 10, b"\x00", b"\x08" + struct.pack("<Q", number))


def welcome(database: str) -> bytes:
    """The answer to a login."""
    name = b"\x01\x74\x00\x00\x04" + text8("Microsoft SQL Server") + b"\x10\x00\x03\xe8"
    return (
        changed(1, text8(database), text8("master"))
        + changed(7, b"\x05" + COLLATION)
        + b"\xad"
        + struct.pack("<H", len(name))
        + name
        + changed(4, text8(str(PACKET)), text8(str(PACKET)))
        + done(DONE, 0, 0)
    )


def done(token: int, status: int, count: int) -> bytes:
    """The end of a statement or an answer."""
    return struct.pack("<BHHQ", token, status, 0xC1, count)


def failed(number: int, level: int, text: str) -> bytes:
    """An error."""
    body = struct.pack("<iBB", number, 1, level) + text16(text[:2000])
    body += text8("front") + text8("") + struct.pack("<i", 1)
    return b"\xaa" + struct.pack("<H", len(body)) + body


class Login(NamedTuple):
    """Who logs in."""

    user: str
    password: str
    database: str


def login(data: bytes) -> Login:
    """What a login packet says."""

    def field(at: int) -> bytes:
        offset, length = struct.unpack_from("<HH", data, at)
        return data[offset : offset + 2 * length]

    hidden = field(44)
    password = bytes([((x ^ 0xA5) << 4 | (x ^ 0xA5) >> 4) & 0xFF for x in hidden])
    texts = (field(40), password, field(68))
    return Login(*[text.decode("utf-16-le") for text in texts])


class Reader:
    """Reads what a client sent, piece by piece."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data, self.at = data, at

    @property
    def more(self) -> bool:
        return self.at < len(self.data)

    def take(self, count: int) -> bytes:
        part = self.data[self.at : self.at + count]
        self.at += count
        return part

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def long(self) -> bytes | None:
        """A value in chunks."""
        if self.number(8) == ABSENT:
            return None
        parts = []
        while size := self.number(4):
            parts.append(self.take(size))
        return b"".join(parts)

    def parameter(self) -> tuple[str, Any]:
        """One parameter of a call: its name and value."""
        name = self.take(2 * self.number(1)).decode("utf-16-le")
        self.take(1)
        return name, self._value(self.number(1))

    def _value(self, kind: int) -> Any:
        if kind in {0xE7, 0xEF, 0xA7, 0xAF}:
            longest = self.number(2)
            self.take(5)
            if longest == 0xFFFF:
                data = self.long()
            else:
                size = self.number(2)
                data = None if size == 0xFFFF else self.take(size)
            wide = kind in {0xE7, 0xEF}
            return None if data is None else data.decode("utf-16-le" if wide else "cp1252")
        if kind in {0x26, 0x68, 0x6D}:
            self.take(1)
            data = self.take(self.number(1))
            if not data:
                return None
            if kind == 0x6D:
                return struct.unpack("<f" if len(data) == 4 else "<d", data)[0]
            if kind == 0x68:
                return data != b"\x00"
            return int.from_bytes(data, "little", signed=len(data) > 1)
        raise ValueError(f"the type 0x{kind:x} of a parameter is not known here")


class Column(NamedTuple):
    """A column of an answer: its type, how a value is written, and what stands for none."""

    type: bytes
    write: Callable[[Any], bytes]
    absent: bytes = b"\x00"


def _moment(at: dt.datetime) -> bytes:
    seconds = (at.hour * 60 + at.minute) * 60 + at.second
    ticks = seconds * 10**SCALE + at.microsecond * 10
    return b"\x08" + ticks.to_bytes(5, "little") + (at.date() - EPOCH).days.to_bytes(3, "little")


def _long(value: Any) -> bytes:
    data = str(value).encode("utf-16-le", "surrogatepass")
    chunk = struct.pack("<I", len(data)) + data if data else b""
    return struct.pack("<Q", len(data)) + chunk + b"\x00" * 4


def _short(value: Any) -> bytes:
    data = str(value).encode("utf-16-le", "surrogatepass")
    return struct.pack("<H", len(data)) + data


def column(kind: str, width: int | None = None) -> Column:
    """A column of whole numbers, floats, bits, times or text of at most so many characters."""
    if kind == "int":
        return Column(b"\x26\x08", lambda v: b"\x08" + struct.pack("<q", v))
    if kind == "float":
        return Column(b"\x6d\x08", lambda v: b"\x08" + struct.pack("<d", v))
    if kind == "bit":
        return Column(b"\x68\x01", lambda v: b"\x01" + bytes([v]))
    if kind == "time":
        return Column(b"\x2a" + bytes([SCALE]), _moment)
    if width is not None:
        size = struct.pack("<H", min(2 * width, 8000))
        return Column(b"\xe7" + size + COLLATION, _short, b"\xff\xff")
    return Column(b"\xe7\xff\xff" + COLLATION, _long, b"\xff" * 8)


def table(names: Sequence[str], columns: Sequence[Column], rows: Sequence[Sequence[Any]]) -> bytes:
    """The columns and rows of an answer."""
    head = b"\x81" + struct.pack("<H", len(columns))
    for name, each in zip(names, columns, strict=True):
        head += struct.pack("<IH", 0, 9) + each.type + text8(name[:100])
    written = [
        b"\xd1"
        + b"".join(
            [c.absent if v is None else c.write(v) for c, v in zip(columns, row, strict=True)]
        )
        for row in rows
    ]
    return head + b"".join(written)
