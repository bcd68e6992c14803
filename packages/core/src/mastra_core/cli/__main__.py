"""``python -m mastra_core.cli``: the same as ``mastra``."""

import sys

from mastra_core.cli import main

sys.exit(main())
