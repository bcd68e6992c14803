"""The contract, in full."""

from mastra_conformance.suite import *  # noqa: F403
