"""The contract, on DynamoDB."""

from mastra_conformance.suite import *  # noqa: F403
