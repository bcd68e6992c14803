"""The contract of vector stores, on an index of Upstash Vector with cosines."""

from mastra_conformance.vectors import *  # noqa: F403
