"""The contract of vector stores, on Qdrant's local mode."""

from mastra_conformance.vectors import *  # noqa: F403
