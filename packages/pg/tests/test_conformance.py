"""The contract, on PostgreSQL."""

from mastra_conformance.suite import *  # noqa: F403
