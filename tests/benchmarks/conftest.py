"""Fixtures `race` and `keep`, and what the session says and writes at its end: table.md, results.json, cost.png.

    pytest tests/benchmarks --benchmark-enable

Without ``--benchmark-enable`` each case runs once, which checks that the codes agree and measures nothing.
"""

import time
from pathlib import Path

import pytest

from tests.benchmarks import report
from tests.benchmarks.races import FEWEST, SECONDS, Contender, Race

PAGE = Path(__file__).parents[2] / "docs" / "performance.md"
RECORDS = pytest.StashKey()


def pytest_addoption(parser):
    options = parser.getgroup("benchmark")
    options.addoption("--benchmark-folder", default="benchmarks", help="where table.md and cost.png go")
    options.addoption("--benchmark-docs", action="store_true", help="put them into docs/performance.md too")
    options.addoption("--strict-bars", action="store_true", help="fail a benchmark that misses its bar")


def pytest_configure(config):
    config.stash[RECORDS] = []
    config.option.benchmark_quiet = True  # ours is the table


@pytest.fixture
def keep(request):
    """Keep a record for the report, and judge it if bars are strict."""

    def kept(record):
        request.config.stash[RECORDS].append(record)
        if request.config.option.strict_bars and record.bar is not None:
            assert record.bar.met(record), f"{record.group}, {record.case}: {record.verdict()}"
        return record

    return kept


@pytest.fixture
def race(benchmark, keep):
    """Time ours beside its peers, in turns (see `races`), and keep the record.

    Call it with the group and the case (texts of the table), our call, and ``peers``, a mapping of name to call; each
    does ``units`` of work, or is a `Contender` with its own. ``bar`` is a promise; more keywords (panel, x,
    series, title) tell the plot where the record belongs.
    """

    def run(
        group,
        case,
        ours,
        peers=None,
        *,
        units=1,
        unit="us/atom",
        bar=None,
        seconds=SECONDS,
        fewest=FEWEST,
        clock=time.perf_counter,
        **about,
    ):
        contenders = {"": ours, **(peers or {})}
        contenders = {
            name: c if isinstance(c, Contender) else Contender(c, units) for name, c in contenders.items()
        }
        racing = Race(contenders.pop(""), contenders, clock)
        rounds = 1 if benchmark.disabled else racing.warm(seconds, fewest)
        benchmark.group = group
        benchmark.pedantic(racing.run_ours, setup=racing.run_peers, rounds=rounds, iterations=1)
        record = racing.record(group, case, unit, bar, {"units": units, **about})
        benchmark.extra_info.update(calls=racing.calls[""], **record.asdict())
        return record if benchmark.disabled else keep(record)

    return run


@pytest.fixture
def measuring(request):
    """Skip what is nothing but a measurement unless measuring is enabled."""
    if request.config.option.benchmark_disable and not request.config.option.benchmark_enable:
        pytest.skip("a measurement: run with --benchmark-enable")


def pytest_terminal_summary(terminalreporter, config):
    records = config.stash[RECORDS]
    if not records:
        return
    folder = Path(config.option.benchmark_folder)
    table = report.write(folder, records)
    if config.option.benchmark_docs:
        report.update_page(PAGE, table)
        picture = folder / "cost.png"
        if picture.exists():
            (PAGE.parent / "figures" / "cost.png").write_bytes(picture.read_bytes())
    terminalreporter.section("benchmarks")
    for line in report.text(records):
        terminalreporter.write_line(line)
    terminalreporter.write_line(f"written to {folder}/: table.md, results.json, cost.png")
