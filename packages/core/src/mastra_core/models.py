"""Models by name: ``provider/model``, as the original writes it, found by pydantic-ai."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence

from mastra_core.errors import ConfigurationError

try:
    from pydantic_ai import Embedder
    from pydantic_ai.exceptions import UserError
    from pydantic_ai.models import Model, infer_model
except ModuleNotFoundError as missing:
    raise ConfigurationError(
        "models by name need pydantic-ai: pip install 'mastra-core[agent]'"
    ) from missing


def framework_name(given: str) -> str:
    """The name as pydantic-ai has it: a colon behind the provider, where there is a slash."""
    return given if re.match(r"(gateway/)?[\w.-]+:", given) else given.replace("/", ":", 1)


def missing_package(what: str, error: ImportError) -> ConfigurationError:
    """The error of a model whose provider's package is not installed: it says what to install."""
    command = re.search(r"pip install \S+", str(error))
    hint = command.group().rstrip("`") if command else str(error)
    return ConfigurationError(f"{what} needs a package that is not installed: {hint}")


def find_model(given: str | Model) -> Model:
    """The model of a name ``provider/model``; what is missing for it is said in the error."""
    if not isinstance(given, str):
        return given
    try:
        return infer_model(framework_name(given))
    except ImportError as error:
        raise missing_package(f"model {given!r}", error) from error
    except (UserError, ValueError) as error:
        raise ConfigurationError(f"model {given!r}: {error}") from error


def find_embedder(
    given: str, *, query: bool = False
) -> Callable[[Sequence[str]], Awaitable[Sequence[Sequence[float]]]]:
    """What makes vectors of texts, by a model ``provider/model``.

    With ``query`` of texts that are looked for, else of those that are looked through: some models
    tell the two apart.
    """
    try:
        embedder = Embedder(framework_name(given), defer_model_check=False)
    except ImportError as error:
        raise missing_package(f"embedder {given!r}", error) from error
    except (UserError, ValueError) as error:
        raise ConfigurationError(f"embedder {given!r}: {error}") from error
    call = embedder.embed_query if query else embedder.embed_documents

    async def embed(texts: Sequence[str]) -> Sequence[Sequence[float]]:
        return (await call(texts)).embeddings

    return embed
