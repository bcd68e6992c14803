"""LanceDB's driver and what it brings: the only module that imports them.

pyarrow has no types for a checker and lancedb has them in part, so that both are ``Any`` here.
"""

from __future__ import annotations

import importlib
from typing import Any, Final, TypeAlias

lancedb: Final[Any] = importlib.import_module("lancedb")
np: Final[Any] = importlib.import_module("numpy")
pa: Final[Any] = importlib.import_module("pyarrow")

BTree: Final[Any] = importlib.import_module("lancedb.index").BTree
ColumnOrdering: Final[Any] = importlib.import_module("lancedb.query").ColumnOrdering

# What pyarrow calls them, for annotations.
ArrowTable: TypeAlias = Any
ArrowSchema: TypeAlias = Any
ArrowType: TypeAlias = Any
