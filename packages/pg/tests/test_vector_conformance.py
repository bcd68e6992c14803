"""The contract of vector stores, on PostgreSQL."""

from mastra_conformance.vectors import *  # noqa: F403
