"""Models by name: ``provider/model`` for what pydantic-ai calls ``provider:model``."""

from __future__ import annotations

import re

from mastra_core.errors import ConfigurationError

try:
    from pydantic_ai.exceptions import UserError
    from pydantic_ai.models import Model, infer_model
except ModuleNotFoundError as missing:
    raise ConfigurationError(
        "models need pydantic-ai: pip install 'mastra-core[agent]'"
    ) from missing


def find_model(given: str | Model) -> Model:
    """The model of a name ``provider/model``; a model is itself.

    A name that cannot be used is a ``ConfigurationError`` that says what is missing for it.
    """
    if not isinstance(given, str):
        return given
    known = given if re.match(r"(gateway/)?[\w.-]+:", given) else given.replace("/", ":", 1)
    try:
        return infer_model(known)
    except ImportError as error:
        command = re.search(r"pip install \S+", str(error))
        hint = command.group().rstrip("`") if command else str(error)
        raise ConfigurationError(
            f"model {given!r} needs a package that is not installed: {hint}"
        ) from error
    except (UserError, ValueError) as error:
        raise ConfigurationError(f"model {given!r}: {error}") from error
