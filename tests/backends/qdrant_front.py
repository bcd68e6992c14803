"""Qdrant's REST API over the local mode of its client: there is no server of it that could be run here.

It asks for the key, answers unknown collections and bad bodies with the server's status codes, and
gives each request to the one client of this process.
"""

from __future__ import annotations

import hmac
import json
import re
import sys
import threading
import warnings
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pydantic import TypeAdapter, ValidationError
from qdrant_client import QdrantClient, models

CLIENT = QdrantClient(location=":memory:")
# The local mode is not made for threads.
TURN = threading.Lock()
Body = dict[str, Any]


class RefusedError(Exception):
    """What a server answers that cannot do what it is asked for."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def create(name: str, body: Body) -> bool:
    """Make a collection."""
    if CLIENT.collection_exists(name):
        raise RefusedError(409, f"Wrong input: Collection `{name}` already exists!")
    vectors = TypeAdapter(models.VectorsConfig).validate_python(body["vectors"])
    return CLIENT.create_collection(name, vectors_config=vectors)


def indexed(name: str, body: Body) -> Any:
    """Take an index of a payload's field, which the local mode does without."""
    wanted = models.CreateFieldIndex.model_validate(body)
    CLIENT.get_collection(name)
    assert wanted.field_schema == "keyword"
    return {"operation_id": 0, "status": "completed"}


def search(name: str, body: Body) -> Any:
    """Answer several searches."""
    asked = models.QueryRequestBatch.model_validate(body).searches
    plain = [one.model_copy(update={"params": None}) for one in asked]
    return CLIENT.query_batch_points(name, requests=plain)


def change(name: str, body: Body) -> Any:
    """Do several operations one after the other."""
    operations = models.UpdateOperations.model_validate(body).operations
    return CLIENT.batch_update_points(name, update_operations=operations)


def scroll(name: str, body: Body) -> Any:
    """Answer a page of points."""
    asked = models.ScrollRequest.model_validate(body)
    points, offset = CLIENT.scroll(
        name,
        scroll_filter=asked.filter,
        limit=asked.limit or 10,
        offset=asked.offset,
        with_payload=asked.with_payload or False,
        with_vectors=asked.with_vector or False,
    )
    return {"points": points, "next_page_offset": offset}


def retrieve(name: str, body: Body) -> Any:
    """Answer points by their ids."""
    asked = models.PointRequest.model_validate(body)
    return CLIENT.retrieve(
        name,
        asked.ids,
        with_payload=asked.with_payload or False,
        with_vectors=asked.with_vector or False,
    )


def count(name: str, body: Body) -> Any:
    """Answer how many points there are."""
    asked = models.CountRequest.model_validate(body)
    return CLIENT.count(name, count_filter=asked.filter, exact=True)


ROUTES: dict[tuple[str, str], Callable[[str, Body], Any]] = {
    ("GET", ""): lambda name, _: CLIENT.get_collection(name),
    ("PUT", ""): create,
    ("DELETE", ""): lambda name, _: CLIENT.delete_collection(name),
    ("GET", "/exists"): lambda name, _: {"exists": CLIENT.collection_exists(name)},
    ("PUT", "/index"): indexed,
    ("POST", "/points"): retrieve,
    ("POST", "/points/batch"): change,
    ("POST", "/points/count"): count,
    ("POST", "/points/query/batch"): search,
    ("POST", "/points/scroll"): scroll,
}


def answer(method: str, path: str, body: Body) -> Any:
    """Do what a request asks for."""
    if (method, path) == ("GET", "/collections"):
        return CLIENT.get_collections()
    found = re.fullmatch(r"/collections/([^/]+)(/.*)?", path)
    route = ROUTES.get((method, found[2] or "")) if found else None
    if found is None or route is None:
        raise RefusedError(404, f"no such route: {method} {path}")
    try:
        return route(found[1], body)
    except (ValidationError, KeyError) as error:
        raise RefusedError(400, f"Format error in JSON body: {error}") from error
    except ValueError as error:
        if "not found" in str(error):
            known = f"Not found: Collection `{found[1]}` doesn't exist!"
            raise RefusedError(404, known) from error
        raise RefusedError(400, f"Wrong input: {error}") from error


class Handler(BaseHTTPRequestHandler):
    """Speaks HTTP."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    key = ""

    def do_GET(self) -> None:
        """Answer a request of any method."""
        length = int(self.headers.get("content-length") or 0)
        body = json.loads(self.rfile.read(length) or b"{}")
        given = self.headers.get("api-key") or ""
        if not hmac.compare_digest(given, self.key):
            self._send(401, {"status": {"error": "Must provide an API key"}, "time": 0.0})
            return
        try:
            with TURN:
                result = answer(self.command, self.path.partition("?")[0], body)
                made = TypeAdapter(Any).dump_python(result, mode="json")
        except RefusedError as error:
            self._send(error.status, {"status": {"error": str(error)}, "time": 0.0})
        else:
            self._send(200, {"result": made, "status": "ok", "time": 0.0})

    do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815

    def _send(self, status: int, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Say nothing of each request."""


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    Handler.key = sys.argv[2]
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
