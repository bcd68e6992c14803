"""Moving what is stored: copies between any two stores, comparisons, and files of JSON Lines."""

from mastra_core.transfer.comparison import Difference, TableDifference, compare
from mastra_core.transfer.copying import CopiedTable, copy
from mastra_core.transfer.fingerprints import Tally
from mastra_core.transfer.journal import Journal
from mastra_core.transfer.jsonlines import export_lines, import_lines
from mastra_core.transfer.progress import Progress

__all__ = [
    "CopiedTable",
    "Difference",
    "Journal",
    "Progress",
    "TableDifference",
    "Tally",
    "compare",
    "copy",
    "export_lines",
    "import_lines",
]
