"""Messages by meaning: their vectors in a vector store, kept in step with the messages themselves."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from mastra_core.clock import derived_id, from_iso, iso
from mastra_core.errors import CorruptDataError, NotFoundError
from mastra_core.records import JsonObject, Message, Thread
from mastra_core.storage.domains.windows import Anchor
from mastra_core.storage.loops import Turns
from mastra_core.vector.base import MastraVector
from mastra_core.vector.schema import Filter, Match
from mastra_memory.embedding import Embedder, Vector
from mastra_memory.options import SemanticRecall

T = TypeVar("T")
BASE: Final = "memory{0}messages"
# The original gives the most usual length of vectors the name without a number.
USUAL: Final = 1536
NAME_LENGTH: Final = 63
MODEL: Final = "embedding_model"
# Keys of a thread's metadata that are the framework's own, and may be long.
PRIVATE: Final = frozenset(
    {"workingMemory", "clone", "memoryTokenLimiter", "mastra", "titlePinned"}
)
METADATA_INDEXES: Final = ("thread_id", "resource_id")
FORGET_AT_ONCE: Final = 100
# Several pieces of one message count once, so that more are asked for than are wanted.
SPARE: Final = 2


class Scope(NamedTuple):
    """Where is searched: in a thread, in a resource's threads, or in a thread if it is theirs."""

    thread_id: str | None
    resource_id: str | None


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """A message that was found, and its score (see ``mastra_core.vector.Match``)."""

    anchor: Anchor
    score: float


class Embedded(msgspec.Struct, frozen=True, kw_only=True):
    """A message with the pieces of its text and their vectors; one without text has none."""

    message: Message
    pieces: list[str]
    vectors: list[Vector]


