"""The functions as they are deployed: written by the command, typed, and for the key's holder only."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from backends import Address

from mastra_convex import ConvexStore
from mastra_convex.command import main
from mastra_convex.shapes import ORIGINAL, shape
from mastra_core.errors import (
    AuthenticationError,
    ConfigurationError,
    LimitExceededError,
    SchemaError,
    UnavailableError,
)
from mastra_core.records import Thread
from mastra_core.storage.schema import Put, Query, Where
from mastra_core.storage.tables import MESSAGES, TABLES, THREADS, WORKFLOW_SNAPSHOT

SETTINGS = {
    "target": "ES2022",
    "lib": ["ES2022", "DOM"],
    "module": "ESNext",
    "moduleResolution": "Bundler",
    "strict": True,
    "noUncheckedIndexedAccess": True,
    "skipLibCheck": True,
    "types": [],
}


def test_the_functions_typecheck_in_a_project(tmp_path: Path, npm_packages: Path) -> None:
    assert main(["init", str(tmp_path)]) == 0
    (tmp_path / "node_modules").symlink_to(npm_packages)
    settings = {"compilerOptions": SETTINGS, "include": ["convex"]}
    (tmp_path / "tsconfig.json").write_text(json.dumps(settings))
    program = npm_packages / "typescript" / "bin" / "tsc"
    ran = subprocess.run(
        ["node", program, "--noEmit", "-p", tmp_path], capture_output=True, text=True, check=False
    )
    assert (ran.stdout, ran.returncode) == ("", 0)


def test_a_schema_that_is_there_is_left_to_its_owner(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "convex").mkdir()
    schema = tmp_path / "convex" / "schema.ts"
    schema.write_text("export default mine;")
    assert main(["init", str(tmp_path)]) == 0
    assert schema.read_text() == "export default mine;"
    assert "...mastraTables" in capsys.readouterr().out
    assert main(["init", str(tmp_path / "nowhere")]) == 2


def test_lengths_of_vectors_with_an_index_stay_until_others_are_named(tmp_path: Path) -> None:
    lengths = tmp_path / "convex" / "mastra_python" / "dimensions.ts"
    assert main(["init", str(tmp_path)]) == 0
    assert "dimensions: number[] = [];" in lengths.read_text()
    assert main(["init", str(tmp_path), "--dimensions", "1536", "384", "1536"]) == 0
    assert "dimensions: number[] = [384, 1536];" in lengths.read_text()
    assert main(["init", str(tmp_path)]) == 0
    assert "dimensions: number[] = [384, 1536];" in lengths.read_text()


@pytest.mark.parametrize("given", [["1"], ["4097"], ["many"], ["2", "3", "4", "5", "6"]])
def test_lengths_that_convex_has_no_index_for_are_refused(tmp_path: Path, given: list[str]) -> None:
    with pytest.raises(SystemExit):
        main(["init", str(tmp_path), "--dimensions", *given])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_index_ends_with_the_key_and_is_small_enough(table: object) -> None:
    described = shape(table)  # type: ignore[arg-type]
    for index in described.indexes:
        assert set(described.key) <= set(index.columns)
        assert len(index.columns) <= 16
    names = [index.name for index in (*described.indexes, *described.others)]
    assert len(names) == len(set(names)) <= 32


def test_the_tables_of_the_original_have_its_names_and_indexes() -> None:
    assert len(ORIGINAL) == 6
    assert shape(WORKFLOW_SNAPSHOT).stored == "mastra_workflow_snapshots"
    assert shape(MESSAGES).unique.name == "by_record_id"


@pytest.mark.asyncio
class TestDeployment:
    """A deployment with the functions, and what it refuses."""

    async def test_a_wrong_key_is_refused_and_told_to_nobody(self, convex: Address) -> None:
        key = "dev:a-deployment|a-wrong-key"
        store = ConvexStore(id="t", deployment_url=convex.url, admin_auth_token=key)
        with pytest.raises(AuthenticationError, match="check the admin key") as caught:
            await store.memory.get_thread_by_id("t")
        assert "a-wrong-key" not in f"{caught.value} {store!r} {store.backend!r}"
        await store.close()

    async def test_functions_that_are_not_deployed_are_a_schema_error(
        self, convex: Address
    ) -> None:
        store = ConvexStore(
            id="t", deployment_url=convex.url, functions="elsewhere", **convex.options
        )
        with pytest.raises(SchemaError, match="mastra-convex init"):
            await store.memory.get_thread_by_id("t")
        await store.close()

    async def test_what_is_too_large_is_refused_before_anything_is_written(
        self, convex: Address
    ) -> None:
        async with ConvexStore(id="t", deployment_url=convex.url, **convex.options) as store:
            small = Thread(id="small", resource_id="limits")
            await store.memory.save_thread(small)
            half = '"' + "x" * 600_000 + '"'
            at = small.created_at
            rows = [("a", "limits", "", "{}", at, at), ("b", "limits", half, half, at, at)]
            with pytest.raises(LimitExceededError, match="the request wrote nothing"):
                await store.backend.write(Put(THREADS, rows))
            many = [(f"n{n}", "limits", "", "{}", at, at) for n in range(4001)]
            with pytest.raises(LimitExceededError, match="nothing was sent"):
                await store.backend.write(Put(THREADS, many))
            assert await store.backend.count(THREADS, (Where("resourceId", "eq", "limits"),)) == 1

    async def test_nothing_listens(self) -> None:
        store = ConvexStore(
            id="t", deployment_url="http://127.0.0.1:9", admin_auth_token="k", patience=0
        )
        with pytest.raises(UnavailableError, match="nothing was done"):
            await store.memory.get_thread_by_id("t")
        await store.close()

    async def test_a_write_whose_answer_is_lost_is_not_sent_again(self, convex: Address) -> None:
        paths: list[str] = []

        async def lose(request: httpx.Request) -> None:
            paths.append(request.url.path.rpartition("/")[2])
            if len(paths) in {2, 3}:
                raise httpx.RemoteProtocolError("Server disconnected", request=request)

        async with httpx.AsyncClient(event_hooks={"request": [lose]}) as client:
            store = ConvexStore(id="t", deployment_url=convex.url, client=client, **convex.options)
            await store.init()
            paths[:] = ["query"]
            with pytest.raises(UnavailableError, match="may have been done or not"):
                await store.memory.save_thread(Thread(id="lost", resource_id="lost"))
            assert paths == ["query", "mutation"]
            assert await store.memory.get_thread_by_id("lost") is None
            assert paths == ["query", "mutation", "query", "query"]

    async def test_two_runs_whose_joined_names_are_alike_are_two(self, convex: Address) -> None:
        """The original finds a run by ``<workflow>-<run>``, where ``a-b`` + ``c`` is ``a`` + ``b-c``."""
        async with ConvexStore(id="t", deployment_url=convex.url, **convex.options) as store:
            tag = uuid4().hex
            for name, run in ((f"{tag}-b", "c"), (tag, "b-c")):
                await store.workflows.persist_workflow_snapshot(
                    workflow_name=name, run_id=run, snapshot={"status": name, "context": {}}
                )
            where = (Where("workflow_name", "in", (f"{tag}-b", tag)),)
            columns = ("workflow_name", "run_id")
            query = Query(where=where, columns=columns)
            found = await store.backend.find(WORKFLOW_SNAPSHOT, query)
            assert sorted(found) == [(tag, "b-c"), (f"{tag}-b", "c")]

    async def test_texts_are_in_the_order_of_their_code_points(self, convex: Address) -> None:
        """By an index, by a condition and where rows are sorted: not of UTF-16, as JavaScript has it."""
        texts = ["Z", "a", "\u00e4", "\ue000", "\uff5a", "\U0001f600"]
        async with ConvexStore(id="t", deployment_url=convex.url, **convex.options) as store:
            at, owner = Thread(id="t", resource_id="r").created_at, uuid4().hex
            rows = [(f"{owner}{text}", owner, text, "{}", at, at) for text in texts]
            await store.backend.write(Put(THREADS, rows[::-1]))
            own = Where("resourceId", "eq", owner)
            for n, text in enumerate(texts):
                below = (own, Where("title", "lt", text))
                by_title = Query(
                    where=below, order=(("title", "asc"), ("id", "asc")), columns=("title",)
                )
                found = await store.backend.find(THREADS, by_title)
                assert [row[0] for row in found] == texts[:n]
            below_id = (own, Where("id", "lt", f"{owner}\uff5a"))
            by_id = Query(where=below_id, order=(("id", "asc"),), columns=("title",))
            assert [row[0] for row in await store.backend.find(THREADS, by_id)] == texts[:4]

    async def test_metadata_that_convex_has_no_value_for_come_back(self, convex: Address) -> None:
        odd = {"$ref": 1, "_x": {"é": [1, None]}, "big": 2**60 + 1, "": "empty"}
        async with ConvexStore(id="t", deployment_url=convex.url, **convex.options) as store:
            await store.memory.save_thread(Thread(id="odd", resource_id="r", metadata=odd))
            found = await store.memory.get_thread_by_id("odd")
            assert found is not None
            assert found.metadata == odd


@pytest.mark.parametrize(
    ("url", "key"),
    [("", "k"), ("ftp://x", "k"), ("https://x.convex.cloud", None), ("https://x", "a b")],
)
def test_what_cannot_be_reached_is_refused_at_once(url: str, key: str | None) -> None:
    with pytest.raises(ConfigurationError):
        ConvexStore(id="t", deployment_url=url, admin_auth_token=key)


def test_unknown_options_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="no option speed"):
        ConvexStore(id="t", deployment_url="https://x", admin_auth_token="k", speed=1)  # type: ignore[call-arg]
