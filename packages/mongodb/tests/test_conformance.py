"""The contract, on a replica set."""

from mastra_conformance.suite import *  # noqa: F403
