"""The contract of vector stores, on Chroma in a folder."""

from mastra_conformance.vectors import *  # noqa: F403
