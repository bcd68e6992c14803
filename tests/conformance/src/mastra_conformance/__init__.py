"""The executable contract of Mastra storage, for adapters here and elsewhere.

``conftest.py`` of an adapter has one synchronous fixture, ``storage_factory``, and its test module
one line, ``from mastra_conformance.suite import *``. The plugin of this package watches that every
test of the suite is run as it was shipped, and grades the adapter by what passed.
"""

from __future__ import annotations

from mastra_conformance.levels import AREAS, Level, Outcome, Status
from mastra_conformance.report import Report, support_matrix

__all__ = ["AREAS", "Level", "Outcome", "Report", "Status", "support_matrix"]
