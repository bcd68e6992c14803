"""The functions of mastra-convex under Convex's own test runtime, behind its HTTP API."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backends import npm
from backends.address import Address, UnavailableError
from backends.process import answers, serving

FRONT = Path(__file__).with_name("convex_front.mjs")
# What tests see documents as they are by, and write them as others do.
DOCUMENTS = """
import { internalMutationGeneric, internalQueryGeneric } from "convex/server";

export const insert = internalMutationGeneric(async ({ db }, { table, documents }) => {
  for (const document of documents) await db.insert(table, document);
});

export const list = internalQueryGeneric(({ db }, { table }) => db.query(table).collect());
"""
KEY = "dev:a-deployment-of-the-tests|a-key-of-the-tests"


@contextmanager
def plain(folder: Path) -> Iterator[Address]:
    """Deployments that are empty at first: one for each path that a URL has."""
    try:
        from mastra_convex.command import init
    except ImportError as error:
        raise UnavailableError(
            "mastra-convex, whose functions it runs, is not installed"
        ) from error
    node = shutil.which("node")
    if node is None:
        raise UnavailableError("node is not installed; install Node.js 20 or newer")
    npm.install()
    project = folder / "project"
    project.mkdir(exist_ok=True)
    init(project, dimensions=(3, 24))
    (project / "convex" / "documents.ts").write_text(DOCUMENTS)

    def command(on: int) -> list[str | Path]:
        return [node, FRONT, str(on), KEY, project]

    def health(on: int) -> bool:
        return answers(f"http://127.0.0.1:{on}/instance_name")

    with serving(command, health, folder) as taken:
        yield Address(f"http://127.0.0.1:{taken}", {"admin_auth_token": KEY})
