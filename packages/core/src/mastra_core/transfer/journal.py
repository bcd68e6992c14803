"""How far a copy has come, in a file: what a killed copy leaves to the one that continues it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec

from mastra_core.storage.schema import Row
from mastra_core.transfer.fingerprints import Tally


class Place(msgspec.Struct):
    """How far one table is: the last key that is stored in the target, and the sum up to there."""

    after: list[Any] | None = None
    rows: int = 0
    checksum: str = "0"
    done: bool = False

    @property
    def key(self) -> Row | None:
        """The key to go on behind."""
        return None if self.after is None else tuple(self.after)

    def tally(self) -> Tally:
        """The sum of the rows up to there."""
        return Tally(self.rows, int(self.checksum, 16))


class Journal:
    """The places of a copy; kept in a file if there is a path, and gone with it at the end.

    The file is replaced whole after each page that the target has acknowledged. It may be lost: the
    copy then reads and compares once more what is there already. It is never believed blindly: what
    it says is there is counted, and all of it verified at the end.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.places: dict[str, Place] = {}
        if path is not None and path.exists():
            try:
                self.places = msgspec.json.decode(path.read_bytes(), type=dict[str, Place])
            except msgspec.MsgspecError:
                # A file that a failing machine left half: begin at the start.
                self.places = {}

    @property
    def begun(self) -> bool:
        """Whether there is something to continue."""
        return bool(self.places)

    def place(self, name: str) -> Place:
        """The place of a table, at first the beginning."""
        return self.places.get(name) or Place()

    def reach(self, name: str, after: Row, tally: Tally, *, done: bool = False) -> None:
        """Note that a table is stored up to a key."""
        self.places[name] = Place(list(after), tally.rows, tally.checksum, done)
        self._write()

    def forget(self, name: str) -> None:
        """Note that a table is to begin at its start."""
        if self.places.pop(name, None) is not None:
            self._write()

    def end(self) -> None:
        """Remove the file: there is nothing left to continue."""
        self.places = {}
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    def _write(self) -> None:
        if self.path is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        half = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        half.write_bytes(msgspec.json.encode(self.places))
        half.replace(self.path)
