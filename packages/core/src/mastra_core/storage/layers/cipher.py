"""Texts sealed by AES-GCM, each bound to the place where it is stored."""

from __future__ import annotations

import binascii
import re
from collections.abc import Mapping
from hashlib import blake2b
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from mastra_core.errors import AuthenticationError

# What a sealed text begins with; the key's id and the sealed bytes follow, with a colon between.
PREFIX: Final = "mastra:aes256gcm:1:"
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16
_INFO: Final = b"mastra storage encryption 1"
KEY_ID: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class _Key(NamedTuple):
    """What one key becomes: one for the cipher, and one for its nonces."""

    cipher: AESGCM
    nonces: bytes


class Cipher:
    """Seals texts with one key, and opens what any of several has sealed.

    The nonce is a keyed digest of the place and the text, so that the same text at the same place
    is sealed to the same: a write can be made conditional on what was read. Whoever sees the
    database learns whether a value is one that stood at this place before, and about how long it
    is. Two texts with one nonce are as unlikely as with nonces drawn at random.
    """

    def __init__(self, keys: Mapping[str, bytes], *, current: str) -> None:
        self.current = current
        self.ids = tuple(keys)
        self._keys = {name: _derived(key) for name, key in keys.items()}
        self._head = f"{PREFIX}{current}:"

    def __repr__(self) -> str:
        return f"Cipher(current={self.current!r}, ids={self.ids!r})"

    def seal(self, text: str, place: bytes) -> str:
        """The text sealed for one place."""
        key, plain = self._keys[self.current], text.encode()
        told = b"%d:%b%b" % (len(place), place, plain)
        nonce = blake2b(told, key=key.nonces, digest_size=NONCE_BYTES).digest()
        sealed = nonce + key.cipher.encrypt(nonce, plain, place)
        return self._head + binascii.b2a_base64(sealed, newline=False).decode()

    def open(self, sealed: str, place: bytes) -> str:
        """The text that was sealed for this place; else an ``AuthenticationError`` that says why."""
        name, _, text = sealed.removeprefix(PREFIX).partition(":")
        key = self._keys.get(name)
        if key is None:
            if not KEY_ID.fullmatch(name):
                raise AuthenticationError("it begins as encrypted text does, and is none")
            raise AuthenticationError(
                f"it is encrypted with the key {name!r}, which was not given; "
                f"give it in old_keys (given: {', '.join(self.ids)})"
            )
        try:
            data = binascii.a2b_base64(text, strict_mode=True)
            return key.cipher.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], place).decode()
        except (InvalidTag, ValueError):
            raise AuthenticationError(
                f"it does not open with the key {name!r}: this is another key of that id, "
                "or the stored text was changed, or moved here from another row or column"
            ) from None

    def is_current(self, sealed: str) -> bool:
        """Whether the key that seals is the one that this was sealed with."""
        return sealed.startswith(self._head)


def _derived(key: bytes) -> _Key:
    material = HKDF(algorithm=SHA256(), length=64, salt=None, info=_INFO).derive(key)
    return _Key(AESGCM(material[:32]), material[32:])
