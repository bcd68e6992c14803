"""Encryption of what is said and done: content is sealed, ids, times and names stay readable."""

from __future__ import annotations

import base64
import binascii
import importlib
import re
import secrets
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from mastra_core.errors import ConfigurationError
from mastra_core.storage.backend import Backend
from mastra_core.storage.tables import TABLES

if TYPE_CHECKING:
    from mastra_core.storage.layers.encrypted import EncryptedBackend

KEY_BYTES: Final = 32
KEY_ID: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_COLUMNS: Final[Mapping[str, str]] = {
    "mastra_threads": "title metadata",
    "mastra_messages": "content",
    "mastra_resources": "workingMemory metadata",
    "mastra_workflow_snapshot": "snapshot",
    "mastra_scorers": "preprocessStepResult extractStepResult analyzeStepResult reason metadata "
    "preprocessPrompt extractPrompt generateScorePrompt generateReasonPrompt analyzePrompt "
    "reasonPrompt input output additionalContext requestContext",
    "mastra_ai_spans": "metadata attributes input output error requestContext",
    "mastra_datasets": "metadata",
    # (Their metadata say whether an item was purged, which every result of it asks for.)
    "mastra_dataset_items": "input groundTruth requestContext expectedTrajectory toolMocks",
    "mastra_experiments": "metadata",
    "mastra_experiment_results": "input output groundTruth metadata error comment toolMockReport",
}
CONTENT: Final[Mapping[str, tuple[str, ...]]] = {
    table: tuple(columns.split()) for table, columns in _COLUMNS.items()
}


class Encryption:
    """Encrypts columns by AES-GCM with 256 bits; they stay columns of the same tables.

    ``key`` is 32 bytes, or their text in base64 (``Encryption.generate_key()`` makes one), and
    ``key_id`` is the name by which stored values refer to it. To rotate, give a new key with a new
    id, and the one before in ``old_keys``: what is written is encrypted with the new one, and
    ``reencrypt`` rewrites the rest. ``columns`` says for some tables which columns are encrypted,
    instead of those of ``CONTENT``. With ``read_plain`` stored values that are not encrypted are
    read as they are; without it they are an ``AuthenticationError``.
    """

    def __init__(
        self,
        *,
        key: bytes | str,
        key_id: str = "1",
        old_keys: Mapping[str, bytes | str] | None = None,
        columns: Mapping[str, Sequence[str]] | None = None,
        read_plain: bool = False,
    ) -> None:
        if key_id in (old_keys or {}):
            raise ConfigurationError(f"Encryption: the key id {key_id!r} is in old_keys too")
        given = {key_id: key, **(old_keys or {})}
        self.key_id = key_id
        self.read_plain = read_plain
        self.columns = {**CONTENT, **_checked(columns or {})}
        self._keys = {name: _key(name, value) for name, value in given.items()}

    def __repr__(self) -> str:
        return f"Encryption(key_id={self.key_id!r}, key_ids={list(self._keys)})"

    @staticmethod
    def generate_key() -> str:
        """A new key, as text: keep it where secrets are kept, for without it nothing opens."""
        return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()

    def over(self, backend: Backend) -> EncryptedBackend:
        """The backend with its content encrypted."""
        try:
            importlib.import_module("cryptography")
        except ImportError as error:
            raise ConfigurationError(
                "Encryption needs cryptography: pip install 'mastra-core[encryption]'"
            ) from error
        from mastra_core.storage.layers.cipher import Cipher  # noqa: PLC0415
        from mastra_core.storage.layers.encrypted import EncryptedBackend  # noqa: PLC0415

        cipher = Cipher(self._keys, current=self.key_id)
        return EncryptedBackend(backend, cipher, self.columns, read_plain=self.read_plain)


def _key(name: object, value: object) -> bytes:
    """The bytes of a key; what is wrong with it is told, it is not."""
    if not isinstance(name, str) or not KEY_ID.fullmatch(name):
        raise ConfigurationError(
            f"Encryption: a key id is 1 to 64 letters, digits, '.', '_' or '-', not {name!r}"
        )
    if isinstance(value, str):
        try:
            standard = value.strip().translate(str.maketrans("-_", "+/"))
            value = base64.b64decode(standard, validate=True)
        except (binascii.Error, ValueError):
            raise ConfigurationError(f"Encryption: the key {name!r} is no base64 text") from None
    if not isinstance(value, bytes) or len(value) != KEY_BYTES:
        found = f"{len(value)} bytes" if isinstance(value, bytes) else type(value).__name__
        raise ConfigurationError(
            f"Encryption: the key {name!r} must have {KEY_BYTES} bytes, not {found}; "
            "Encryption.generate_key() makes one"
        )
    return value


def _checked(columns: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """The columns of each table, if these can be encrypted: no ids, and nothing with an index."""
    tables = {table.name: table for table in TABLES}
    for name, chosen in columns.items():
        table = tables.get(name)
        if table is None or isinstance(chosen, str):
            raise ConfigurationError(
                f"Encryption: columns are lists by table, and {name!r} is "
                f"{'no table' if table is None else 'given a text'}"
            )
        read_by = {*table.key, *(column for index in table.indexes for column in index.columns)}
        for column in chosen:
            known = table.by_name.get(column)
            if known is None or known.type not in {"text", "json"} or column in read_by:
                raise ConfigurationError(
                    f"Encryption: {column!r} of {name} cannot be encrypted; texts and JSON can, "
                    "unless rows are found by them"
                )
    return {name: tuple(chosen) for name, chosen in columns.items()}