class SemanticMemory:
    """The vectors of a memory's messages.

    One index for each length of vectors, named as the original names it. A vector's metadata are
    the original's, too: those of the thread, then ``message_id``, ``thread_id``, ``resource_id``,
    ``role``, ``content`` and ``created_at``; and the model that made it, so that another model of the
    same length gets an index of its own.
    """

    def __init__(
        self, vector: MastraVector, embedder: Embedder | None, options: SemanticRecall | None
    ) -> None:
        self.vector = vector
        self.embedder = embedder
        self.options = options or SemanticRecall()
        self.turns = Turns()
        self._names: dict[int, str] = {}

    async def search(
        self,
        text: str,
        scope: Scope,
        *,
        top_k: int | None = None,
        filter: Filter | None = None,  # noqa: A002 (the original's name)
    ) -> list[Hit]:
        """The messages of the scope that are nearest to a text, the nearest first, each once."""
        embedder = self._embedder
        pieces = embedder.chunks(text)
        if not pieces:
            return []
        vectors = await embedder.embed(pieces, "query")
        wanted = top_k or self.options.top_k
        within = _within(scope, self.options.filter, filter)

        async def query() -> list[list[Match]]:
            return await self.vector.query_many(
                await self._index(len(vectors[0])),
                query_vectors=vectors,
                top_k=wanted * SPARE,
                filter=within,
                min_score=self.options.threshold,
            )

        found = await self._again(query)
        best: dict[str, Hit] = {}
        for match in sorted((m for matches in found for m in matches), key=lambda m: -m.score):
            hit = _hit(match)
            if hit is not None:
                best.setdefault(hit.anchor.id, hit)
        return list(best.values())[:wanted]

    async def embed(self, messages: Iterable[Message]) -> list[Embedded]:
        """The messages with the vectors of their texts."""
        embedder = self._embedder
        pieces = [(message, embedder.chunks(text_of(message))) for message in messages]
        texts = [piece for _, found in pieces for piece in found]
        vectors = iter(await embedder.embed(texts) if texts else [])
        return [
            Embedded(message=message, pieces=found, vectors=[next(vectors) for _ in found])
            for message, found in pieces
        ]

    async def store(
        self, embedded: Sequence[Embedded], threads: Mapping[str, Thread], *, new: bool = False
    ) -> None:
        """Store the vectors of messages, in place of those that they had unless they are ``new``."""
        vectors = [vector for one in embedded for vector in one.vectors]
        if not vectors:
            if not new:
                await self.forget(message_ids=[one.message.id for one in embedded])
            return
        ids = [one.message.id for one in embedded]
        stale: JsonObject | None = None if new else {"message_id": {"$in": ids}}
        numbered = [(one, number) for one in embedded for number in range(len(one.pieces))]
        names = [derived_id("message", one.message.id, number) for one, number in numbered]
        metadata = [
            self._metadata(one, number, threads.get(one.message.thread_id))
            for one, number in numbered
        ]

        async def upsert() -> None:
            await self.vector.upsert(
                await self._index(len(vectors[0])),
                vectors=vectors,
                ids=names,
                metadata=metadata,
                delete_filter=stale,
            )

        await self._again(upsert)

    async def forget(
        self,
        *,
        message_ids: Sequence[str] = (),
        thread_id: str | None = None,
        resource_id: str | None = None,
    ) -> None:
        """Delete the vectors of messages, or of a thread, from every index that may have them.

        With ``resource_id`` only that owner's.
        """
        owner: JsonObject = {} if resource_id is None else {"resource_id": resource_id}
        filters: list[JsonObject] = [
            {**owner, "message_id": {"$in": list(message_ids[i : i + FORGET_AT_ONCE])}}
            for i in range(0, len(message_ids), FORGET_AT_ONCE)
        ]
        if thread_id is not None:
            filters.append({**owner, "thread_id": thread_id})
        if not filters:
            return
        own = {self.options.index_name}
        for name in await self.vector.list_indexes():
            if name.startswith(self._base) or name in own:
                for chosen in filters:
                    # An index that somebody deletes meanwhile has nothing to forget.
                    with contextlib.suppress(NotFoundError):
                        await self.vector.delete_vectors(name, filter=chosen)

    def _metadata(self, one: Embedded, number: int, thread: Thread | None) -> JsonObject:
        message = one.message
        known = {} if thread is None else thread.metadata or {}
        metadata = {key: value for key, value in known.items() if key not in PRIVATE}
        metadata |= {
            "message_id": message.id,
            "thread_id": message.thread_id,
            "resource_id": message.resource_id,
            "role": message.role,
            "content": one.pieces[number],
            "created_at": iso(message.created_at),
        }
        if self._embedder.model is not None:
            metadata[MODEL] = self._embedder.model
        return metadata

    async def _index(self, dimension: int) -> str:
        """The name of the index for vectors of this length, which is there."""
        if dimension not in self._names:
            async with self.turns.at(("index", dimension)):
                if dimension not in self._names:
                    self._names[dimension] = await self._made(dimension)
        return self._names[dimension]

    async def _again(self, do: Callable[[], Awaitable[T]]) -> T:
        """Do it; once more if somebody has deleted the index meanwhile, which is then made anew."""
        try:
            return await do()
        except NotFoundError:
            self._names.clear()
            return await do()

    async def _made(self, dimension: int) -> str:
        config: JsonObject = dict(self.options.index_config or {})
        given: dict[str, Any] = {
            "dimension": dimension,
            "metric": config.pop("metric", "cosine"),
            "options": config,
            "metadata_indexes": METADATA_INDEXES,
        }
        name = self.options.index_name or self._named(dimension)
        await self.vector.create_index(name, **given)
        if self.options.index_name is None and await self._is_of_another_model(name, dimension):
            suffix = re.sub(r"[^a-z0-9]+", "_", str(self._embedder.model).lower())
            separator = self.vector.index_separator
            suffix = suffix.strip("_").replace("_", separator)
            name = f"{name}{separator}{suffix}"[:NAME_LENGTH].rstrip(separator)
            await self.vector.create_index(name, **given)
        return name

    async def _is_of_another_model(self, name: str, dimension: int) -> bool:
        """Whether the index has vectors of another model: the one that was there first keeps it."""
        model = self._embedder.model
        if model is None:
            return False
        some = await self.vector.query(name, query_vector=[1.0] * dimension)
        return any(match.metadata.get(MODEL) not in {None, model} for match in some)

    @property
    def _base(self) -> str:
        return BASE.format(self.vector.index_separator)

    def _named(self, dimension: int) -> str:
        number = "" if dimension == USUAL else f"{self.vector.index_separator}{dimension}"
        return f"{self._base}{number}"

    @property
    def _embedder(self) -> Embedder:
        assert self.embedder is not None
        return self.embedder


def text_of(message: Message) -> str:
    """What of a message is embedded: its texts, as the original joins them."""
    texts = [str(part.get("text") or "") for part in message.parts if part.get("type") == "text"]
    return " ".join(text for text in texts if text) or message.text


def _within(scope: Scope, *filters: Filter | None) -> JsonObject:
    """What is searched, and the filters of others: whatever these say, they only narrow it."""
    found: list[Filter] = [
        {key: value} for key, value in scope._asdict().items() if value is not None
    ]
    found += [given for given in filters if given]
    return dict(found[0]) if len(found) == 1 else {"$and": found}


def _hit(match: Match) -> Hit | None:
    """The message of a vector; vectors that are no message's are passed over."""
    data = match.metadata
    message_id, thread_id = data.get("message_id"), data.get("thread_id")
    try:
        at = from_iso(data.get("created_at"))
    except CorruptDataError:
        return None
    if not isinstance(message_id, str) or not isinstance(thread_id, str) or at is None:
        return None
    return Hit(anchor=Anchor(id=message_id, thread_id=thread_id, created_at=at), score=match.score)
