"""A double of Pinecone's API, control plane and data plane, over vectors in this process.

Written from what Pinecone publishes: it asks for the key, takes what the service takes (flat metadata
without null of 40 KB, 1,000 vectors and 2 MB in a request, names, ids, no vector of noughts), answers
errors in the service's form, and says how far a write and a read are (LSN). It forgets nothing late:
what was written is read at once, but after ``POST /lag`` with so many seconds.
"""

from __future__ import annotations

import hmac
import json
import math
import re
import sys
import threading
import time
from array import array
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pinecone_front_filter import RefusedError, matches

Body = dict[str, Any]
TURN = threading.Lock()
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,43}[a-z0-9])?")
METADATA_BYTES, REQUEST_BYTES, RESULT_BYTES = 40_960, 2_000_000, 4_000_000
VECTORS, TOP_K, PAGE = 1000, 10_000, 100


class Vectors:
    """One index: how it measures, and the vectors of its namespaces, as they are and as reads see them."""

    def __init__(self, name: str, fields: Body, deployment: Body) -> None:
        self.name, self.fields, self.deployment = name, fields, deployment
        self.field = fields["_values"]
        self.spaces: dict[str, dict[str, Body]] = {}
        self.seen: dict[str, dict[str, Body]] = {}
        self.lsn = self.read = 0
        self.due: list[float] = []

    def settle(self) -> None:
        """Let reads see what is old enough."""
        if not self.due or self.due[-1] <= time.monotonic():
            self.due.clear()
            self.read = self.lsn
            self.seen = {space: dict(found) for space, found in self.spaces.items()}


INDEXES: dict[str, Vectors] = {}
LAG = [0.0]


def flat(metadata: Body) -> Body:
    """Metadata as the service keeps them: numbers are floats."""
    for key, value in metadata.items():
        plain = isinstance(value, (str, int, float)) or (
            isinstance(value, list) and all(isinstance(one, str) for one in value)
        )
        if not plain:
            raise RefusedError(
                400,
                "Metadata value must be a string, number, boolean or list of strings, got "
                f"'{json.dumps(value)}' for field '{key}'",
            )
        if key.startswith("$") or not key:
            raise RefusedError(400, f"Metadata key must not be empty or start with $: '{key}'")
    size = len(json.dumps(metadata, ensure_ascii=False).encode())
    if size > METADATA_BYTES:
        raise RefusedError(
            400, f"metadata size is {size} bytes, which exceeds the limit of 40960 bytes per vector"
        )
    numbers = {key: float(value) for key, value in metadata.items() if type(value) is int}
    return {**metadata, **numbers}


def score(metric: str, one: array[float], two: array[float]) -> float:
    """What the service calls a score."""
    inner = math.fsum(map(float.__mul__, one, two))
    if metric == "dotproduct":
        return inner
    if metric == "euclidean":
        return math.dist(one, two) ** 2
    lengths = math.hypot(*one) * math.hypot(*two)
    return inner / lengths if lengths else 0.0


def numbers_of(index: Vectors, values: Any) -> array[float]:
    """A vector of the index."""
    dimension = index.field["dimension"]
    if len(values) != dimension:
        raise RefusedError(
            400,
            f"Vector dimension {len(values)} does not match the dimension of the index {dimension}",
        )
    made = array("f", values)
    if not any(values):
        raise RefusedError(400, "Dense vectors must contain at least one non-zero value.")
    return made


def checked_ids(ids: Any) -> list[str]:
    """Ids that the service takes."""
    for name in ids:
        if not isinstance(name, str) or not name or not name.isascii() or len(name) > 512:
            raise RefusedError(400, "Vector ID must be ASCII, of 1 to 512 characters")
    if not 1 <= len(ids) <= VECTORS:
        raise RefusedError(400, "there must be 1 to 1000 ids")
    return list(ids)


def upsert(index: Vectors, space: str, body: Body) -> Body:
    """Store vectors over those with their ids."""
    given = body["vectors"]
    names = checked_ids([one["id"] for one in given])
    made = [
        {"values": numbers_of(index, one["values"]), "metadata": flat(one.get("metadata") or {})}
        for one in given
    ]
    index.spaces.setdefault(space, {}).update(zip(names, made, strict=True))
    return {"upsertedCount": len(names)}


