"""Where the database of a system is, if it is on a server."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def url_in(folder: Path) -> str:
    """Return the URL of the database that the runner made for the system of this folder."""
    return (folder / "url").read_text()


def sqlalchemy_url(folder: Path, driver: str) -> str:
    """Return the same for SQLAlchemy, with its driver."""
    return url_in(folder).replace("postgresql://", f"postgresql+{driver}://", 1)
