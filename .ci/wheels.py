"""Installs each built wheel into an environment of its own and looks whether it stands alone.

python .ci/wheels.py dist
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import venv
import zipfile
from collections.abc import Iterator
from email import message_from_string
from email.message import Message
from pathlib import Path

# On a slow or busy machine the bound is what asyncio, which is part of it, takes there.
IMPORT_MILLISECONDS = 120
IMPORTS_OF_ASYNCIO = 3
RUNS = 15

# What an environment with one wheel is asked; the answers are compared here.
TIME = """
import importlib, sys, time
start = time.perf_counter()
importlib.import_module(sys.argv[1])
print((time.perf_counter() - start) * 1000)
"""
PLUGINS = """
import importlib, json, sys
importlib.import_module(sys.argv[1])
from mastra_core.plugins import installed
found = installed()
every = (*found.adapters.values(), *found.vectors.values())
adapters = {adapter for brought in every for adapter, _ in brought}
drivers = {name for adapter in adapters for name in adapter.drivers}
print(json.dumps({
    "adapters": sorted(adapter.name for adapter in adapters),
    "drivers": sorted(drivers & set(sys.modules)),
    "broken": dict(found.broken),
}))
"""


class Wheel:
    """A wheel of this workspace: its metadata and the packages in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            metadata = next(name for name in names if name.endswith(".dist-info/METADATA"))
            self.metadata: Message = message_from_string(archive.read(metadata).decode())
            points = [name for name in names if name.endswith(".dist-info/entry_points.txt")]
            self.is_adapter = any("[mastra]" in archive.read(name).decode() for name in points)
        self.name: str = self.metadata["Name"]
        self.modules = sorted({name.split("/")[0] for name in names if name.endswith("/py.typed")})
        self.files = names

    def needs(self) -> set[str]:
        """The names of what it always requires."""
        every = self.metadata.get_all("Requires-Dist") or []
        plain = [line for line in every if "extra ==" not in line]
        return {re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0] for line in plain}

    def complaints(self) -> Iterator[str]:
        """What a published wheel must not lack or have."""
        if len(self.metadata.get_payload()) < 200:
            yield "its README says nothing"
        if not any(name.endswith("/licenses/LICENSE") for name in self.files):
            yield "it has no LICENSE"
        if not self.modules:
            yield "no package of it has py.typed"
        for name in self.files:
            if "/tests/" in name or "__pycache__" in name:
                yield f"it has {name}"


def closure(wheel: Wheel, wheels: dict[str, Wheel]) -> list[Path]:
    """The wheels of the workspace that it requires, and itself: never their namesakes elsewhere."""
    found: dict[str, Wheel] = {}
    waiting = [wheel.name]
    while waiting:
        name = waiting.pop()
        if name in wheels and name not in found:
            found[name] = wheels[name]
            waiting += wheels[name].needs()
    return [one.path for one in found.values()]


def install(paths: list[Path], folder: Path) -> Path:
    """The interpreter of a new environment with these wheels and what they require."""
    venv.create(folder, with_pip=False)
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    pip = [sys.executable, "-m", "pip", "--python", str(python)]
    subprocess.run([*pip, "install", "-q", *map(str, paths)], check=True)
    subprocess.run([*pip, "check"], check=True, stdout=subprocess.DEVNULL)
    return python


def ask(python: Path, question: str, module: str) -> str:
    """What a new process of the environment answers."""
    asked = [python, "-I", "-c", question, module]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout


def milliseconds(python: Path, module: str) -> float:
    """The shortest of several imports, each in a process of its own."""
    return min(float(ask(python, TIME, module)) for _ in range(RUNS))


def slowness(python: Path) -> Iterator[str]:
    """Whether the import of the core takes too long."""
    taken, asyncio = milliseconds(python, "mastra_core"), milliseconds(python, "asyncio")
    print(f"  import mastra_core: {taken:.0f} ms, of which asyncio {asyncio:.0f} ms")
    allowed = max(IMPORT_MILLISECONDS, IMPORTS_OF_ASYNCIO * asyncio)
    if taken > allowed:
        yield f"import mastra_core takes {taken:.0f} ms; at most {allowed:.0f} ms is allowed"


def examine(wheel: Wheel, python: Path) -> Iterator[str]:
    """What is wrong with the wheel in its environment."""
    yield from wheel.complaints()
    for module in wheel.modules:
        try:
            answer = json.loads(ask(python, PLUGINS, module))
        except subprocess.CalledProcessError as error:
            yield f"import {module} fails: {error.stderr.strip()[-500:]}"
            continue
        if wheel.is_adapter and not answer["adapters"]:
            yield "its adapter is not found"
        if answer["drivers"]:
            yield f"importing {module} imports {', '.join(answer['drivers'])}"
        if answer["broken"]:
            yield f"a plugin does not load: {answer['broken']}"
    if wheel.name == "mastra-core":
        yield from slowness(python)


def main(folder: str) -> int:
    """Examine every wheel of the folder; the number of complaints."""
    wheels = {wheel.name: wheel for wheel in map(Wheel, sorted(Path(folder).glob("*.whl")))}
    if not wheels:
        sys.exit(f"there is no wheel in {folder}")
    complaints: list[str] = []
    for wheel in wheels.values():
        print(wheel.path.name, flush=True)
        with tempfile.TemporaryDirectory() as scratch:
            python = install(closure(wheel, wheels), Path(scratch))
            complaints += [f"{wheel.name}: {text}" for text in examine(wheel, python)]
    print("\n".join(complaints) or f"{len(wheels)} wheels stand alone")
    return len(complaints)


if __name__ == "__main__":
    sys.exit(min(main(sys.argv[1]), 1))
