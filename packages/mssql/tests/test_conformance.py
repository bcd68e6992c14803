"""The contract, on SQL Server; and what was sent for it, before Microsoft's parser."""

import re

from mastra_conformance.suite import *  # noqa: F403


def test_every_statement_of_the_suite_is_tsql(sent, tsql_parser):
    # (The last test here: what the others sent is read by the parser that SQL Server has.)
    parameters = {re.sub(r"\?", "@P1", sql) for sql in sent}
    assert parameters
    assert tsql_parser.complaints(sorted(parameters)) == []
