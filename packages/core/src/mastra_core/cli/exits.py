"""What the command line ends with: a code for each kind of ending, for scripts to tell apart."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Final

from mastra_core.errors import (
    AuthenticationError,
    ConfigurationError,
    ConflictError,
    InvalidArgumentError,
    MastraError,
    NotFoundError,
    UnavailableError,
)


class Exit(enum.IntEnum):
    """The exit codes."""

    OK = 0
    FOUND = 1
    """It worked, and what it looked for is there: stores differ, a problem, a copy not verified."""
    USAGE = 2
    CONFIGURATION = 3
    """No adapter, a bad URL or option, a missing file or package."""
    UNAVAILABLE = 4
    AUTHENTICATION = 5
    CONFLICT = 6
    """The target has other rows with the same keys; nothing of them was overwritten."""
    NOT_FOUND = 7
    STORAGE = 8
    """Any other error of the storage."""
    INTERNAL = 70
    """A defect of this program."""
    INTERRUPTED = 130


CODES: Final[Sequence[tuple[type[MastraError], Exit]]] = (
    (ConfigurationError, Exit.CONFIGURATION),
    (InvalidArgumentError, Exit.USAGE),
    (UnavailableError, Exit.UNAVAILABLE),
    (AuthenticationError, Exit.AUTHENTICATION),
    (ConflictError, Exit.CONFLICT),
    (NotFoundError, Exit.NOT_FOUND),
)


def code_of(error: MastraError) -> Exit:
    """The exit code of an error."""
    return next((code for kind, code in CODES if isinstance(error, kind)), Exit.STORAGE)
