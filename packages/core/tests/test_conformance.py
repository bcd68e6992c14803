"""The contract, on the store in memory."""

from mastra_conformance.suite import *  # noqa: F403
