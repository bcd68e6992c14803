"""What callers give vector stores, checked and put into the words of ``schema``."""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Any, Final, cast

from mastra_core.clock import iso, milliseconds, uuid7
from mastra_core.errors import InvalidArgumentError, NotFoundError
from mastra_core.storage.codec import check_id, clean_text, to_json
from mastra_core.vector.schema import METRICS, Index, Item, Metric

TOP_K: Final = 10_000
DIMENSIONS: Final = 65_536
LARGEST: Final = sys.float_info.max
# Things that can be gone through, but have no order, other contents than they seem to, or no end.
_NO_LISTS: Final = (str, bytes, bytearray, AbstractSet, Mapping)


def unknown(name: str) -> NotFoundError:
    """The error of an index that is not there."""
    return NotFoundError(f"index {name!r} does not exist; create it with create_index")


def described(name: str, dimension: int, metric: Metric) -> Index:
    """The index that is to be created."""
    if type(dimension) is not int or not 1 <= dimension <= DIMENSIONS:
        raise InvalidArgumentError(
            f"dimension must be a whole number from 1 to {DIMENSIONS}, not {dimension!r}"
        )
    if metric not in METRICS:
        raise InvalidArgumentError(f"metric must be one of {', '.join(METRICS)}, not {metric!r}")
    return Index(name=name, dimension=dimension, metric=metric)


def listed(given: Any, what: str, of: str) -> Sequence[Any]:
    """The value if it is a list, a tuple or an array of some library, else an error."""
    ordered = hasattr(given, "__len__") and hasattr(given, "__getitem__")
    kind = cast("type[object]", type(given))
    if not ordered or issubclass(kind, _NO_LISTS):
        raise InvalidArgumentError(
            f"{what} must be a list (or tuple, or array) of {of}, not {kind.__name__}"
        )
    return cast("Sequence[Any]", given)


def floats(vector: object) -> array[float]:
    """The vector as 32-bit floats; what is none is an error."""
    numbers: Any = listed(vector, "a vector", "numbers")
    if getattr(numbers, "ndim", 1) != 1:
        raise InvalidArgumentError("a vector is one row of numbers, not an array of rows")
    try:
        # Going through an array of another library number by number takes ten times as long.
        found = array("f", numbers.tolist() if hasattr(numbers, "tolist") else numbers)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidArgumentError(f"a vector is a list of numbers: {error}") from error
    if not math.isfinite(sum(found)):
        raise InvalidArgumentError(
            "a vector must not have NaN, infinity, or numbers beyond 32 bits"
        )
    return found


def fit(vectors: Sequence[array[float]], index: Index) -> None:
    """Refuse vectors that are longer or shorter than those of the index."""
    for vector in vectors:
        if len(vector) != index.dimension:
            raise InvalidArgumentError(
                f"index {index.name!r} takes vectors of {index.dimension} numbers, not {len(vector)}"
            )


def items(
    vectors: Sequence[array[float]], *, ids: object, metadata: object, documents: object
) -> tuple[list[str], list[Item]]:
    """The ids of what is to be stored, made where none are given, and the last item of each id."""
    count = len(vectors)
    given = None if ids is None else _same_length(ids, "ids", "strings", count)
    names = [uuid7() for _ in vectors] if given is None else [check_id(i, "id") for i in given]
    objects = _same_length(metadata, "metadata", "mappings", count)
    texts = _same_length(documents, "documents", "texts", count)
    found = {
        names[i]: Item(
            id=names[i],
            vector=vectors[i],
            metadata_json=metadata_json(objects[i] if objects else None),
            document=_document(texts[i] if texts else None),
        )
        for i in range(count)
    }
    return names, list(found.values())


def metadata_json(given: object) -> str:
    """Metadata as JSON text: an object, in which datetimes are what filters compare them with."""
    if given is None:
        return "{}"
    if not isinstance(given, Mapping):
        raise InvalidArgumentError(f"metadata of a vector is a mapping, not {type(given).__name__}")
    try:
        plain = _timed(cast("Mapping[str, Any]", given))
    except RecursionError as error:
        raise InvalidArgumentError("metadata of a vector is nested too deep") from error
    return to_json(plain, "metadata of a vector")


def top(top_k: object) -> int:
    """The number of results to look for."""
    if type(top_k) is not int or not 1 <= top_k <= TOP_K:
        raise InvalidArgumentError(
            f"topK must be a positive integer, at most {TOP_K}, not {top_k!r}"
        )
    return top_k


def least(min_score: float | None) -> float | None:
    """The lowest score of what is found, if there is one."""
    if min_score is None:
        return None
    number = isinstance(min_score, (int, float)) and not isinstance(min_score, bool)
    if not number or not abs(min_score) <= LARGEST:
        raise InvalidArgumentError(f"min_score must be a finite number, not {min_score!r}")
    return float(min_score)


def _timed(value: Any) -> Any:
    """The value with its datetimes as text of milliseconds, as the original writes them."""
    if isinstance(value, datetime):
        return iso(milliseconds(value))
    if isinstance(value, Mapping):
        return {key: _timed(one) for key, one in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, (list, tuple)):
        return [_timed(one) for one in cast("Sequence[Any]", value)]
    return value


def _same_length(given: object, what: str, of: str, count: int) -> Sequence[Any] | None:
    if given is None:
        return None
    found = listed(given, what, of)
    if len(found) != count:
        raise InvalidArgumentError(f"there are {count} vectors, but {len(found)} {what}")
    return found


def _document(given: object) -> str | None:
    if given is not None and not isinstance(given, str):
        raise InvalidArgumentError(f"a document is a text, not {type(given).__name__}")
    return None if given is None else clean_text(given)
