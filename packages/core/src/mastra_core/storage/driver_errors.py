"""What a driver raises, as this library's errors: a table of classes, then one of texts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import ClassVar, TypeAlias

from mastra_core.errors import MastraError, StorageError

ErrorMap: TypeAlias = Mapping[type[BaseException], type[StorageError]]


class DriverErrors:
    """What backends and vector stores share: their name, and what their driver's errors mean."""

    # The first class that matches wins.
    errors: ClassVar[ErrorMap] = {}
    # For drivers that raise one class for everything: what their texts mean, and what to do.
    texts: ClassVar[Sequence[tuple[str, type[StorageError], str]]] = ()
    name: ClassVar[str] = "storage"
    place: str = ""

    def __repr__(self) -> str:
        """The class and the place, which is no secret."""
        return f"{type(self).__name__}({self.place!r})"

    def _translate(self, error: Exception, doing: str) -> Exception:
        """The error as this library's: its own stay, a driver's are looked up in ``errors``."""
        if isinstance(error, MastraError):
            return error
        for kind, mapped in self.errors.items():
            if isinstance(error, kind):
                return mapped(f"{self.name} could not {doing}: {error}")
        text = str(error) or type(error).__name__
        # The name of a file or host may hold any of the words that are looked for.
        told = text.replace(self.place, "") if self.place else text
        for pattern, mapped, advice in self.texts if self._driver_raised(error) else ():
            if re.search(pattern, told):
                return mapped(f"{self!r} could not {doing}: {advice} ({text})")
        return StorageError(f"{self.name} could not {doing}: {type(error).__name__}: {error}")

    def _driver_raised(self, error: Exception) -> bool:
        """Whether the text of an error is the driver's, so that ``texts`` apply to it."""
        return True
