"""The contract, on SQL Server."""

from mastra_conformance.suite import *  # noqa: F403
