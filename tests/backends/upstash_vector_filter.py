"""The filter language of Upstash Vector, by the grammar in its documentation and no more.

No escapes in literals: a quote ends what it began. Comparisons with what has another type, or is
not there, do not match, and neither do their negations.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any, Final, TypeAlias

Test: TypeAlias = "Callable[[Any], bool]"

IDENTIFIER: Final = r"[a-zA-Z_][a-zA-Z_0-9.\[\]#-]*"
TOKEN: Final = re.compile(
    rf"""\s*(?:(?P<text>'[^']*'|"[^"]*")|(?P<number>-?\d+(?:\.\d+)?)|(?P<sign><=|>=|!=|[=<>(),])"""
    rf"|(?P<word>{IDENTIFIER}))"
)
LENGTH: Final = 8192
EXACT: Final = 2**53
ORDER: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "<": lambda a, b: bool(a < b),
    "<=": lambda a, b: bool(a <= b),
    ">": lambda a, b: bool(a > b),
    ">=": lambda a, b: bool(a >= b),
}


class Refused(Exception):  # noqa: N818 (it says what happened)
    """A request that the service answers with an error."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status, self.text = status, text


def as_floats(value: Any) -> Any:
    """The value with integers as 64 bits of a float hold them."""
    if isinstance(value, dict):
        return {key: as_floats(one) for key, one in value.items()}
    if isinstance(value, list):
        return [as_floats(one) for one in value]
    return float(value) if type(value) is int and abs(value) > EXACT else value


@functools.lru_cache(maxsize=256)
def compiled(text: str) -> Test:
    """The filter as a function of metadata; one that is no filter is refused."""
    if len(text) > LENGTH:
        raise Refused(400, f"The filter is longer than {LENGTH} characters")
    parser = _Parser(text)
    found = parser.either()
    if parser.left:
        raise Refused(400, f"Invalid filter near {parser.left[0][1]!r}")
    return found


class _Parser:
    def __init__(self, text: str) -> None:
        self.left: list[tuple[str, str]] = []
        end = 0
        while end < len(text.rstrip()):
            token = TOKEN.match(text, end)
            if token is None:
                raise Refused(400, f"Invalid filter at {end}")
            kind = str(token.lastgroup)
            self.left.append((kind, token[kind]))
            end = token.end()

    def next(self) -> tuple[str, str]:
        if not self.left:
            raise Refused(400, "The filter ends too early")
        return self.left.pop(0)

    def takes(self, *words: str) -> bool:
        if tuple(text.upper() for _, text in self.left[: len(words)]) != words:
            return False
        del self.left[: len(words)]
        return True

    def expect(self, sign: str) -> None:
        if not self.takes(sign):
            raise Refused(400, f"The filter lacks {sign!r}")

    def either(self) -> Test:
        tests = [self.both()]
        while self.takes("OR"):
            tests.append(self.both())
        return lambda metadata: any(test(metadata) for test in tests)

    def both(self) -> Test:
        tests = [self.one()]
        while self.takes("AND"):
            tests.append(self.one())
        return lambda metadata: all(test(metadata) for test in tests)

    def one(self) -> Test:
        if self.takes("("):
            found = self.either()
            self.expect(")")
            return found
        for words, wanted in ((("HAS", "NOT", "FIELD"), False), (("HAS", "FIELD"), True)):
            if self.takes(*words):
                path = self.path()
                return lambda metadata: _at(metadata, path)[0] is wanted
        path = self.path()
        negated = self.takes("NOT")
        kind, operator = self.next()
        test = self.comparison(operator.upper(), negated=negated)
        if kind == "sign" and negated:
            raise Refused(400, f"NOT does not stand before {operator}")
        return lambda metadata: test(_at(metadata, path)[1])

    def path(self) -> list[str]:
        kind, text = self.next()
        if kind != "word":
            raise Refused(400, f"Invalid identifier {text!r}")
        return [part for part in re.split(r"[.\[\]]+", text) if part]

    def comparison(self, operator: str, *, negated: bool) -> Test:
        if operator == "IN":
            self.expect("(")
            wanted = [self.literal()]
            while self.takes(","):
                wanted.append(self.literal())
            self.expect(")")
            return lambda value: (
                _scalar(value) and (any(_same(value, one) for one in wanted) is not negated)
            )
        literal = self.literal()
        if operator == "CONTAINS":
            return lambda value: (
                isinstance(value, list)
                and (any(_same(one, literal) for one in value) is not negated)
            )
        if operator == "GLOB" and isinstance(literal, str):
            pattern = _pattern(literal)
            return lambda value: (
                isinstance(value, str) and ((pattern.fullmatch(value) is not None) is not negated)
            )
        if operator == "=":
            return lambda value: _same(value, literal)
        if operator == "!=":
            return lambda value: _kind(value) is _kind(literal) and value != literal
        if operator in ORDER and type(literal) is float:
            compare = ORDER[operator]
            return lambda value: _kind(value) is float and compare(value, literal)
        raise Refused(400, f"Invalid operator {operator}")

    def literal(self) -> Any:
        kind, text = self.next()
        if kind == "text":
            return text[1:-1]
        if kind == "number":
            return float(text)
        if text.lower() in {"true", "false"}:
            return text.lower() == "true"
        raise Refused(400, f"Invalid literal {text!r}")


def _at(value: Any, path: list[str]) -> tuple[bool, Any]:
    for part in path:
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and re.fullmatch(r"#?-?\d+", part):
            position = int(part.lstrip("#"))
            if not -len(value) <= position < len(value):
                return False, None
            value = value[position]
        else:
            return False, None
    return True, value


def _kind(value: Any) -> type:
    return float if type(value) is int else type(value)


def _scalar(value: Any) -> bool:
    return isinstance(value, (str, bool, int, float))


def _same(value: Any, literal: Any) -> bool:
    return _kind(value) is _kind(literal) and bool(value == literal)


def _pattern(glob: str) -> re.Pattern[str]:
    """A UNIX pattern: ``*``, ``?``, and lists in brackets."""
    found, at = "", 0
    while at < len(glob):
        sign = glob[at]
        end = glob.find("]", at + 2) if sign == "[" else -1
        if end > 0:
            inside = glob[at + 1 : end].replace("\\", "\\\\").replace("[", "\\[")
            found, at = f"{found}[{inside}]", end
        else:
            found += {"*": ".*", "?": "."}.get(sign) or re.escape(sign)
        at += 1
    return re.compile(found, re.DOTALL)
