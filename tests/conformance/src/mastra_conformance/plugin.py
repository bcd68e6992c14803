"""The pytest plugin: options, the fixtures of adapters and of the suite, and declared gaps.

It is the plugin, not a test that somebody could override, that compares what was run with the
manifest. Everything it knows of a test travels in the test's report, so that runs spread over
processes (pytest-xdist) are graded all the same.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Generator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
import pytest_asyncio

from mastra_conformance.lab import Lab, Settings, Site
from mastra_conformance.manifest import genuine, shipped
from mastra_conformance.vector_lab import VectorLab, VectorSite
from mastra_conformance.watch import FIXTURES, PROPERTY, Watch, key_of, subject_of
from mastra_core.errors import DomainNotConfigured, UnsupportedError
from mastra_core.plugins import open_storage, open_vector
from mastra_core.storage.backend import Capability
from mastra_core.storage.store import DOMAINS, MastraStorage
from mastra_core.vector import MastraVector

pytest.register_assert_rewrite("mastra_conformance.suite", "mastra_conformance.vectors")

WATCH: Final = pytest.StashKey[Watch]()
GAP: Final = pytest.StashKey[str]()
GAPS: Final = pytest.StashKey[Mapping[str, str]]()
LAB: Final = pytest.StashKey[Lab | VectorLab]()
# The modules that hold a whole suite each, and the option that asks for it.
MODULES: Final = {"test_suite.py": "--storage", "test_vectors.py": "--vector"}
# Names the seed of runs whose command line does not.
SEED: Final = "MASTRA_CONFORMANCE_SEED"
# The share of the usual sizes that runs have whose command line names none.
SHARE: Final = "MASTRA_CONFORMANCE_SHARE"
SIZES: Final = ("rows", "rounds", "seconds")
NO_GAPS: Final[Mapping[str, str]] = {}


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of the suite."""
    add = parser.getgroup("mastra conformance").addoption
    add("--storage", metavar="URL", help="the storage to test, if there is no storage_factory")
    add("--vector", metavar="URL", help="the vector store to test, if there is no vector_factory")
    add(
        "--storage-empty",
        metavar="URL",
        help="makes new, empty databases of the same kind: {} in it stands for a new name",
    )
    add("--conformance-report", metavar="DIR", help="write conformance.md, .json and .svg there")
    add(
        "--conformance-require",
        choices=["partial", "core", "full"],
        help="fail the run if the overall level is below this one",
    )
    add("--conformance-rows", type=int, help="rows of the large budgets (100,000)")
    add("--conformance-rounds", type=int, help="rounds of each race (25)")
    add("--conformance-seconds", type=float, help="seconds of random programs (20)")
    add("--conformance-seed", type=int, help="the seed to repeat; every run prints its own")


def pytest_configure(config: pytest.Config) -> None:
    """Begin the watch; it stays silent in runs that have nothing of the suite."""
    asked = config.getoption("--conformance-report") is not None
    watch = config.stash[WATCH] = Watch(shipped(), _settings(config), asked=asked)
    config.pluginmanager.register(watch, "mastra_conformance_watch")


def _settings(config: pytest.Config) -> Settings:
    seed = config.getoption("--conformance-seed")
    if seed is None:
        given = getattr(config, "workerinput", {}).get(PROPERTY)
        seed = _seed() if given is None else given
    usual = Settings(seed=seed).part(_share())
    asked = {name: _option(config, f"--conformance-{name}") for name in SIZES}
    given = {name: size for name, size in asked.items() if size is not None}
    return msgspec.structs.replace(usual, **given)


def _share() -> float:
    given = os.environ.get(SHARE, "") or "1"
    try:
        return float(given)
    except ValueError:
        raise pytest.UsageError(f"{SHARE} must be a number, not {given!r}") from None


def _seed() -> int:
    given = os.environ.get(SEED, "")
    if not given:
        return random.randrange(2**32)
    if not given.isdecimal():
        raise pytest.UsageError(f"{SEED} must be a whole number, not {given!r}")
    return int(given)


