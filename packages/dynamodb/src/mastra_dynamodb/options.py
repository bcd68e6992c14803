"""How a table is opened: options, checked before anything is done with them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, TypedDict, cast
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from mastra_core.errors import ConfigurationError, InvalidArgumentError
from mastra_core.storage.paging import options as as_struct
from mastra_core.storage.settings import only_known
from mastra_core.storage.tables import TABLES
from mastra_dynamodb.entities import RowCodec
from mastra_dynamodb.writes import Lifetime

NAME: Final = re.compile(r"[a-zA-Z0-9_.-]{3,255}")
MOST_SECONDS: Final = 10 * 365 * 86_400
RESERVED: Final = frozenset({"pk", "sk", "p", "s", "entity", "data"})
FLAGS: Final = {"true": True, "1": True, "false": False, "0": False}


class TimeToLive(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """How long the items of an entity live: ``default_ttl_seconds`` from when they were saved.

    ``attribute_name`` is the one for which the table has time to live enabled: ``ttl``,
    ``expiresAt``, or one of your own.
    """

    enabled: bool = True
    attribute_name: str = "ttl"
    default_ttl_seconds: int


class Connection(TypedDict, total=False):
    """How a table is reached; what is not given comes from where boto3 finds it for every program.

    ``client`` is a client of boto3 for DynamoDB, which is used as it is and never closed;
    otherwise one is made of ``region_name``, ``endpoint_url``, ``aws_access_key_id``,
    ``aws_secret_access_key``, ``aws_session_token`` and ``profile_name``. ``timeout`` is how many
    seconds a request may take, and for how long a busy service is asked again (10);
    ``max_workers`` how many requests may be under way (16).

    ``create_table`` allows to create a table that is not there. ``shared`` says that the TypeScript
    framework uses the table too (default: if it has its indexes). ``ttl`` maps ``thread``,
    ``message``, ``resource``, ``workflow_snapshot``, ``score`` … to a ``TimeToLive``.
    """

    client: Any
    region_name: str | None
    endpoint_url: str | None
    aws_access_key_id: str | None
    aws_secret_access_key: str | None
    aws_session_token: str | None
    profile_name: str | None
    timeout: float
    max_workers: int
    create_table: bool
    shared: bool | None
    ttl: Mapping[str, TimeToLive | Mapping[str, Any]] | None


SETTINGS: Final = (
    "region_name",
    "endpoint_url",
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
    "profile_name",
)


class DynamoDBOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options of a store, checked; see ``Connection``."""

    table_name: str
    client: Any = None
    region_name: str | None = None
    endpoint_url: str | None = None
    aws_access_key_id: str | None = None
    aws_secret_access_key: str | None = None
    aws_session_token: str | None = None
    profile_name: str | None = None
    timeout: float = 10.0
    max_workers: int = 16
    create_table: bool = False
    shared: bool | None = None
    ttl: dict[str, TimeToLive] = {}

    def __repr__(self) -> str:
        return f"DynamoDBOptions({self.table_name!r})"

    def settings(self) -> dict[str, Any]:
        """What boto3 makes a client of."""
        return {name: getattr(self, name) for name in SETTINGS}

    def lifetimes(self) -> dict[str, Lifetime]:
        """How long the rows of each entity live, where they do not live for ever."""
        return {
            entity: Lifetime(life.attribute_name, life.default_ttl_seconds)
            for entity, life in self.ttl.items()
            if life.enabled
        }


def checked(given: Mapping[str, Any]) -> DynamoDBOptions:
    """The options as given; what is unknown or makes no sense is a ``ConfigurationError``."""
    only_known("DynamoDB", given, DynamoDBOptions.__struct_fields__)
    client: Any = given.get("client")
    ttl: Any = given.get("ttl") or {}
    if not isinstance(ttl, Mapping):
        raise ConfigurationError("DynamoDB: ttl maps entities to their time to live")
    values = {name: value for name, value in given.items() if name not in {"client", "ttl"}}
    try:
        plain = msgspec.convert(values, DynamoDBOptions)
        lives = {
            entity: as_struct(TimeToLive, life, f"ttl of {entity!r}")
            for entity, life in cast("Mapping[str, Any]", ttl).items()
        }
    except (msgspec.ValidationError, InvalidArgumentError) as error:
        raise ConfigurationError(f"DynamoDB: {error}") from None
    options = msgspec.structs.replace(plain, client=client, ttl=lives)
    _check(options)
    return options


def _check(options: DynamoDBOptions) -> None:
    if NAME.fullmatch(options.table_name) is None:
        raise ConfigurationError(
            f"table_name {options.table_name!r} must have 3 to 255 letters, digits, '_', '.' or '-'"
        )
    if options.client is not None and any(options.settings().values()):
        raise ConfigurationError(
            "a client brings region, endpoint and credentials; give either it or them"
        )
    if bool(options.aws_access_key_id) is not bool(options.aws_secret_access_key):
        raise ConfigurationError("aws_access_key_id and aws_secret_access_key belong together")
    if options.timeout <= 0 or options.max_workers < 1:
        raise ConfigurationError("timeout and max_workers must be positive")
    for entity, life in options.ttl.items():
        _check_lifetime(entity, life)


def _check_lifetime(entity: str, life: TimeToLive) -> None:
    codecs = {codec.entity.name: codec for codec in map(RowCodec, TABLES)}
    if entity not in codecs:
        known = ", ".join(sorted(codecs))
        raise ConfigurationError(f"ttl: there is no entity {entity!r}; known: {known}")
    if not 0 < life.default_ttl_seconds <= MOST_SECONDS:
        raise ConfigurationError(
            f"ttl of {entity!r}: default_ttl_seconds must be from 1 to {MOST_SECONDS:,}"
        )
    name = life.attribute_name
    if (
        not name
        or name in RESERVED
        or name.startswith(("_", "gsi"))
        or name in codecs[entity].names
    ):
        raise ConfigurationError(f"ttl of {entity!r}: attribute_name cannot be {name!r}")


def from_url(url: str) -> dict[str, Any]:
    """The options in ``dynamodb://[KEY:SECRET@]table?region_name=…&endpoint_url=…``."""
    parts = urlsplit(url)
    credentials, _, name = parts.netloc.rpartition("@")
    found: dict[str, Any] = {"table_name": name}
    if credentials:
        key, _, secret = credentials.partition(":")
        found |= {"aws_access_key_id": unquote(key), "aws_secret_access_key": unquote(secret)}
    for option, value in parse_qsl(parts.query, keep_blank_values=True):
        if option in {"create_table", "shared"}:
            if value.lower() not in FLAGS:
                raise ConfigurationError(f"{option} in a dynamodb URL must be true or false")
            found[option] = FLAGS[value.lower()]
        elif option == "timeout":
            found[option] = _number(value)
        elif option in {"region_name", "endpoint_url", "profile_name"}:
            found[option] = value
        else:
            raise ConfigurationError(f"a dynamodb URL has no option {option}")
    return found


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ConfigurationError(
            f"timeout in a dynamodb URL must be a number, not {text!r}"
        ) from None
