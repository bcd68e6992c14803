"""Texts to vectors: by a model's name or any async callable, in chunks and batches, cached by content."""

from __future__ import annotations

import hashlib
from array import array
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

import msgspec

from mastra_core.errors import ConfigurationError, InvalidArgumentError
from mastra_core.storage.paging import options as checked

Embed: TypeAlias = Callable[[Sequence[str]], Awaitable[Sequence[Sequence[float]]]]
Kind: TypeAlias = Literal["document", "query"]
Vector: TypeAlias = "array[float]"

# Providers whose vectors are the same whether a text is looked for or looked through.
SYMMETRIC: Final = ("openai", "azure", "ollama", "openrouter", "together", "fireworks", "github")


Key: TypeAlias = "tuple[Kind, bytes]"


class EmbedderOptions(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """How texts are embedded.

    A text longer than ``chunk_size`` characters becomes several vectors. One call has at most
    ``batch_size`` texts. The vectors of the last ``cache_size`` texts are kept. ``model`` names the
    model of a callable: another name makes another index.
    """

    chunk_size: int = 16_384
    batch_size: int = 100
    cache_size: int = 1000
    model: str | None = None


class Embedder:
    """Makes vectors of texts; the same text is sent once as long as the cache holds it."""

    def __init__(
        self, given: str | Embed, options: EmbedderOptions | Mapping[str, Any] | None = None
    ) -> None:
        if not callable(given) and not (isinstance(given, str) and given):
            raise ConfigurationError(
                "embedder must be provider/model, as openai/text-embedding-3-small, or an async "
                f"callable that takes texts and gives their vectors, not {type(given).__name__}"
            )
        self.options = checked(EmbedderOptions, options or {}, "embedder_options")
        for name in ("chunk_size", "batch_size"):
            if getattr(self.options, name) < 1:
                raise ConfigurationError(f"{name} of embedder_options must be at least 1")
        self.model = given if isinstance(given, str) else self.options.model
        self._given = given
        self._functions: dict[Kind, Embed] = {}
        self._cache: OrderedDict[Key, Vector] = OrderedDict()

    def chunks(self, text: str) -> list[str]:
        """The text in pieces of at most ``chunk_size`` characters, cut between words."""
        size = self.options.chunk_size
        pieces: list[str] = []
        rest = text.strip()
        while len(rest) > size:
            end = rest.rfind(" ", 1, size + 1)
            if end < 0:
                end = size
            pieces.append(rest[:end].rstrip())
            rest = rest[end:].lstrip()
        return [*pieces, rest] if rest else pieces

    async def embed(self, texts: Sequence[str], kind: Kind = "document") -> list[Vector]:
        """The vectors of texts, in their order; what the embedder raises comes out as it is."""
        asked: Kind = kind if self._asymmetric else "document"
        keys = [_key(asked, text) for text in texts]
        unknown = {
            key: text for key, text in zip(keys, texts, strict=True) if key not in self._cache
        }
        made: dict[Key, Vector] = {}
        items = list(unknown.items())
        for i in range(0, len(items), self.options.batch_size):
            batch = items[i : i + self.options.batch_size]
            vectors = await self._call([text for _, text in batch], asked)
            made |= dict(zip([key for key, _ in batch], vectors, strict=True))
        found = [made[key] if key in made else self._cache[key] for key in keys]
        for key, vector in zip(keys, found, strict=True):
            self._cache[key] = vector
            self._cache.move_to_end(key)
        while len(self._cache) > self.options.cache_size:
            self._cache.popitem(last=False)
        return found

    async def _call(self, texts: list[str], kind: Kind) -> list[Vector]:
        answer = await self._function(kind)(texts)
        try:
            vectors = [array("f", vector) for vector in answer]
        except TypeError as error:
            raise InvalidArgumentError(
                f"the embedder must give a sequence of numbers for each text: {error}"
            ) from error
        lengths = {len(vector) for vector in vectors}
        if len(vectors) != len(texts) or len(lengths) != 1 or 0 in lengths:
            raise InvalidArgumentError(
                f"the embedder gave {len(vectors)} vectors of {sorted(lengths)} numbers for "
                f"{len(texts)} texts; it must give one for each, all of one length"
            )
        return vectors

    def _function(self, kind: Kind) -> Embed:
        if not isinstance(self._given, str):
            return self._given
        if kind not in self._functions:
            from mastra_core.models import find_embedder  # noqa: PLC0415 (the framework is heavy)

            self._functions[kind] = find_embedder(self._given, query=kind == "query")
        return self._functions[kind]

    @property
    def _asymmetric(self) -> bool:
        """Whether what is looked for has other vectors than what is looked through."""
        return isinstance(self._given, str) and not self._given.startswith(SYMMETRIC)

    def __repr__(self) -> str:
        return f"Embedder({self.model or 'a callable'!r})"


def _key(kind: Kind, text: str) -> Key:
    return (kind, hashlib.blake2b(text.encode(errors="replace"), digest_size=16).digest())
