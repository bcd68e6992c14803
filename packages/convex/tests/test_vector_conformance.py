"""The contract of vector stores, on indexes that are looked at whole."""

from mastra_conformance.vectors import *  # noqa: F403
