"""The list of all tests of the suite, shipped with it: ``python -m mastra_conformance.manifest``.

The plugin compares what was run with this list, and the suite's files with their digest, so that a
test that is deleted, changed, renamed or never imported is noticed.
"""

from __future__ import annotations

import argparse
import hashlib
import inspect
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from mastra_conformance.levels import Tier

HERE: Final = Path(__file__).parent
FILE: Final = Path(__file__).with_name("manifest.json")


class Entry(msgspec.Struct, frozen=True):
    """One test: its area, its tier, and the file of this package that has it."""

    area: str
    tier: Tier
    file: str


class Manifest(msgspec.Struct, frozen=True):
    """All tests by ``Class::test``, and the digest of everything that they are made of."""

    digest: str
    tests: Mapping[str, Entry]


def shipped() -> Manifest:
    """The manifest that this package was released with."""
    return msgspec.json.decode(FILE.read_bytes(), type=Manifest)


def digest() -> str:
    """One number for the suite's files as they are now."""
    found = hashlib.sha256()
    for path in sorted(HERE.rglob("*.py")):
        found.update(path.relative_to(HERE).as_posix().encode() + b"\0")
        found.update(path.read_bytes().replace(b"\r\n", b"\n") + b"\0")
    return found.hexdigest()[:16]


def collected() -> Manifest:
    """The manifest of both suites as they are now."""
    from mastra_conformance import suite, vectors  # The tests are imported when they are needed.

    tests: dict[str, Entry] = {}
    named = [(name, module) for module in (suite, vectors) for name in module.__all__]
    for name, module in named:
        kind: Any = getattr(module, name)
        members: Mapping[str, Any] = kind.__dict__
        for method, function in members.items():
            if method.startswith("test_"):
                tier: Tier = getattr(function, "conformance_tier", "core")
                file = Path(inspect.getfile(kind)).relative_to(HERE).as_posix()
                tests[f"{name}::{method}"] = Entry(kind.conformance_area, tier, file)
    return Manifest(digest(), dict(sorted(tests.items())))


def genuine(key: str, function: Callable[..., Any], manifest: Manifest) -> bool:
    """Whether this function is the suite's own for this test, not somebody's of the same name."""
    entry, code = manifest.tests.get(key), getattr(function, "__code__", None)
    return (
        entry is not None
        and code is not None
        and Path(code.co_filename) == HERE / entry.file
        and code.co_qualname == key.replace("::", ".")
    )


def main() -> int:
    """Write the manifest, or with ``--check`` say whether it is current."""
    parser = argparse.ArgumentParser(
        prog="python -m mastra_conformance.manifest", description=__doc__
    )
    parser.add_argument("--check", action="store_true", help="write nothing; fail if it is stale")
    current = msgspec.json.format(msgspec.json.encode(collected()), indent=1) + b"\n"
    if parser.parse_args().check:
        return 0 if FILE.exists() and FILE.read_bytes() == current else 1
    FILE.write_bytes(current)
    print(f"{len(collected().tests)} tests")
    return 0


if __name__ == "__main__":
    sys.exit(main())
