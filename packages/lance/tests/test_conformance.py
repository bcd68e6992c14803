"""The contract, on LanceDB in a folder."""

from mastra_conformance.suite import *  # noqa: F403
