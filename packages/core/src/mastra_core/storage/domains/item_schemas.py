"""Items against the JSON schemas of their dataset."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET

from mastra_core.errors import InvalidArgumentError
from mastra_core.records import JsonObject
from mastra_core.storage.codec import from_json, to_json
from mastra_core.storage.json_schemas import FieldError, field_errors, validator_of

FAILING_ITEMS = 10


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
        self._input = validator_of(input_schema, "input_schema")
        self._ground_truth = validator_of(ground_truth_schema, "ground_truth_schema")

    def problems(self, value: Any, ground_truth: Any) -> tuple[str, tuple[FieldError, ...]] | None:
        """The first of the two values that does not fit, and why; an absent one is not looked at."""
        checks = (("input", self._input, value), ("ground_truth", self._ground_truth, ground_truth))
        for field, validator, given in checks:
            if validator is None or given is UNSET:
                continue
            # What is stored is checked, not what was given: a datetime is stored as text.
            errors = field_errors(validator, from_json(to_json(given, field)))
            if errors:
                return field, errors
        return None

    def check(self, value: Any, ground_truth: Any, *, index: int = 0) -> None:
        """Raise an ``ItemSchemaError`` unless both values fit."""
        found = self.problems(value, ground_truth)
        if found is not None:
            raise ItemSchemaError(*found, index=index)
