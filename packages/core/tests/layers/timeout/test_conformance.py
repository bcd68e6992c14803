"""The contract, through the layer."""

from mastra_conformance.suite import *  # noqa: F403