def update(index: Vectors, space: str, body: Body) -> Body:
    """Change one vector, if it is there; metadata are merged."""
    (name,) = checked_ids([body["id"]])
    old = index.spaces.get(space, {}).get(name)
    if old is not None:
        values = numbers_of(index, body["values"]) if "values" in body else old["values"]
        metadata = flat({**old["metadata"], **(body.get("setMetadata") or {})})
        index.spaces[space][name] = {"values": values, "metadata": metadata}
    return {}


def delete(index: Vectors, space: str, body: Body) -> Body:
    """Delete vectors by ids or by a filter."""
    stored = index.spaces.get(space, {})
    if body.get("deleteAll"):
        stored.clear()
    elif "filter" in body:
        gone = [name for name, one in stored.items() if matches(one["metadata"], body["filter"])]
        for name in gone:
            del stored[name]
    else:
        for name in checked_ids(body["ids"]):
            stored.pop(name, None)
    return {}


def shown(name: str, one: Body) -> Body:
    """A vector as it is answered."""
    return {"id": name, "values": list(one["values"]), "metadata": one["metadata"]}


def query(index: Vectors, space: str, body: Body) -> Body:
    """The nearest vectors that match."""
    top = body["topK"]
    if not 1 <= top <= TOP_K:
        raise RefusedError(400, "top_k must be between 1 and 10000")
    asked, metric = numbers_of(index, body["vector"]), index.field["metric"]
    found = [
        (score(metric, asked, one["values"]), name, one)
        for name, one in index.seen.get(space, {}).items()
        if matches(one["metadata"], body.get("filter") or {})
    ]
    found.sort(key=lambda one: (one[0] if metric == "euclidean" else -one[0], one[1]))
    made: list[Body] = []
    for number, name, one in found[:top]:
        match: Body = {"id": name, "score": array("f", [number])[0], "values": []}
        if body.get("includeValues"):
            match["values"] = list(one["values"])
        if body.get("includeMetadata"):
            match["metadata"] = one["metadata"]
        made.append(match)
    answer = {"matches": made, "namespace": space, "usage": {"readUnits": 1}}
    if len(json.dumps(answer)) > RESULT_BYTES:
        raise RefusedError(400, "the result is larger than 4MB; choose a lower top_k")
    return answer


def fetch(index: Vectors, space: str, body: Body) -> Body:
    """Vectors by their ids."""
    stored = index.seen.get(space, {})
    names = [name for name in checked_ids(body["ids"]) if name in stored]
    return {"vectors": {name: shown(name, stored[name]) for name in names}, "namespace": space}


def page(names: list[str], body: Body) -> tuple[list[str], Body]:
    """Some of the ids, and where the next of them begin."""
    start, limit = int(body.get("paginationToken") or 0), int(body.get("limit") or PAGE)
    if not 1 <= limit <= PAGE:
        raise RefusedError(400, "limit must be between 1 and 100")
    more = {"pagination": {"next": str(start + limit)}} if start + limit < len(names) else {}
    return names[start : start + limit], more


def fetch_by_metadata(index: Vectors, space: str, body: Body) -> Body:
    """A page of the vectors that match."""
    stored = index.seen.get(space, {})
    found = sorted(name for name, one in stored.items() if matches(one["metadata"], body["filter"]))
    names, more = page(found, body)
    return {"vectors": {name: shown(name, stored[name]) for name in names}, **more}


def listed(index: Vectors, space: str, body: Body) -> Body:
    """A page of the ids."""
    names, more = page(sorted(index.seen.get(space, {})), body)
    return {"vectors": [{"id": name} for name in names], "namespace": space, **more}


def stats(index: Vectors, _: str, body: Body) -> Body:
    """How many vectors each namespace has."""
    counts = {space: {"vectorCount": len(stored)} for space, stored in index.seen.items() if stored}
    total = sum(one["vectorCount"] for one in counts.values())
    return {
        "namespaces": counts,
        "dimension": index.field["dimension"],
        "totalVectorCount": total,
    }


CHANGES: dict[str, Callable[[Vectors, str, Body], Body]] = {
    "vectors/upsert": upsert,
    "vectors/update": update,
    "vectors/delete": delete,
}
READS: dict[str, Callable[[Vectors, str, Body], Body]] = {
    "query": query,
    "vectors/fetch": fetch,
    "vectors/fetch_by_metadata": fetch_by_metadata,
    "vectors/list": listed,
    "describe_index_stats": stats,
}


