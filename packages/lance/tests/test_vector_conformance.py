"""The contract of vector stores, on LanceDB in a folder."""

from mastra_conformance.vectors import *  # noqa: F403
