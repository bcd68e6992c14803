"""What all layers share: a backend around another one, which passes each operation on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Literal, Protocol, TypeAlias, TypeVar

import msgspec

from mastra_core.errors import ConfigurationError
from mastra_core.storage.backend import Backend
from mastra_core.storage.schema import Change, Query, Row, Table, Where

B = TypeVar("B", bound=Backend)
T = TypeVar("T")
Kind: TypeAlias = Literal["setup", "find", "find_many", "count", "write"]


class Layer(Protocol):
    """What ``with_layers`` takes: options that know how to put themselves around a backend."""

    def over(self, backend: Backend) -> Backend:
        """A backend that does the same by this one, and what the layer adds."""
        ...  # pragma: no cover


def layered(backend: B, layers: Sequence[Layer]) -> B | Backend:
    """The backend inside of the layers, of which the first is the outermost."""
    found: Backend = backend
    for layer in reversed(layers):
        if not callable(getattr(layer, "over", None)) or isinstance(layer, type):
            named = layer.__name__ if isinstance(layer, type) else type(layer).__name__
            raise ConfigurationError(
                f"a layer is one of mastra_core.storage.layers, as Retry(), not {named}"
            )
        found = layer.over(found)
    return found


class Operation(msgspec.Struct, frozen=True):
    """One operation on the backend beneath: what it is, on which tables, how much is in it."""

    kind: Kind
    tables: tuple[str, ...]
    size: int = 1


class LayerBackend(Backend):
    """A backend that does everything by another one, ``inner``.

    What is asked of it is paged and completed here, so that each bounded read comes to
    ``_through`` by itself: a layer repeats, bounds or measures single requests, never a read of a
    million rows. Conditions that the database cannot apply are applied here too.
    """

    def __init__(self, inner: Backend) -> None:
        super().__init__()
        self.inner = inner
        self.auto_setup = inner.auto_setup
        self.declare(*inner._declared.values())  # noqa: SLF001 (a backend, as this is one)
        # What an instance says of its class holds for what is around it.
        self.capabilities = inner.capabilities  # type: ignore[misc]
        self.limits = inner.limits  # type: ignore[misc]
        self.name = inner.name  # type: ignore[misc]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.inner!r})"

    async def _through(self, operation: Operation, do: Callable[[], Awaitable[T]]) -> T:
        """One operation on what is beneath; a layer does more around it."""
        return await do()

    def declare(self, *tables: Table) -> None:
        """Say which tables will be used, to what is beneath too."""
        super().declare(*tables)
        self.inner.declare(*tables)

    def leave_setup(self) -> None:
        """Set nothing up by itself any more, nor does what is beneath."""
        super().leave_setup()
        self.inner.leave_setup()

    async def server(self) -> str:
        """The name and version that the database gives itself."""
        return await self.inner.server()

    async def clock(self) -> datetime | None:
        """What time it is for the database."""
        return await self.inner.clock()

    async def lacking(self) -> Sequence[str] | None:
        """What set-up would still add."""
        return await self.inner.lacking()

    async def _setup(self, tables: Sequence[Table]) -> None:
        operation = Operation("setup", tuple([table.name for table in tables]))
        await self._through(operation, lambda: self.inner.setup(tables))

    async def _find(self, table: Table, query: Query) -> list[Row]:
        operation = Operation("find", (table.name,))
        return await self._through(operation, lambda: self.inner.find(table, query))

    async def _find_many(self, table: Table, queries: Sequence[Query]) -> list[list[Row]]:
        operation = Operation("find_many", (table.name,), len(queries))
        return await self._through(operation, lambda: self.inner.find_many(table, queries))

    async def _count(self, table: Table, where: Sequence[Where]) -> int:
        operation = Operation("count", (table.name,))
        return await self._through(operation, lambda: self.inner.count(table, where))

    async def _write(self, changes: Sequence[Change]) -> list[int]:
        tables = tuple(dict.fromkeys([change.table.name for change in changes]))
        operation = Operation("write", tables, len(changes))
        return await self._through(operation, lambda: self.inner.write(*changes))

    def _split(
        self, table: Table, where: tuple[Where, ...]
    ) -> tuple[tuple[Where, ...], tuple[Where, ...]]:
        return self.inner._split(table, where)  # noqa: SLF001 (a backend, as this is one)

    async def _close(self) -> None:
        await self.inner.close()
