"""The schema of structured working memory: what it says, how it is updated, and what fits it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

import msgspec

from mastra_core.errors import ConfigurationError, CorruptDataError, InvalidArgumentError
from mastra_core.records import JsonObject
from mastra_core.storage.codec import from_json, to_json
from mastra_core.storage.json_schemas import field_errors, validator_of

_log = logging.getLogger("mastra_memory")

WHAT: Final = "working memory"
PLACES: Final = ("$defs", "definitions")  # where schemas keep what they refer to
LOOSE: Final = "_update"  # the name of a definition's form in which all may be left out
ALTERNATIVES: Final = ("anyOf", "oneOf", "allOf")

if TYPE_CHECKING:
    from pydantic import BaseModel

    GivenSchema: TypeAlias = type[BaseModel | msgspec.Struct] | Mapping[str, Any]
else:  # What msgspec reads at run time; pydantic is not imported for it.
    GivenSchema = Any


class MemorySchema:
    """A pydantic model, a ``msgspec.Struct`` or a JSON schema that describes an object."""

    def __init__(self, given: GivenSchema) -> None:
        self._given = given
        self.json = _json_schema(given)
        if isinstance(given, Mapping):
            # Now, so that a schema or package that is amiss is found where it is configured.
            validator_of(self.json, "schema of working memory")

    def arguments(self) -> JsonObject:
        """The schema of an update: ``memory`` with some of the fields, ``null`` for those to delete.

        Elements of arrays stay as they are described: an array is replaced as a whole.
        """
        memory = _loose({k: v for k, v in self.json.items() if k not in PLACES and k != "$schema"})
        arguments: JsonObject = {
            "type": "object",
            "properties": {"memory": memory},
            "required": ["memory"],
        }
        for place in PLACES:
            defined = self.json.get(place)
            if isinstance(defined, dict):
                named = cast("dict[str, Any]", defined)
                loose = {f"{name}{LOOSE}": _loose(found) for name, found in named.items()}
                arguments[place] = {**named, **loose}
        return arguments

    def check(self, value: JsonObject) -> None:
        """Raise an ``InvalidArgumentError`` that says what does not fit, and not what it is."""
        given = self._given
        if isinstance(given, Mapping):
            validator = validator_of(self.json, "schema of working memory")
            assert validator is not None
            problems = [f"{e.path or '/'}: {e.message}" for e in field_errors(validator, value)]
        elif issubclass(given, msgspec.Struct):
            problems = _struct_problems(given, value)
        else:
            problems = _model_problems(given, value)
        if problems:
            raise InvalidArgumentError(
                f"{WHAT} would not fit its schema, nothing was stored: {'; '.join(problems)}"
            )


def merged(stored: str | None, update: JsonObject) -> JsonObject:
    """The stored object with the update in it: ``null`` deletes a key, an array is replaced.

    Stored text that is no JSON object (of a time before there was a schema) counts as none.
    """
    before: JsonObject = {}
    if stored:
        try:
            before = parsed(stored)
        except (CorruptDataError, InvalidArgumentError):
            _log.warning("%s that is no JSON object is replaced by one", WHAT)
    try:
        return _merge(before, update)
    except RecursionError as error:
        raise InvalidArgumentError(f"{WHAT} is nested too deeply; keep it flat") from error


def parsed(value: object) -> JsonObject:
    """The JSON object of a mapping or of JSON text, as it is when it has been stored."""
    try:
        found = from_json(value if isinstance(value, str) else to_json(value, WHAT))
    except (CorruptDataError, RecursionError) as error:
        raise InvalidArgumentError(f"{WHAT} is not JSON; give an object of its fields") from error
    if not isinstance(found, dict):
        raise InvalidArgumentError(
            f"{WHAT} must be an object of its fields, not {type(found).__name__}"
        )
    return cast("JsonObject", found)


def _merge(before: JsonObject, update: JsonObject) -> JsonObject:
    after = dict(before)
    for key, value in update.items():
        if value is None:
            after.pop(key, None)
        elif isinstance(value, dict):
            old = after.get(key)
            inner = cast("JsonObject", old) if isinstance(old, dict) else {}
            after[key] = _merge(inner, cast("JsonObject", value))
        else:
            after[key] = value
    return after


def _json_schema(given: GivenSchema) -> JsonObject:
    if isinstance(given, Mapping):
        return parsed(dict(given))
    if isinstance(given, type) and issubclass(given, msgspec.Struct):
        found = msgspec.json.schema(given)
        # The top level is a reference then, which no provider takes for the arguments of a tool.
        name = str(found.get("$ref", "")).rpartition("/")[2]
        return {**found["$defs"][name], "$defs": found["$defs"]} if name else found
    schema = getattr(given, "model_json_schema", None)
    if isinstance(given, type) and schema is not None:
        return cast("JsonObject", schema())
    raise ConfigurationError(
        f"the schema of {WHAT} must be a pydantic model, a msgspec.Struct or a JSON schema, "
        f"not {given!r}"
    )


def _loose(schema: Any) -> Any:
    """The schema with nothing required, and with ``null`` for every field."""
    if not isinstance(schema, dict):
        return schema
    loose = dict(cast("JsonObject", schema))
    loose.pop("required", None)
    for group in ("properties", "patternProperties"):
        members = loose.get(group)
        if isinstance(members, dict):
            fields = cast("JsonObject", members)
            loose[group] = {name: _nullable(field) for name, field in fields.items()}
    if isinstance(loose.get("additionalProperties"), dict):
        loose["additionalProperties"] = _nullable(loose["additionalProperties"])
    for kind in ALTERNATIVES:
        if isinstance(loose.get(kind), list):
            loose[kind] = [_loose(member) for member in loose[kind]]
    target = loose.get("$ref")
    if isinstance(target, str) and target.startswith(tuple(f"#/{place}/" for place in PLACES)):
        loose["$ref"] = f"{target}{LOOSE}"
    return loose


def _nullable(schema: Any) -> Any:
    loose = _loose(schema)
    if not isinstance(loose, dict):
        return loose
    return {"anyOf": [cast("JsonObject", loose), {"type": "null"}]}


def _struct_problems(kind: type[msgspec.Struct], value: JsonObject) -> list[str]:
    try:
        msgspec.json.decode(to_json(value, WHAT), type=kind)
    except msgspec.ValidationError as error:
        return [str(error)]
    return []


def _model_problems(kind: type[BaseModel], value: JsonObject) -> list[str]:
    from pydantic import ValidationError  # noqa: PLC0415 (whoever has a model of it has it)

    try:
        kind.model_validate_json(to_json(value, WHAT))
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)
        return [f"{'.'.join(map(str, e['loc'])) or '/'}: {e['msg']}" for e in found[:5]]
    return []
