"""The whole suite of storage, for ``pytest --pyargs mastra_conformance --storage URL``."""

from mastra_conformance.suite import *  # noqa: F403  # pyright: ignore[reportWildcardImportFromLibrary]