def described(index: Vectors, address: str) -> Body:
    """An index as the control plane tells of it."""
    return {
        "name": index.name,
        "schema": {"fields": index.fields},
        "deployment": index.deployment,
        "deletion_protection": "disabled",
        "host": f"{address}/data/{index.name}",
        "status": {"ready": True, "state": "Ready"},
        "read_capacity": {"mode": "OnDemand", "status": {"state": "Ready"}},
    }


def control(method: str, name: str, body: Body, address: str) -> tuple[int, Body]:
    """What the control plane answers."""
    if method == "GET" and not name:
        return 200, {"indexes": [described(one, address) for one in INDEXES.values()]}
    if method == "POST" and not name:
        name = body["name"]
        if not NAME.fullmatch(name):
            raise RefusedError(
                400, "Name must consist of lower case alphanumeric characters or '-'"
            )
        if name in INDEXES:
            raise RefusedError(409, "Resource  already exists")
        fields = {
            key: {"description": None, **field} for key, field in body["schema"]["fields"].items()
        }
        deployment = {"deployment_type": "managed", **body["deployment"]}
        INDEXES[name] = Vectors(name, fields, deployment)
        return 201, described(INDEXES[name], address)
    if name not in INDEXES:
        raise RefusedError(404, f"Resource {name} not found")
    if method == "DELETE":
        del INDEXES[name]
        return 202, {}
    return 200, described(INDEXES[name], address)


def data(name: str, operation: str, body: Body) -> tuple[Body, dict[str, str]]:
    """What the data plane answers, and how far it is."""
    index = INDEXES.get(name)
    if index is None:
        raise RefusedError(404, "index not found")
    space = body.get("namespace") or ""
    space = "" if space == "__default__" else space
    if operation in CHANGES:
        answer = CHANGES[operation](index, space, body)
        index.lsn += 1
        index.due.append(time.monotonic() + LAG[0])
        return answer, {"x-pinecone-request-lsn": str(index.lsn)}
    if operation not in READS:
        raise RefusedError(404, f"no such route: {operation}")
    index.settle()
    return READS[operation](index, space, body), {"x-pinecone-max-indexed-lsn": str(index.read)}


class Handler(BaseHTTPRequestHandler):
    """Speaks HTTP."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    key = ""

    def do_GET(self) -> None:
        """Answer a request of any method."""
        address = urlsplit(self.path)
        content = self.rfile.read(int(self.headers.get("content-length") or 0))
        more: dict[str, str] = {}
        try:
            self._check(content)
            body = {**_asked(address.query), **json.loads(content or b"{}")}
            plane, _, rest = address.path.strip("/").partition("/")
            with TURN:
                status, answer, more = self._answer(plane, rest, body)
        except RefusedError as error:
            status, answer = error.status, {"code": 3, "message": str(error), "details": []}
        except (KeyError, TypeError, ValueError) as error:
            status, answer = 400, {"code": 3, "message": f"malformed: {error!r}", "details": []}
        self._send(status, answer, more)

    def _check(self, content: bytes) -> None:
        if not hmac.compare_digest(self.headers.get("api-key") or "", self.key):
            raise RefusedError(401, "Invalid API Key")
        if len(content) > REQUEST_BYTES:
            raise RefusedError(413, "Request size exceeds the maximum supported size of 2 MB")

    def _answer(self, plane: str, rest: str, body: Body) -> tuple[int, Body, dict[str, str]]:
        if plane == "lag":
            LAG[0] = float(body["seconds"])
            return 200, {}, {}
        if plane == "data":
            name, _, operation = rest.partition("/")
            return 200, *data(name, operation, body)
        if plane != "indexes":
            raise RefusedError(404, f"no such route: {plane}")
        return *control(self.command, rest, body, f"http://{self.headers['host']}"), {}

    do_POST = do_DELETE = do_GET  # noqa: N815

    def _send(self, status: int, answer: Body, more: dict[str, str]) -> None:
        made = json.dumps(answer).encode()
        self.send_response(status)
        for name, value in more.items():
            self.send_header(name, value)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(made)))
        self.end_headers()
        self.wfile.write(made)

    def log_message(self, *_: Any) -> None:
        """Say nothing of each request."""


def _asked(text: str) -> Body:
    """The query of an address: ids are many, all else is one."""
    found = parse_qs(text, keep_blank_values=True)
    return {key: values if key == "ids" else values[0] for key, values in found.items()}


if __name__ == "__main__":
    Handler.key = sys.argv[2]
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
