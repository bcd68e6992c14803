"""ClickHouse keeps the whole contract."""

from mastra_conformance.suite import *  # noqa: F403