def _option(config: pytest.Config, name: str) -> Any:
    return config.getoption(name)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With ``--pyargs mastra_conformance``: the suite that was asked for, storage by default."""
    if collection_path.parent != Path(__file__).parent:
        return None
    asked = {name for name, option in MODULES.items() if _option(config, option) is not None}
    return collection_path.name in set(MODULES) - (asked or {"test_suite.py"}) or None


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Give the processes of a spread run (pytest-xdist) the one seed."""
    node.workerinput[PROPERTY] = node.config.stash[WATCH].settings.seed


@pytest.fixture(scope="session")
def storage_factory(request: pytest.FixtureRequest) -> Callable[[], MastraStorage]:
    """Makes instances of the adapter under test; override it, or give ``--storage URL``.

    Each call is a new, independent instance on the same database. A factory with an attribute
    ``url``, or one that can be pickled, is also used from other processes.
    """
    url = request.config.getoption("--storage")
    if url is None:
        raise pytest.UsageError(
            "no storage to test: give --storage URL, or define a fixture storage_factory that "
            "returns a callable"
        )
    return lambda: open_storage(url)


@pytest.fixture(scope="session")
def vector_factory(request: pytest.FixtureRequest) -> Callable[[], MastraVector]:
    """The same for vector stores; override it, or give ``--vector URL``."""
    url = request.config.getoption("--vector")
    if url is None:
        raise pytest.UsageError(
            "no vector store to test: give --vector URL, or define a fixture vector_factory that "
            "returns a callable"
        )
    return lambda: open_vector(url)


@pytest.fixture(scope="session")
def conformance_gaps() -> Mapping[str, str]:
    """What the adapter is known not to do: override it with ``{name: reason}``.

    A name is that of a test (``test_…`` or ``Class::test_…``), of a capability that the backend
    does not declare, or of a domain that the store does not have.
    """
    return {}


@pytest.fixture(scope="session")
def conformance_share() -> float:
    """Which share of the run's sizes an adapter is tested with, above 0 and at most 1.

    Override it where each call costs a hundred times what it does elsewhere, or for the second way to
    one database; the report says so.
    """
    return 1.0


@pytest.fixture(scope="module")
def conformance_site(
    request: pytest.FixtureRequest,
    storage_factory: Callable[[], MastraStorage],
    conformance_share: float,
) -> Site:
    """The adapter under test, for one module: a run may hold the modules of several adapters.

    (A fixture of the session is made once, with the ``storage_factory`` of whichever came first.)
    """
    config = request.config
    site = Site(
        storage_factory,
        config.stash[WATCH].settings.part(conformance_share),
        url=config.getoption("--storage"),
        empty_url=config.getoption("--storage-empty"),
    )
    _note_share(site, conformance_share)
    return site


@pytest.fixture(scope="module")
def conformance_vector_site(
    request: pytest.FixtureRequest,
    vector_factory: Callable[[], MastraVector],
    conformance_share: float,
) -> VectorSite:
    """The same for the vector store under test."""
    settings = request.config.stash[WATCH].settings.part(conformance_share)
    site = VectorSite(vector_factory, settings, url=request.config.getoption("--vector"))
    _note_share(site, conformance_share)
    return site


def _note_share(site: Site | VectorSite, share: float) -> None:
    if share < 1:
        site.facts.measured["share of the sizes of the run"] = share


@pytest.fixture
def conformance_gap(request: pytest.FixtureRequest, conformance_gaps: Mapping[str, str]) -> None:
    """Mark a test that is a declared gap as one that must fail."""
    item = request.node
    key = key_of(item) or ""
    item.stash[GAPS] = conformance_gaps
    reason = conformance_gaps.get(key) or conformance_gaps.get(key.partition("::")[2])
    if reason:
        item.stash[GAP] = reason
        item.add_marker(pytest.mark.xfail(strict=True, reason=reason), append=False)


