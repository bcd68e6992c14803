"""Metadata in stores that hold only flat ones: what they can hold, and the rest of it beside.

A store's metadata are keys with texts, numbers and what else it takes. Values that it gives back as
they were are held as they are, where other programs find them. All others are kept together as JSON,
and what filters may ask of them is there once more, under dotted keys: ``{"a": {"b": None, "c": 1}}``
as ``a.c``. Where that is not all that filters may ask, the key is ``loose``: every filter on it has to
find the record.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, cast

import msgspec

from mastra_core.records import JsonObject
from mastra_core.storage.codec import from_json

# Under what keys the rest is stored; what begins so is no metadata of the caller's.
OURS: Final = "_mastra"
JSON: Final = "_mastra.json"
LOOSE: Final = "_mastra.loose"


class Apart(msgspec.Struct, frozen=True):
    """Metadata in parts: what is held, what is kept beside it, and which first keys are loose.

    ``objects`` are the dotted keys at which there is an object, of which the store has no value.
    """

    held: JsonObject
    beside: JsonObject
    loose: frozenset[str]
    objects: frozenset[str]


class Flat(msgspec.Struct, frozen=True, kw_only=True):
    """What a store holds.

    ``takes`` says whether it takes a key, ``holds`` whether it gives a value back as it is, ``near``
    makes of another value one that compares with everything as it does (or ``None``), ``same`` says whether
    what was read is what was stored, and ``most`` is how many keys a record has at most.
    """

    takes: Callable[[str], bool]
    holds: Callable[[Any], bool]
    near: Callable[[Any], Any]
    same: Callable[[Any, Any], bool]
    most: int

    def apart(self, metadata: Mapping[str, Any]) -> Apart:
        """The parts of metadata."""
        held: JsonObject = {}
        beside: JsonObject = {}
        loose: set[str] = set()
        objects: set[str] = set()
        for key, value in metadata.items():
            part = held if self.takes(key) and self.holds(value) else beside
            part[key] = value
            if "." in key:
                # A filter means a nested key by a dot.
                loose.add(key.partition(".")[0])
        for key, value in beside.items():
            dotted = _Dotted(self, key, value)
            many = len(held) + len(dotted.found) > self.most
            if key in loose or dotted.loose or many or dotted.found.keys() & held:
                loose.add(key)
            else:
                held.update(dotted.found)
                objects |= dotted.objects
        return Apart(held, beside, frozenset(filter(None, loose)), frozenset(objects))

    def together(
        self, stored: Mapping[str, Any], beside: Mapping[str, Any], loose: frozenset[str]
    ) -> JsonObject:
        """The metadata of which these are the parts; what others wrote into ``stored`` since then wins."""
        rest, whole = dict(stored), dict[str, Any]()
        for key, value in beside.items():
            dotted: JsonObject = {} if key in loose else _Dotted(self, key, value).found
            if key in rest and key not in dotted:
                continue
            if all(self.same(rest.get(one), held) for one, held in dotted.items()):
                whole[key] = value
                for one in dotted:
                    del rest[one]
        return {**rest, **whole}

    def read(self, stored: Mapping[str, Any]) -> JsonObject:
        """The metadata of a record as they were given, or as others have changed them."""
        text, loose = stored.get(JSON), stored.get(LOOSE)
        beside: JsonObject = from_json(text) if isinstance(text, str) else {}
        names = cast("list[str]", loose) if isinstance(loose, list) else []
        rest = {key: value for key, value in stored.items() if not key.startswith(OURS)}
        return self.together(rest, beside, frozenset(names))


class _Dotted:
    """A value that a store does not hold, as keys and values that it does."""

    def __init__(self, flat: Flat, key: str, value: Any) -> None:
        self.found: JsonObject = {}
        self.objects: set[str] = set()
        self.loose = False
        self._flat = flat
        if key and "." not in key:
            self._add(key, value)

    def _add(self, key: str, value: Any) -> None:
        # (No filter with a key that the store does not take is sent.)
        if value is None or not self._flat.takes(key):
            return
        near = self._flat.near(value)
        if near is not None:
            self.found[key] = near
        elif isinstance(value, dict) and len(self.found) <= self._flat.most:
            self.objects.add(key)
            for name, inner in cast("JsonObject", value).items():
                if name and "." not in name:
                    self._add(f"{key}.{name}", inner)
        else:
            self.loose = True
