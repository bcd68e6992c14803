"""Writes the support matrix between its markers in the README, from reports of the conformance suite.

python .ci/matrix.py reports/*/*.json
"""

from __future__ import annotations

import sys
from pathlib import Path

from mastra_conformance import Report, support_matrix

README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- support matrix -->\n", "<!-- end of support matrix -->"


def main(paths: list[str]) -> None:
    """Replace what stands between the markers."""
    if not paths:
        sys.exit("name the reports: python .ci/matrix.py reports/*/*.json")
    matrix = support_matrix(Report.read(Path(path)) for path in paths)
    before, _, rest = README.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    README.write_text(f"{before}{BEGIN}\n{matrix}\n{END}{after}")


if __name__ == "__main__":
    main(sys.argv[1:])