@pytest_asyncio.fixture(loop_scope="function")
async def lab(request: pytest.FixtureRequest, conformance_site: Site) -> AsyncIterator[Lab]:
    """What one test works with."""
    made = request.node.stash[LAB] = Lab(conformance_site)
    await made.meet()
    yield made
    await made.close()


@pytest_asyncio.fixture(loop_scope="function")
async def vector_lab(
    request: pytest.FixtureRequest, conformance_vector_site: VectorSite
) -> AsyncIterator[VectorLab]:
    """The same for vector stores."""
    made = request.node.stash[LAB] = VectorLab(conformance_vector_site)
    yield made
    await made.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Say in the report of a test what the watch must know of it."""
    report = yield
    key = key_of(item)
    if key is None:
        return report
    manifest = item.config.stash[WATCH].manifest
    made = item.stash.get(LAB, None)
    subject = subject_of(item)
    used = getattr(item, "funcargs", {})
    site = used.get("conformance_vector_site" if subject[0] == "vectors" else "conformance_site")
    gaps = item.stash.get(GAPS, NO_GAPS)
    gap = item.stash.get(GAP, "") or _lacking(call, report, gaps)
    info = {
        "key": key,
        "subject": list(subject),
        "genuine": genuine(key, item.function, manifest) and _untouched(item),  # type: ignore[attr-defined]
        "gap": gap,
        "closed": report.failed and call.when == "call" and call.excinfo is None,
        "not_run": made.not_run_because if made is not None else "",
        "facts": msgspec.to_builtins(site.facts) if isinstance(site, (Site, VectorSite)) else None,
        "gaps": dict(gaps),
    }
    others = [entry for entry in report.user_properties if entry[0] != PROPERTY]
    report.user_properties = [*others, (PROPERTY, info)]
    return report


def _lacking(
    call: pytest.CallInfo[None], report: pytest.TestReport, gaps: Mapping[str, str]
) -> str:
    """The declared reason of a test that fails because a capability or a domain is not there."""
    error = call.excinfo.value if call.excinfo is not None else None
    if report.when != "call" or not isinstance(error, (UnsupportedError, DomainNotConfigured)):
        return ""
    names = [c.name for c in Capability] if isinstance(error, UnsupportedError) else list(DOMAINS)
    for name in names:
        if name in gaps and name in str(error):
            report.outcome = "skipped"
            report.wasxfail = gaps[name]
            return gaps[name]
    return ""


def _untouched(item: pytest.Item) -> bool:
    """Whether the fixtures that the suite works with are the plugin's own."""
    known: Mapping[str, Any] = item._fixtureinfo.name2fixturedefs  # type: ignore[attr-defined]
    used: list[Any] = [known[name][-1] for name in FIXTURES if name in known]
    return all(fixture.func.__module__ == __name__ for fixture in used)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the report, and fail the run where it must not count as passed."""
    config = session.config
    watch = config.stash[WATCH]
    if hasattr(config, "workerinput") or not watch.active:
        return
    reports = watch.reports()
    directory = config.getoption("--conformance-report")
    if directory is not None:
        seen: Counter[str] = Counter()
        for report in reports:
            seen[report.kind] += 1
            number = seen[report.kind]
            report.write(Path(directory), f"-{number}" if number > 1 else "")
    wanted = config.getoption("--conformance-require")
    short = wanted is not None and not all(report.reaches(wanted) for report in reports)
    if (
        short or any(report.problems for report in reports)
    ) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """A short summary; the report has the rest."""
    watch = config.stash[WATCH]
    if watch.active and not hasattr(config, "workerinput"):
        terminalreporter.section("Mastra conformance")
        for report in watch.reports():
            bad = report.level in {"none", "INCOMPLETE"} or bool(report.problems)
            for line in report.summary():
                terminalreporter.write_line(line, red=bad)
