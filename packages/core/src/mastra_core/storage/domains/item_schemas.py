"""Items against the JSON schemas of their dataset, by the optional package ``jsonschema-rs``.

It brings no dependencies, matches patterns in linear time (a schema cannot hang the process), and
is kept from fetching what a schema refers to.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec
from msgspec import UNSET

from mastra_core.errors import ConfigurationError, InvalidArgumentError
from mastra_core.records import JsonObject
from mastra_core.storage.codec import from_json, to_json

if TYPE_CHECKING:
    from jsonschema_rs import Validator

FIELD_ERRORS = 5
FAILING_ITEMS = 10


class FieldError(msgspec.Struct, frozen=True):
    """What is wrong where: ``path`` is a JSON pointer into the value, ``""`` the value itself."""

    path: str
    message: str


class FailingItem(msgspec.Struct, frozen=True):
    """A stored item that new schemas would refuse, and what is wrong with it."""

    item_id: str
    field: str
    errors: tuple[FieldError, ...]


class ItemSchemaError(InvalidArgumentError):
    """A value does not fit its dataset's schema; ``field`` and ``errors`` say which and why."""

    def __init__(self, field: str, errors: tuple[FieldError, ...], *, index: int = 0) -> None:
        found = "; ".join([f"{e.path or '/'}: {e.message}" for e in errors])
        super().__init__(f"Validation failed for {field} of items[{index}]: {found}")
        self.field = field
        self.errors = errors


class SchemaUpdateError(InvalidArgumentError):
    """New schemas would refuse stored items; ``failing_items`` has the first ten of them."""

    def __init__(self, failing_items: tuple[FailingItem, ...]) -> None:
        found = ", ".join([f"{item.item_id} ({item.field})" for item in failing_items])
        super().__init__(
            f"Cannot update schema: {len(failing_items)} existing item(s) would fail validation: "
            f"{found}"
        )
        self.failing_items = failing_items


class ItemSchemas:
    """The two schemas of a dataset, made ready; either may be absent."""

    def __init__(
        self, input_schema: JsonObject | None, ground_truth_schema: JsonObject | None
    ) -> None:
        self._input = _ready(input_schema, "input_schema")
        self._ground_truth = _ready(ground_truth_schema, "ground_truth_schema")

    def problems(self, value: Any, ground_truth: Any) -> tuple[str, tuple[FieldError, ...]] | None:
        """The first of the two values that does not fit, and why; an absent one is not looked at."""
        checks = (("input", self._input, value), ("ground_truth", self._ground_truth, ground_truth))
        for field, validator, given in checks:
            if validator is None or given is UNSET:
                continue
            # What is stored is checked, not what was given: a datetime is stored as text.
            errors = _errors(validator, from_json(to_json(given, field)))
            if errors:
                return field, errors
        return None

    def check(self, value: Any, ground_truth: Any, *, index: int = 0) -> None:
        """Raise an ``ItemSchemaError`` unless both values fit."""
        found = self.problems(value, ground_truth)
        if found is not None:
            raise ItemSchemaError(*found, index=index)


def _errors(validator: Validator, value: Any) -> tuple[FieldError, ...]:
    found: list[FieldError] = []
    for error in validator.iter_errors(value):
        path = "".join([f"/{_escaped(step)}" for step in error.instance_path])
        found.append(FieldError(path, error.message))
        if len(found) == FIELD_ERRORS:
            break
    return tuple(found)


def _escaped(step: str | int) -> str:
    return str(step).replace("~", "~0").replace("/", "~1")


def _ready(schema: JsonObject | None, what: str) -> Validator | None:
    return None if schema is None else _compiled(to_json(schema, what), what)


@lru_cache(maxsize=256)
def _compiled(schema: str, what: str) -> Validator:
    try:
        import jsonschema_rs  # noqa: PLC0415 (only datasets with schemas need it)
    except ImportError as error:
        raise ConfigurationError(
            f"the dataset has an {what}, and checking it needs a package that is not installed: "
            "pip install 'mastra-core[datasets]'"
        ) from error
    try:
        # Values are named, not shown: they may be secret, or large.
        return jsonschema_rs.validator_for(
            from_json(schema),
            mask="the value",
            retriever=_refuse,
            pattern_options=jsonschema_rs.RegexOptions(),
        )
    except (ValueError, jsonschema_rs.ReferencingError) as error:
        message = getattr(error, "message", str(error))
        raise InvalidArgumentError(f"{what} is not a usable JSON schema: {message}") from error


def _refuse(uri: str) -> NoReturn:
    raise ValueError(f"{uri} is outside of the schema, and is not fetched")
