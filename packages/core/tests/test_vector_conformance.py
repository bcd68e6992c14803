"""The contract of vector stores, on the one in memory."""

from mastra_conformance.vectors import *  # noqa: F403
