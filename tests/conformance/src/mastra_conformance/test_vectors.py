"""The whole suite of vector stores, for ``pytest --pyargs mastra_conformance --vector URL``."""

from mastra_conformance.vectors import *  # noqa: F403  # pyright: ignore[reportWildcardImportFromLibrary]
