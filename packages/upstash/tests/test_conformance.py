"""The contract, over the REST API."""

from mastra_conformance.suite import *  # noqa: F403
