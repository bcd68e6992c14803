"""The contract, on MongoDB."""

from mastra_conformance.suite import *  # noqa: F403
