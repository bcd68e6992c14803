"""T-SQL batches in parts: statements, conditions and what is tried, for the front to run one by one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

TOKEN = re.compile(
    r"N?'(?:[^']|'')*'|\[[^\]]*\]|\"[^\"]*\"|--[^\n]*|/\*.*?\*/|@@?\w+|\w+|\s+|<>|<=|>=|.",
    re.DOTALL,
)
STARTS = {"THROW", "ROLLBACK", "COMMIT", "EXEC", "SELECT", "CREATE", "INSERT", "UPDATE", "DELETE"}


@dataclass(frozen=True)
class Plain:
    """One statement."""

    text: str


@dataclass(frozen=True)
class If:
    """A statement that is run where a condition holds."""

    condition: str
    then: Plain


@dataclass(frozen=True)
class Try:
    """Statements, and what is run when one of them fails."""

    body: tuple[object, ...]
    caught: tuple[object, ...]


@lru_cache(4096)
def script(text: str) -> tuple[object, ...]:
    """The parts of a batch."""
    return tuple(_Parser(text).block(()))


class _Parser:
    def __init__(self, text: str) -> None:
        self.tokens = [t for t in TOKEN.findall(text) if not t.startswith(("--", "/*"))]
        self.at = 0

    def words(self, count: int) -> list[str]:
        """The next words, without what is between them."""
        rest = (t.upper() for t in self.tokens[self.at :] if not t.isspace())
        return [word for word, _ in zip(rest, range(count), strict=False)]

    def skip(self, count: int) -> None:
        while count:
            count -= not self.tokens[self.at].isspace()
            self.at += 1

    def block(self, end: tuple[str, ...]) -> Iterator[object]:
        while self.at < len(self.tokens):
            words = self.words(2)
            if not words:
                return
            if words[0] == ";":
                self.skip(1)
            elif end and tuple(words) == end:
                self.skip(2)
                return
            elif words == ["BEGIN", "TRY"]:
                self.skip(2)
                body = tuple(self.block(("END", "TRY")))
                assert self.words(2) == ["BEGIN", "CATCH"]
                self.skip(2)
                yield Try(body, tuple(self.block(("END", "CATCH"))))
            elif words[0] == "IF":
                self.skip(1)
                condition = self.collect(STARTS)
                yield If(condition, Plain(self.collect(set())))
            else:
                yield Plain(self.collect(set()))

    def collect(self, stops: set[str]) -> str:
        """The text up to the end of the statement, or to a word that begins one."""
        found: list[str] = []
        depth = cases = 0
        while self.at < len(self.tokens):
            token = self.tokens[self.at]
            word = token.upper()
            if depth == 0 and cases == 0 and (word in stops or word == ";"):
                break
            depth += (word == "(") - (word == ")")
            cases += (word == "CASE") - (word == "END" and cases > 0)
            found.append(token)
            self.at += 1
        return "".join(found).strip()
