"""The contract of vector stores, on libSQL in a file."""

from mastra_conformance.vectors import *  # noqa: F403
