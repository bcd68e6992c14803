"""Keeps what is stored out of the driver's log: at DEBUG it has the commands, and so the messages of users."""

from __future__ import annotations

import json
import logging
from typing import Any, Final

CONTENTS: Final = ("command", "reply", "failure")


class Discretion(logging.Filter):
    """Takes the contents out of records of commands on databases that a store uses; the rest stays."""

    def __init__(self) -> None:
        super().__init__()
        self.databases: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record; none is dropped."""
        try:
            fields: dict[str, Any] = json.loads(str(record.msg))
        except ValueError:
            return True
        if fields.get("databaseName") in self.databases:
            record.msg = json.dumps({k: v for k, v in fields.items() if k not in CONTENTS})
        return True


_DISCRETION: Final = Discretion()


def keep_secret(db_name: str) -> None:
    """Have the contents of this database left out of the driver's log from now on."""
    _DISCRETION.databases.add(db_name)
    logging.getLogger("pymongo.command").addFilter(_DISCRETION)
