"""A double of Upstash Vector's REST API, written from its documentation: dense indexes only.

Where the documentation leaves something open it does what is worse for a client: numbers are kept
in 64 bits of a float, scores in 32; a stored null counts as a field that is there; a filter is
compared with the nearest ``BUDGET`` vectors only; what was stored is searched after a while.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
import struct
import sys
import time
from array import array
from collections.abc import Callable, Mapping, Sequence
from operator import mul
from typing import Any, Final, NamedTuple
from urllib.parse import unquote, urlsplit

import msgspec
from upstash_vector_filter import Refused, as_floats, compiled

BUDGET: Final = 500
BATCH: Final = 1000
TOP_K: Final = 1000
METADATA_BYTES: Final = 48 * 1024
DATA_BYTES: Final = 1024 * 1024
REQUEST_BYTES: Final = 32 * 1024 * 1024
STATUS: Final = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    413: "Too Large",
}


class Stored(NamedTuple):
    """A vector without the noughts at its end, what stands beside it, and when searches see it."""

    vector: array[float]
    metadata: Any
    data: str | None
    visible: float


def _dot(a: Sequence[float], b: Sequence[float]) -> float:
    return math.fsum(map(mul, a, b))


def _cosine(a: array[float], b: array[float]) -> float:
    lengths = math.sqrt(_dot(a, a)) * math.sqrt(_dot(b, b))
    return (1 + max(-1.0, min(1.0, _dot(a, b) / lengths if lengths else 0.0))) / 2


def _euclidean(a: array[float], b: array[float]) -> float:
    longer, shorter = (a, b) if len(a) > len(b) else (b, a)
    beyond = longer[len(shorter) :]
    distance = math.dist(longer[: len(shorter)], shorter)
    return 1 / (1 + distance * distance + _dot(beyond, beyond))


SCORES: Final[Mapping[str, Callable[[array[float], array[float]], float]]] = {
    "COSINE": _cosine,
    "EUCLIDEAN": _euclidean,
}


class Service:
    """The index, and what its endpoints do; ``lag`` is how long what is stored is pending."""

    def __init__(self, dimension: int, metric: str, lag: float) -> None:
        self.dimension, self.metric, self.lag = dimension, metric, lag
        self.namespaces: dict[str, dict[str, Stored]] = {"": {}}
        # What searches see of vectors whose last change is pending.
        self.before: dict[tuple[str, str], Stored] = {}

    def answer(self, path: str, body: Any) -> Any:
        operation, _, namespace = path.strip("/").partition("/")
        does = getattr(self, f"do_{operation.replace('-', '_')}", None)
        if does is None:
            raise Refused(404, f"Not found: {operation}")
        return does(unquote(namespace), body)

    def space(self, name: str) -> dict[str, Stored]:
        """A namespace: it comes into being when it is read or written."""
        return self.namespaces.setdefault(name, {})

    def vector(self, given: Any) -> array[float]:
        numbers = given if isinstance(given, list) else []
        if len(numbers) != self.dimension:
            raise Refused(
                422, f"Invalid vector dimension: {len(numbers)}, expected: {self.dimension}"
            )
        end = len(numbers)
        while end and not numbers[end - 1]:
            end -= 1
        return array("f", numbers[:end])

    def do_upsert(self, namespace: str, body: Any) -> str:
        items = body if isinstance(body, list) else [body]
        if len(items) > BATCH:
            raise Refused(422, f"Exceeded the limit of {BATCH} vectors in one upsert")
        found = {_id(item.get("id")): self.stored(item) for item in items}
        for name, item in found.items():
            self.put(namespace, name, item)
        return "Success"

    def stored(self, item: Mapping[str, Any]) -> Stored:
        return Stored(
            self.vector(item.get("vector")),
            _metadata(item.get("metadata")),
            _data(item.get("data")),
            time.monotonic() + self.lag,
        )

    def put(self, namespace: str, name: str, item: Stored) -> None:
        space = self.space(namespace)
        old = space.get(name)
        if old is not None and old.visible <= time.monotonic():
            self.before[namespace, name] = old
        space[name] = item

    def seen(self, namespace: str) -> dict[str, Stored]:
        """What searches see of a namespace."""
        now, found = time.monotonic(), {}
        for name, item in self.space(namespace).items():
            if item.visible <= now:
                self.before.pop((namespace, name), None)
                found[name] = item
            elif (namespace, name) in self.before:
                found[name] = self.before[namespace, name]
        return found

    def do_update(self, namespace: str, body: Any) -> Any:
        name = _id(body.get("id"))
        old = self.space(namespace).get(name)
        if old is None:
            return {"updated": 0}
        if body.get("metadataUpdateMode", "OVERWRITE") != "OVERWRITE":
            raise Refused(400, "the double only overwrites")
        vector = self.vector(body["vector"]) if body.get("vector") is not None else old.vector
        metadata = _metadata(body["metadata"]) if "metadata" in body else old.metadata
        data = _data(body["data"]) if "data" in body else old.data
        self.put(namespace, name, Stored(vector, metadata, data, time.monotonic() + self.lag))
        return {"updated": 1}

    def do_query(self, namespace: str, body: Any) -> Any:
        seen = self.seen(namespace)
        several = body if isinstance(body, list) else [body]
        found = [self.nearest(seen, asked) for asked in several]
        return found if isinstance(body, list) else found[0]

    def nearest(self, seen: Mapping[str, Stored], asked: Mapping[str, Any]) -> list[Any]:
        top_k = asked.get("topK", 10)
        if type(top_k) is not int or not 1 <= top_k <= TOP_K:
            raise Refused(422, f"topK must be from 1 to {TOP_K}, not {top_k}")
        vector, score = self.vector(asked.get("vector")), SCORES[self.metric]
        ranked = sorted(
            ((_single(score(vector, item.vector)), name) for name, item in seen.items())
        )
        ranked.reverse()
        if asked.get("filter"):
            matches = compiled(asked["filter"])
            ranked = [(s, name) for s, name in ranked[:BUDGET] if matches(seen[name].metadata)]
        return [
            {"id": name, "score": s, **self.shown(seen[name], asked)} for s, name in ranked[:top_k]
        ]

    def shown(self, item: Stored, asked: Mapping[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if asked.get("includeVectors"):
            found["vector"] = item.vector.tolist() + [0.0] * (self.dimension - len(item.vector))
        if asked.get("includeMetadata") and item.metadata is not None:
            found["metadata"] = item.metadata
        if asked.get("includeData") and item.data is not None:
            found["data"] = item.data
        return found

    def do_fetch(self, namespace: str, body: Any) -> Any:
        space = self.space(namespace)
        return [
            {"id": name, **self.shown(space[name], body)} if name in space else None
            for name in body["ids"]
        ]

    def do_range(self, namespace: str, body: Any) -> Any:
        limit, prefix = body["limit"], body.get("prefix") or ""
        if type(limit) is not int or not 1 <= limit <= BATCH:
            raise Refused(422, f"limit must be from 1 to {BATCH}, not {limit}")
        names = [name for name in self.space(namespace) if name.startswith(prefix)]
        start = int(body["cursor"] or 0)
        page = names[start : start + limit]
        end = start + limit
        space = self.space(namespace)
        return {
            "nextCursor": str(end) if end < len(names) else "",
            "vectors": [{"id": name, **self.shown(space[name], body)} for name in page],
        }

    def do_delete(self, namespace: str, body: Any) -> Any:
        space = self.space(namespace)
        if isinstance(body, dict) and body.get("filter"):
            matches = compiled(body["filter"])
            names = [name for name, item in space.items() if matches(item.metadata)]
        else:
            names = body["ids"] if isinstance(body, dict) else body
        gone = [name for name in dict.fromkeys(names) if space.pop(name, None) is not None]
        for name in gone:
            self.before.pop((namespace, name), None)
        return {"deleted": len(gone)}

    def do_info(self, _: str, __: Any) -> Any:
        counts = {name: self.counts(name) for name in self.namespaces}
        return {
            "vectorCount": sum(one["vectorCount"] for one in counts.values()),
            "pendingVectorCount": sum(one["pendingVectorCount"] for one in counts.values()),
            "indexSize": 0,
            "dimension": self.dimension,
            "similarityFunction": self.metric,
            "indexType": "DENSE",
            "namespaces": counts,
        }

    def counts(self, namespace: str) -> dict[str, int]:
        now, space = time.monotonic(), self.namespaces[namespace]
        pending = sum(item.visible > now for item in space.values())
        return {"vectorCount": len(space) - pending, "pendingVectorCount": pending}

    def do_list_namespaces(self, _: str, __: Any) -> Any:
        return list(self.namespaces)

    def do_delete_namespace(self, namespace: str, _: Any) -> str:
        if namespace not in self.namespaces:
            raise Refused(404, f"Namespace {namespace} does not exist")
        del self.namespaces[namespace]
        self.before = {key: item for key, item in self.before.items() if key[0] != namespace}
        return "Success"


def _single(value: float) -> float:
    return float(struct.unpack("f", struct.pack("f", value))[0])


def _id(given: Any) -> str:
    if given is None or given == "":
        raise Refused(422, "Vector ID must be a non-empty string")
    return str(given)


def _metadata(given: Any) -> Any:
    if given is not None and not isinstance(given, dict):
        raise Refused(400, "metadata must be an object")
    if given is not None and len(msgspec.json.encode(given)) > METADATA_BYTES:
        raise Refused(422, f"Exceeded max metadata size: {METADATA_BYTES} bytes")
    return as_floats(given)


def _data(given: Any) -> str | None:
    if given is not None and len(given.encode()) > DATA_BYTES:
        raise Refused(422, f"Exceeded max data size: {DATA_BYTES} bytes")
    return given


class Front:
    """HTTP/1.1 with a bearer token, each request answered at once."""

    def __init__(self, service: Service, token: str) -> None:
        self.service, self.token = service, token

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                headers = {
                    name.lower(): value
                    for name, _, value in (line.partition(": ") for line in head[1:])
                }
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                status, answer = self.respond(head[0].split(" ")[1], headers, body)
                text = msgspec.json.encode(answer)
                writer.write(
                    f"HTTP/1.1 {status} {STATUS.get(status, 'Error')}\r\n"
                    f"Content-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n".encode()
                    + text
                )
                await writer.drain()
        writer.close()

    def respond(self, target: str, headers: Mapping[str, str], body: bytes) -> tuple[int, Any]:
        if headers.get("authorization") != f"Bearer {self.token}":
            return 401, {"error": "Unauthorized: Invalid auth token", "status": 401}
        if len(body) > REQUEST_BYTES:
            return 413, {"error": "Request body is too large", "status": 413}
        try:
            given = msgspec.json.decode(body) if body else None
            return 200, {"result": self.service.answer(urlsplit(target).path, given)}
        except Refused as error:
            return error.status, {"error": error.text, "status": error.status}
        except (msgspec.DecodeError, KeyError, TypeError, AttributeError, ValueError) as error:
            return 400, {"error": f"Bad request: {error!r}", "status": 400}


async def main(port: int, token: str, dimension: int, metric: str, lag: float) -> None:
    front = Front(Service(dimension, metric, lag), token)
    server = await asyncio.start_server(front.serve, "127.0.0.1", port, limit=2**26)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    if not re.fullmatch(r"\d+", sys.argv[1]):
        raise SystemExit("usage: PORT TOKEN DIMENSION METRIC LAG")
    asyncio.run(
        main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4], float(sys.argv[5]))
    )
