"""ClickHouse's HTTP interface on chDB, the engine in a process: PORT FOLDER USER PASSWORD.

It takes what ``clickhouse-connect`` sends: statements with parameters and settings, inserts in the
Native format, compressed bodies. Errors have the engine's texts and the server's statuses.
"""

from __future__ import annotations

import base64
import email
import gzip
import http.server
import queue
import re
import sys
import tempfile
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import chdb
import lz4.frame

INSERT = re.compile(
    rb"^\s*INSERT\s+INTO\b.*?\bFORMAT\s+(\w+)\s*?(?:\n|$)", re.IGNORECASE | re.DOTALL
)
FORMAT = re.compile(r"\bFORMAT\s+(\w+)\s*;?\s*$", re.IGNORECASE)
# What the interface takes beside settings of the engine.
NOT_SETTINGS = frozenset(
    {
        "buffer_size",
        "cancel_http_readonly_queries_on_client_close",
        "client_protocol_version",
        "compress",
        "database",
        "decompress",
        "default_format",
        "enable_http_compression",
        "http_headers_progress_interval_ms",
        "password",
        "query",
        "query_id",
        "role",
        "send_progress_in_http_headers",
        "session_id",
        "session_timeout",
        "user",
        "wait_end_of_query",
    }
)
STATUSES = {"60": 404, "81": 404, "516": 403, "497": 403}
DENIED = "Code: 516. DB::Exception: {}: Authentication failed: password is incorrect. (AUTHENTICATION_FAILED)"


class Session:
    """A connection to the engine, with the settings that it has been given."""

    def __init__(self, folder: str) -> None:
        self.connection = chdb.connect(folder)
        # Statements of tests are small, and threads of the engine wait for each other.
        self.connection.query("SET max_threads = 1")
        self.settings: dict[str, str] = {}
        self.database = ""

    def prepare(self, database: str, settings: Mapping[str, str]) -> None:
        """Have this database and exactly these settings, by the statements that differ."""
        if database != self.database:
            self.connection.query(f"USE `{database}`")
            self.database = database
        for name in self.settings.keys() - settings.keys():
            self.connection.query(f"SET {name} = DEFAULT")
            del self.settings[name]
        for name, value in settings.items():
            if self.settings.get(name) != value:
                self.connection.query(f"SET {name} = {_literal(value)}")
                self.settings[name] = value


class Engine:
    """The engine in one folder, with as many sessions as requests overlap."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.inserts = tempfile.mkdtemp(dir=Path(folder).parent)
        self.free: queue.LifoQueue[Session] = queue.LifoQueue()
        self.free.put(Session(folder))

    def run(self, sql: str, data: bytes | None, given: Mapping[str, str]) -> tuple[bytes, str]:
        """The answer of one statement, and the format that it has."""
        session = self._taken()
        settings = {
            name: value
            for name, value in given.items()
            if name not in NOT_SETTINGS and not name.startswith("param_")
        }
        try:
            session.prepare(given.get("database") or "default", settings)
            if data is not None:
                return self._insert(session.connection, sql, data), "TabSeparated"
            found = FORMAT.search(sql)
            kind = found[1] if found else given.get("default_format", "TabSeparated")
            values = {n[6:]: v for n, v in given.items() if n.startswith("param_")}
            text = sql[: found.start()] if found else sql
            answer = session.connection.query(text, kind, params=values)
            return answer.bytes() or b"", kind
        finally:
            self.free.put(session)

    def _insert(self, connection: Any, head: str, data: bytes) -> bytes:
        # In a folder of its own: the engine reads whatever folder a file is in.
        with tempfile.NamedTemporaryFile(dir=self.inserts, suffix=".bin") as file:
            file.write(data)
            file.flush()
            at = head.upper().rindex("FORMAT")
            connection.query(f"{head[:at]} FROM INFILE {_literal(file.name)} {head[at:]}")
        return b""

    def _taken(self) -> Session:
        try:
            return self.free.get_nowait()
        except queue.Empty:
            return Session(self.folder)


def _literal(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"
    wbufsize = 65536
    disable_nagle_algorithm = True
    engine: Engine
    user: str
    password: str

    def log_message(self, *_: object) -> None:
        """Say nothing: the log is for what goes wrong."""

    def do_GET(self) -> None:
        """As POST: health is asked for so."""
        self.do_POST()

    def do_POST(self) -> None:
        """Answer one request."""
        place = urllib.parse.urlsplit(self.path)
        given = dict(urllib.parse.parse_qsl(place.query, keep_blank_values=True))
        body = self._body()
        if place.path == "/ping":
            self._answer(200, b"Ok.\n", {})
            return
        if not self._known(given):
            self._answer(
                403, DENIED.format(self.user).encode(), {"X-ClickHouse-Exception-Code": "516"}
            )
            return
        try:
            answer, kind = self._run(body, given)
        except Exception as error:  # noqa: BLE001 (whatever the engine says is the answer)
            text = str(error)
            text = text[max(0, text.find("Code: ")) :]
            code = re.search(r"Code: (\d+)", text)
            number = code[1] if code else "1000"
            headers = {"X-ClickHouse-Exception-Code": number}
            self._answer(STATUSES.get(number, 500), text.encode(), headers)
            return
        headers = {
            "X-ClickHouse-Format": kind,
            "X-ClickHouse-Timezone": "UTC",
            "X-ClickHouse-Query-Id": given.get("query_id") or str(uuid4()),
            "X-ClickHouse-Summary": '{"read_rows":"0","written_rows":"0"}',
        }
        self._answer(200, answer, headers)

    def _known(self, given: Mapping[str, str]) -> bool:
        user, password = given.get("user"), given.get("password", "")
        kind, _, token = self.headers.get("Authorization", "").partition(" ")
        if kind == "Basic":
            user, _, password = base64.b64decode(token).decode().partition(":")
        user = self.headers.get("X-ClickHouse-User", user)
        password = self.headers.get("X-ClickHouse-Key", password)
        return (user, password) == (self.user, self.password)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            pieces: list[bytes] = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                pieces.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            body = b"".join(pieces)
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        encoding = self.headers.get("Content-Encoding")
        if encoding == "lz4":
            return bytes(lz4.frame.decompress(body))
        return gzip.decompress(body) if encoding == "gzip" else body

    def _run(self, body: bytes, given: dict[str, str]) -> tuple[bytes, str]:
        kind = self.headers.get("Content-Type", "")
        if "multipart/form-data" in kind:
            message = email.message_from_bytes(
                b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body
            )
            for part in message.get_payload():
                name = part.get_param("name", header="content-disposition")
                given[name] = part.get_payload(decode=True).decode()
            body = b""
        elif "x-www-form-urlencoded" in kind:
            given.update(urllib.parse.parse_qsl(body.decode(), keep_blank_values=True))
            body = b""
        sql = given.get("query", "")
        if sql and INSERT.match(sql.encode()):
            return self.engine.run(sql, body, given)
        whole = f"{sql}\n".encode() + body if sql else body
        found = INSERT.match(whole)
        if found:
            return self.engine.run(found[0].decode().rstrip(), whole[found.end() :], given)
        return self.engine.run(whole.decode(), None, given)

    def _answer(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


class Server(http.server.ThreadingHTTPServer):
    """A thread for each connection."""

    daemon_threads = True
    request_queue_size = 128


if __name__ == "__main__":
    Handler.engine = Engine(str(Path(sys.argv[2])))
    Handler.user, Handler.password = sys.argv[3:5]
    Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
