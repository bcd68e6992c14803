"""The contract, on libSQL in a file."""

from mastra_conformance.suite import *  # noqa: F403
