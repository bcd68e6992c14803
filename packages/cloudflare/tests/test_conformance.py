"""The contract, on Durable Objects."""

from mastra_conformance.suite import *  # noqa: F403
