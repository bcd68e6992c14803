"""The contract, on DuckDB in a file."""

from mastra_conformance.suite import *  # noqa: F403
