"""The closed tree of errors: every exception that leaves this library is one of these.

``MastraError`` is the root. A driver's exception never reaches a caller: each backend maps its own
(see ``Backend.errors``), and what it cannot place becomes a plain ``StorageError``.
"""

from __future__ import annotations


class MastraError(Exception):
    """The root of all errors of this library; its text says what happened, to what, and what to do."""


class ConfigurationError(MastraError):
    """Something was put together wrongly: an unknown URL scheme, a missing package, a bad option."""


class DomainNotConfigured(ConfigurationError):  # noqa: N818 (it says what is the matter)
    """A storage domain was asked for that this storage does not have or that was switched off."""


class StreamAbandoned(MastraError):  # noqa: N818 (it says what happened)
    """A stream was closed before its end: there is no answer."""


class StorageError(MastraError):
    """A storage operation failed; what was to be written was not written."""


class InvalidArgumentError(StorageError, ValueError):
    """The caller gave a value that cannot be stored or asked for; nothing was sent to the database."""


class NotFoundError(StorageError, LookupError):
    """What was to be changed does not exist, or belongs to another resource."""


class ConflictError(StorageError):
    """Stored data contradicts the write: an id is taken, or a row changed since it was read.

    ``change`` is the position, in the failed ``write``, of the change that did not apply, or ``None``
    where the backend cannot tell.
    """

    def __init__(self, message: str, *, change: int | None = None) -> None:
        super().__init__(message)
        self.change = change


class LimitExceededError(StorageError):
    """A value or a write is larger than this database takes; nothing was written."""


class UnsupportedError(StorageError):
    """This backend declares that it cannot do what was asked; the message names the capability."""


class UnavailableError(StorageError):
    """The database could not be reached, is busy, or timed out; the same call may succeed later."""


class AuthenticationError(StorageError):
    """The database refused the credentials (or the encryption key); repeating will not help."""


class SchemaError(StorageError):
    """The tables in the database do not fit this version; the message says how to mend it."""


class CorruptDataError(StorageError):
    """Stored data could not be read back as what it should be: a damaged file or a foreign value."""
