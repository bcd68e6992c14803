"""The contract of vector stores, on a double of Pinecone's API or on Pinecone itself."""

from mastra_conformance.vectors import *  # noqa: F403
