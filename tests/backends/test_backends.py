"""The servers of the tests: healthy when handed over, gone afterwards, named by the environment."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from backends import SERVERS, Address, UnavailableError, process, start

TESTS = Path(__file__).parents[1]
PATIENCE = 10


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


def gone(url: str) -> bool:
    deadline = time.monotonic() + PATIENCE
    while process.answers(f"{url}/health"):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_a_server_is_healthy_and_then_gone(sqld: Address, tmp_path: Path) -> None:
    with start("sqld-jwt", tmp_path) as address:
        assert process.answers(f"{address.url}/health")
        assert port_of(address.url) != port_of(sqld.url)
    assert gone(address.url)


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGTERM])
def test_a_server_ends_with_the_tests_however_they_end(
    sqld: Address, tmp_path: Path, sign: signal.Signals
) -> None:
    script = (
        "import sys, time, pathlib\n"
        "from backends import start\n"
        "with start('sqld-jwt', pathlib.Path(sys.argv[1])) as address:\n"
        "    print(address.url, flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, tmp_path], cwd=TESTS, stdout=subprocess.PIPE, text=True
    ) as tests:
        assert tests.stdout is not None
        url = tests.stdout.readline().strip()
        assert process.answers(f"{url}/health")
        tests.send_signal(sign)
    assert gone(url)


def test_the_environment_wins_over_a_server_of_our_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MASTRA_LIBSQL_URL", "libsql://db.example")
    monkeypatch.setenv("MASTRA_LIBSQL_AUTH_TOKEN", "t")
    with start("sqld", tmp_path) as address:
        assert address == Address("libsql://db.example", {"auth_token": "t"})
    assert list(tmp_path.iterdir()) == []


def test_each_variable_names_one_server() -> None:
    prefixes = [server.prefix for server in SERVERS.values() if server.prefix]
    assert len(prefixes) == len(set(prefixes))


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "raise SystemExit('the port is taken')"]
    with (
        pytest.raises(UnavailableError, match="did not start: the port is taken"),
        process.serving(lambda port: command, lambda port: False, tmp_path),
    ):
        pytest.fail("a server that ended was handed over")
