"""The contract, on Cloudflare D1."""

from mastra_conformance.suite import *  # noqa: F403
