"""JSON values against JSON schemas, by the optional package ``jsonschema-rs``.

It brings no dependencies, matches patterns in linear time (a schema cannot hang the process), and
is kept from fetching what a schema refers to.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec

from mastra_core.errors import ConfigurationError, InvalidArgumentError
from mastra_core.storage.codec import from_json, to_json

if TYPE_CHECKING:
    from jsonschema_rs import Validator

FIELD_ERRORS = 5


class FieldError(msgspec.Struct, frozen=True):
    """What is wrong where: ``path`` is a JSON pointer into the value, ``""`` the value itself."""

    path: str
    message: str


def field_errors(validator: Validator, value: Any) -> tuple[FieldError, ...]:
    """What is wrong with a JSON value, the first few things; nothing where it fits."""
    found: list[FieldError] = []
    for error in validator.iter_errors(value):
        path = "".join([f"/{_escaped(step)}" for step in error.instance_path])
        found.append(FieldError(path, error.message))
        if len(found) == FIELD_ERRORS:
            break
    return tuple(found)


def _escaped(step: str | int) -> str:
    return str(step).replace("~", "~0").replace("/", "~1")


def validator_of(schema: Mapping[str, Any] | None, what: str) -> Validator | None:
    """What checks values by the schema; ``None`` for no schema.

    ``what`` names the schema in errors: a missing package is a ``ConfigurationError``, a schema that
    cannot be used an ``InvalidArgumentError``.
    """
    return None if schema is None else _compiled(to_json(schema, what), what)


@lru_cache(maxsize=256)
def _compiled(schema: str, what: str) -> Validator:
    try:
        import jsonschema_rs  # noqa: PLC0415 (only where there are schemas)
    except ImportError as error:
        raise ConfigurationError(
            f"there is a schema, {what}, and checking by it needs a package that is not installed: "
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
