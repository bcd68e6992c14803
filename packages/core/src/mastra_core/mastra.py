"""``Mastra``: the parts of one application, and the storage that they share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self, TypeVar

from mastra_core.errors import ConfigurationError
from mastra_core.storage.store import MastraStorage

if TYPE_CHECKING:
    from mastra_core.agent import Agent

T = TypeVar("T")


class Mastra:
    """Agents, vector stores and storage by name.

    Agents whose memory has no storage of its own use this instance's. As a context manager it
    creates what is missing of the tables, and closes the storage at the end.
    """

    def __init__(
        self,
        *,
        storage: MastraStorage | None = None,
        agents: Mapping[str, Agent] | Sequence[Agent] = (),
        vectors: Mapping[str, Any] | None = None,
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

    def get_vector(self, name: str) -> Any:
        """The vector store of this name."""
        return _named(self._vectors, name, "vector store")

    async def close(self) -> None:
        """Close the storage; using it again opens it again."""
        if self.storage is not None:
            await self.storage.close()

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
