"""``Mastra``: the parts of one application, and the storage that they share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Self, TypeVar

from mastra_core.errors import ConfigurationError
from mastra_core.storage.store import MastraStorage

if TYPE_CHECKING:
    from mastra_core.agent import Agent
    from mastra_core.vector.base import MastraVector

T = TypeVar("T")


class Mastra:
    """Agents, vector stores and storage by name.

    Agents whose memory has no storage of its own use this instance's. As a context manager it
    creates what is missing of the tables, and at the end waits for what agents still have to do and
    closes everything.
    """

    def __init__(
        self,
        *,
        storage: MastraStorage | None = None,
        agents: Mapping[str, Agent] | Sequence[Agent] = (),
        vectors: Mapping[str, MastraVector] | None = None,
    ) -> None:
        if storage is not None and not isinstance(storage, MastraStorage):
            raise ConfigurationError(
                f"storage must be a MastraStorage (a store), not {type(storage).__name__}; wrap a "
                "single domain as MastraStorage(id=…, domains={…})"
            )
        self.storage = storage
        self._vectors = dict(vectors or {})
        named = agents if isinstance(agents, Mapping) else {agent.id: agent for agent in agents}
        self._agents = dict(named)
        for agent in self._agents.values():
            agent.bind(self)

    def get_agent(self, name: str) -> Agent:
        """The agent of this name (its id, where agents were given as a list)."""
        return _named(self._agents, name, "agent")

    def get_vector(self, name: str) -> MastraVector:
        """The vector store of this name."""
        return _named(self._vectors, name, "vector store")

    async def close(self) -> None:
        """Let agents end what they still have to do, then close memories, vectors and the storage.

        Using any of them again opens it again.
        """
        parts: list[Agent | MastraVector | MastraStorage] = [*self._agents.values()]
        parts += self._vectors.values()
        parts += [] if self.storage is None else [self.storage]
        failed: BaseException | None = None
        for part in parts:
            try:
                await part.close()
            except Exception as error:  # noqa: BLE001 (the others are to be closed all the same)
                failed = failed or error
        if failed is not None:
            raise failed

    async def __aenter__(self) -> Self:
        if self.storage is not None and not self.storage.disable_init:
            await self.storage.init()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"Mastra(storage={self.storage!r}, agents={sorted(self._agents)})"


def _named(parts: Mapping[str, T], name: str, what: str) -> T:
    if name not in parts:
        known = ", ".join(sorted(parts)) or "none"
        raise ConfigurationError(f"there is no {what} {name!r}; known: {known}")
    return parts[name]
