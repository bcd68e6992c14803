"""The command line on libSQL files: what it prints, its exit codes, and that it prints no secret."""

from __future__ import annotations

import asyncio
import io
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from mastra_core import Message, Thread, open_storage
from mastra_core.cli import inspecting, moving, opening
from mastra_core.cli.app import run
from mastra_core.cli.exits import Exit
from mastra_core.cli.redaction import Secrets, shown
from mastra_core.errors import AuthenticationError
from mastra_core.plugins import Adapter
from mastra_core.storage import examination
from mastra_core.storage.inmemory import InMemoryBackend
from mastra_core.storage.store import BackendStore

START = datetime(2026, 3, 1, 9, tzinfo=UTC)
PASSWORD = "pass%2Fword-1"
PLAIN = "pass/word-1"


def span(name: str, parent: str | None, begin: int, end: int | None, **given):
    return {
        "traceId": "trace-1",
        "spanId": name,
        "parentSpanId": parent,
        "name": name,
        "spanType": "tool_call",
        "isEvent": False,
        "startedAt": START + timedelta(milliseconds=begin),
        "endedAt": None if end is None else START + timedelta(milliseconds=end),
        **given,
    }


async def fill(url: str) -> None:
    """A store with something of everything that is listed."""
    async with open_storage(url) as storage:
        for n, title in enumerate(("Shopping list", "Bread\x1b[31m")):
            owner = ("ada", "bob")[n]
            thread = Thread(
                id=f"t{n}", resource_id=owner, title=title, created_at=START, updated_at=START
            )
            await storage.memory.save_thread(thread)
            content = {"format": 2, "parts": [{"type": "text", "text": "Where is\nmy list?"}]}
            said = [
                Message(
                    id=f"m{n}{i}",
                    thread_id=f"t{n}",
                    resource_id=owner,
                    role="user",
                    content=content,
                    created_at=START + timedelta(minutes=i),
                )
                for i in range(3)
            ]
            await storage.memory.save_messages(said)
        await storage.workflows.persist_workflow_snapshot(
            workflow_name="shopping", run_id="run-1", snapshot={"status": "suspended"}
        )
        await storage.observability.batch_create_spans(
            [
                span("answer", None, 0, 2345),
                span("think", "answer", 10, 1900),
                span("look up", "answer", 1910, 1960, error={"message": "no such shop"}),
                span("step", "think", 20, None),
                span("stray", "nowhere", 30, 40),
            ]
        )


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """A folder of its own for files and for what is noted of copies."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


@pytest.fixture
def url(place):
    """The URL of a store that has something."""
    asyncio.run(fill("file:./a.db"))
    return "file:./a.db"


@pytest.fixture
def mastra(capsys):
    """Run the command line; the exit code, standard output and standard error."""

    def call(*arguments: str) -> tuple[int, str, str]:
        code = run(arguments)
        told = capsys.readouterr()
        return code, told.out, told.err

    return call


def words(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def test_threads_messages_and_runs_are_tables(url, mastra):
    code, out, _ = mastra("threads", url, "--resource", "ada")
    assert code == Exit.OK
    assert words(out)[1][:4] == ["t0", "ada", "Shopping", "list"]
    assert words(out)[2:] == [["1", "in", "all"]]

    _, out, _ = mastra("messages", url, "t0", "--per-page", "2")
    assert [line[2:-1] for line in words(out)[1:3]] == [
        ["user", *["Where", "is", "my", "list?"]]
    ] * 2
    assert words(out)[1][:2] == ["2026-03-01", "09:00:00"]
    assert "3 in all; go on with --page 1" in out
    _, out, _ = mastra("messages", url, "t0", "--latest")
    assert [line[-1] for line in words(out)[1:4]] == ["m02", "m01", "m00"]

    _, out, _ = mastra("runs", url, "--status", "suspended")
    assert words(out)[1][:3] == ["shopping", "run-1", "suspended"]
    assert mastra("runs", url, "--status", "failed")[1].splitlines()[-1] == "0 in all"


def test_what_would_move_the_cursor_is_not_printed(url, mastra):
    out = mastra("threads", url)[1]
    assert "\x1b" not in out
    assert "Bread [31m" in out


def test_a_trace_is_a_tree_with_durations(url, mastra):
    assert words(mastra("traces", url)[1])[1][:6] == [
        *("trace-1", "answer", "tool_call", "success", "2.35", "s")
    ]
    code, out, _ = mastra("traces", url, "trace-1")
    assert code == Exit.OK
    assert [line.rstrip() for line in out.splitlines()] == [
        "trace trace-1  2026-03-01 09:00:00",
        "├── answer  tool_call  2.35 s",
        "│   ├── think  tool_call  1.89 s",
        "│   │   └── step  tool_call  running",
        "│   └── look up  tool_call  50 ms  no such shop",
        "└── stray  tool_call  10 ms",
    ]


def test_json_is_what_the_original_calls_it(url, mastra):
    threads = json.loads(mastra("threads", url, "--json")[1])
    assert {thread["resourceId"] for thread in threads["threads"]} == {"ada", "bob"}
    assert json.loads(mastra("messages", url, "t0", "--json")[1])["total"] == 3
    assert json.loads(mastra("runs", url, "--json")[1])["runs"][0]["runId"] == "run-1"
    assert len(json.loads(mastra("traces", url, "trace-1", "--json")[1])["spans"]) == 5
    assert json.loads(mastra("traces", url, "--json")[1])["spans"][0]["name"] == "answer"


def test_adapters_have_versions_and_capabilities(mastra):
    code, out, _ = mastra("adapters", "--json")
    assert code == Exit.OK
    found = {(one["name"], one["kind"]): one for one in json.loads(out)["adapters"]}
    libsql = found["libsql", "storage"]
    assert "ATOMIC_WRITE" in libsql["capabilities"]
    assert libsql["package"] == "mastra-libsql"
    assert libsql["version"].count(".") == 2
    assert {"cosine", "approximate", "all operators"} <= set(found["pg", "vectors"]["capabilities"])
    assert "mastra-libsql" in mastra("adapters")[1]


def test_an_adapter_that_cannot_be_used_says_why():
    def adapter(backend: str) -> Adapter:
        return Adapter(name="x", schemes=("x",), connect=lambda url: None, backend=backend)

    for backend, told in (("nowhere.at_all:X", "No module named"), ("json:Absent", "no attribute")):
        (one,) = inspecting.described({"x": ((adapter(backend), "mastra-x"),)}, "storage")
        assert told in one["missing"]
        assert one["version"] == "?"
    (plain,) = inspecting.described({"x": ((adapter(""), "mastra-x"),)}, "storage")
    assert (plain["missing"], plain["capabilities"]) == ("", [])


def test_a_doctor_finds_a_store_fit_and_leaves_nothing_behind(url, mastra):
    code, out, _ = mastra("doctor", url)
    assert code == Exit.OK
    checks = ["connection", "schema", "round", "latency", "clock"]
    assert [line[:2] for line in words(out)] == [["ok", check] for check in checks]
    assert mastra("threads", url)[1].splitlines()[-1] == "2 in all"


def test_a_doctor_makes_nothing_unless_it_is_asked_to(place, mastra):
    (place / "empty.db").touch()
    code, out, _ = mastra("doctor", "file:./empty.db", "--json")
    findings = json.loads(out)["findings"]
    assert code == Exit.FOUND
    assert [(f["check"], f["status"]) for f in findings] == [
        ("connection", "ok"),
        ("schema", "problem"),
    ]
    assert 'CREATE TABLE "mastra_threads"' in findings[1]["found"]
    assert "--fix" in findings[1]["advice"]
    code, _, err = mastra("threads", "file:./empty.db")
    assert code == Exit.STORAGE
    assert "doctor URL --fix" in err
    assert mastra("doctor", "file:./empty.db", "--fix")[0] == Exit.OK
    assert mastra("threads", "file:./empty.db")[0] == Exit.OK


@pytest.mark.asyncio
async def test_a_doctor_sends_nobody_to_look_for_a_server_that_refused_the_password():
    class Closed(InMemoryBackend):
        async def server(self):
            raise AuthenticationError("the password is wrong")

    (found,) = [f async for f in examination.examine(BackendStore(Closed(), id="closed"))]
    assert (found.status, found.found) == ("problem", "the password is wrong")
    assert "user and password" in found.advice


@pytest.mark.asyncio
async def test_a_doctor_names_what_is_wrong():
    class Ill(InMemoryBackend):
        async def clock(self):
            return datetime(2020, 1, 1, tzinfo=UTC)

        async def _find(self, table, query):
            return [(*row[:2], "other", *row[3:]) for row in await super()._find(table, query)]

    found = [f async for f in examination.examine(BackendStore(Ill(), id="ill"))]
    assert {f.check: f.status for f in found} == {
        "connection": "ok",
        "schema": "ok",
        "round trip": "problem",
        "latency": "ok",
        "clock": "note",
    }
    assert "synchronise" in found[-1].advice


def test_a_copy_is_verified_and_a_comparison_finds_no_difference(url, mastra):
    code, out, _ = mastra("copy", url, "file:./b.db", "--json")
    assert code == Exit.OK
    tables = {table["table"]: table for table in json.loads(out)["tables"]}
    assert (tables["mastra_messages"]["new"], tables["mastra_messages"]["verified"]) == (6, True)
    assert mastra("diff", url, "file:./b.db")[0] == Exit.OK
    again = words(mastra("copy", url, "file:./b.db")[1])
    assert again[1][:7] == ["mastra_threads", "2", "0", "2", "0", "0", "yes"]


def test_a_comparison_with_an_empty_store_names_what_is_not_there(url, mastra):
    mastra("doctor", "file:./b.db", "--fix")
    for first, second, where in ((url, "file:./b.db", "first"), ("file:./b.db", url, "second")):
        code, out, err = mastra("diff", first, second, "--show", "1")
        assert (code, err) == (Exit.FOUND, "")
        only = ["2", "0"] if where == "first" else ["0", "2"]
        assert words(out)[1] == ["mastra_threads", "0", "0", *only]
        assert f"mastra_threads t0: only in the {where}" in out


def test_rows_that_differ_are_kept_named_and_replaced_when_told(url, mastra):
    mastra("copy", url, "file:./b.db")

    async def change() -> None:
        async with open_storage("file:./b.db") as storage:
            await storage.memory.update_thread("t0", title="Mine")
            await storage.memory.save_thread(Thread(id="t9", resource_id="ada"))

    asyncio.run(change())
    code, out, _ = mastra("diff", url, "file:./b.db")
    assert code == Exit.FOUND
    assert "mastra_threads t0: differs in title, updatedAt" in out
    assert "mastra_threads t9: only in the second" in out
    code, _, err = mastra("copy", url, "file:./b.db")
    assert code == Exit.CONFLICT
    assert "t0" in err
    assert "Mine" in mastra("threads", "file:./b.db")[1]
    code, out, _ = mastra("copy", url, "file:./b.db", "--overwrite")
    assert code == Exit.OK
    assert words(out)[1][:10] == [
        "mastra_threads",
        *["2", "0", "1", "1", "0"],
        *["yes,", "and", "1", "others"],
    ]


def test_a_store_is_not_copied_onto_itself_and_a_mistyped_file_is_none(url, mastra, place):
    assert mastra("copy", url, f"file:{place}/a.db")[0] == Exit.CONFIGURATION
    code, _, err = mastra("copy", "file:./mistyped.db", "file:./b.db")
    assert code == Exit.CONFIGURATION
    assert "there is no file mistyped.db" in err
    assert not (place / "mistyped.db").exists()
    assert not (place / "b.db").exists()


def test_an_export_comes_back_by_an_import(url, mastra, place, monkeypatch):
    code, out, _ = mastra("export", url, "all.jsonl")
    assert code == Exit.OK
    assert words(out)[1][:2] == ["mastra_threads", "2"]
    code, out, _ = mastra("import", "file:./c.db", "all.jsonl")
    assert words(out)[1] == ["mastra_threads", "2", "0", "0"]
    assert mastra("diff", url, "file:./c.db")[0] == Exit.OK
    assert json.loads(mastra("import", "file:./c.db", "all.jsonl", "--json")[1])["tables"][
        "mastra_threads"
    ] == {"new": 0, "same": 2, "replaced": 0}
    assert [path.name for path in place.glob("*.part")] == []
    assert mastra("export", url, "no/such/folder")[0] == Exit.CONFIGURATION
    assert mastra("import", "file:./c.db", "none.jsonl")[0] == Exit.CONFIGURATION
    (place / "cut.jsonl").write_bytes((place / "all.jsonl").read_bytes()[:500] + b"\n")
    assert mastra("import", "file:./c.db", "cut.jsonl")[0] == Exit.STORAGE

    class Piped(io.StringIO):
        buffer = io.BytesIO()

    monkeypatch.setattr(sys, "stdout", Piped())
    assert run(["export", url, "-", "--domain", "memory"]) == Exit.OK
    piped = Piped.buffer.getvalue()
    assert piped.splitlines()[0] == b'{"mastra":1}'
    monkeypatch.undo()
    Piped.buffer.seek(0)
    monkeypatch.setattr(sys, "stdin", Piped())
    assert run(["import", f"file:{place}/d.db", "-", "--domain", "memory"]) == Exit.OK


def test_pruning_counts_asks_and_deletes_what_is_old(url, mastra, monkeypatch):
    only = ("--older-than", "30d", "--only", "memory.messages")
    code, out, _ = mastra("prune", url, *only, "--dry-run")
    assert (code, words(out)[1]) == (Exit.OK, ["memory.messages", "6"])
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    code, _, err = mastra("prune", url, *only)
    assert code == Exit.INTERRUPTED
    assert "Delete these rows of file:./a.db?" in err
    assert mastra("messages", url, "t0")[1].splitlines()[-1] == "3 in all"
    code, out, _ = mastra("prune", url, *only, "--yes", "--json")
    assert json.loads(out) == {"memory.messages": {"deleted": 6}}
    assert mastra("messages", url, "t0")[1].splitlines()[-1] == "0 in all"
    assert mastra("prune", url, *only, "--yes")[0] == Exit.OK
    # Whoever reads it finds the same words also where there was nothing to delete.
    code, out, _ = mastra("prune", url, *only, "--yes", "--json")
    assert (code, json.loads(out)) == (Exit.OK, {"memory.messages": {"deleted": 0}})
    code, _, err = mastra("prune", url, "--older-than", "30d", "--only", "memory.cakes")
    assert code == Exit.CONFIGURATION
    assert "memory.messages" in err
    assert mastra("prune", url, "--older-than", "soon")[0] == Exit.USAGE


def test_what_is_not_there_has_an_exit_code_of_its_own(url, mastra):
    assert mastra("messages", url, "t77")[0] == Exit.NOT_FOUND
    assert mastra("messages", url, "t0", "--resource", "bob")[0] == Exit.NOT_FOUND
    assert mastra("traces", url, "t77")[0] == Exit.NOT_FOUND
    assert mastra("threads", "nothing://x")[0] == Exit.CONFIGURATION
    assert mastra("cakes")[0] == Exit.USAGE
    assert mastra("--help")[0] == Exit.OK


def test_a_server_that_is_away_is_told_without_its_password(mastra):
    for scheme in ("postgresql", "redis"):
        code, out, err = mastra("threads", f"{scheme}://ada:{PASSWORD}@127.0.0.1:1/x")
        assert code in {Exit.UNAVAILABLE, Exit.AUTHENTICATION}
        assert "127.0.0.1" in err
        assert not {PASSWORD, PLAIN} & set(filter((out + err).__contains__, (PASSWORD, PLAIN)))
    code, out, _ = mastra("doctor", f"postgresql://ada:{PASSWORD}@127.0.0.1:1/x")
    assert "check the URL" in out
    assert (code, words(out)[0][:2]) == (Exit.FOUND, ["problem", "connection"])


def test_no_secret_is_printed_whatever_goes_wrong(url, mastra, monkeypatch):
    secret = f"postgresql://ada:{PASSWORD}@db.example/x?sslpassword=Hush-hush1"

    def open_storage_badly(given):
        raise RuntimeError(f"cannot open {given}: user ada, password {PLAIN}, key 'Hush-hush1'")

    monkeypatch.setattr(opening, "open_storage", open_storage_badly)
    monkeypatch.setenv("DATABASE_URL", secret)
    for arguments in (
        ("threads", secret),
        ("threads", "env:DATABASE_URL"),
        ("threads", "x", secret),
        ("threads", "--page", secret, "x"),
        ("copy", secret, f"{secret}&other=1"),
        (secret,),
    ):
        code, out, err = mastra(*arguments)
        assert code in {Exit.USAGE, Exit.INTERNAL}
        for hidden in (PASSWORD, PLAIN, "Hush-hush1"):
            assert hidden not in out + err
    assert "RuntimeError" in mastra("threads", secret)[2]
    assert mastra("threads", "env:NOWHERE")[0] == Exit.CONFIGURATION


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("postgresql://ada:pw@h:5/d?sslmode=require", "postgresql://***@h:5/d?sslmode=require"),
        ("upstash://:tok@x.upstash.io", "upstash://***@x.upstash.io"),
        ("libsql://h?authToken=abc.def&tls=0", "libsql://h?authToken=***&tls=0"),
        ("host=h password=pw dbname=d", "host=h password=*** dbname=d"),
        ("https://h/p?api_key='a'&x=1", "https://h/p?api_key=***&x=1"),
        ("postgresql://a:p@ss@h/d", "postgresql://***@h/d"),
        ("file:./mastra.db", "file:./mastra.db"),
        ("mailto:ada@example.org said a == b", "mailto:ada@example.org said a == b"),
    ],
)
def test_a_url_is_shown_without_its_secrets(url, told):
    assert shown(url) == told


def test_a_password_with_a_quote_in_it_is_hidden_whole(url, mastra, monkeypatch):
    assert shown("mssql://sa:it's%3B1@h/d?Encrypt=no") == "mssql://***@h/d?Encrypt=no"
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    code, out, err = mastra("prune", f"{url}?authToken=it's-a-secret", "--older-than", "1d")
    assert code == Exit.INTERRUPTED
    assert "Delete these rows of file:./a.db?authToken=***?" in err
    assert "a-secret" not in out + err


def test_a_secret_is_found_again_in_any_text():
    secrets = Secrets()
    secrets.learn("libsql://h?authToken=ab%2Bcd")
    secrets.learn("upstash://sometoken@h")
    secrets.learn("not a url [://")
    assert secrets.hide("ab+cd and ab%2Bcd, or sometoken") == "*** and ***, or ***"
    assert secrets.hide("nothing") == "nothing"


def test_the_name_of_a_journal_has_no_secret_and_is_the_stores(place):
    name = moving.journal_of("file:./a.db", f"postgresql://ada:{PASSWORD}@h/d?password=1", [])
    same = moving.journal_of(f"file:{place}/a.db", "postgresql://bob:other@h/d?password=2", [])
    assert name == same
    assert name != moving.journal_of("file:./a.db", "postgresql://ada@h/other", [])
    # Two stores in one database differ in what stands behind the question mark only.
    others = [moving.journal_of("file:./a.db", f"d1://a/d?table_prefix={p}_", []) for p in "xy"]
    assert others[0] != others[1]
    assert name != moving.journal_of("file:./a.db", "postgresql://ada@h/d", ["memory"])


def test_without_its_extra_the_command_says_what_to_install():
    code = (
        "import sys; sys.modules['typer'] = None; sys.argv = ['mastra', 'adapters']\n"
        "from mastra_core.cli import main\nsys.exit(main())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == Exit.CONFIGURATION
    assert done.stderr == "mastra: the command line needs typer: pip install 'mastra-core[cli]'\n"


def test_importing_core_imports_nothing_of_the_command_line():
    code = (
        "import sys, mastra_core, mastra_core.transfer; print({'typer', 'rich'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
