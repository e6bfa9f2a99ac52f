"""The frame of studies: rows that are kept, resumed, selected, read back to the bit. Held against plain Python."""

import math
import os
from dataclasses import dataclass, fields, replace

import pytest

from ase_mlipgen.studies.catalogue import STUDIES
from ase_mlipgen.studies.results import Results, difference, read, write
from ase_mlipgen.studies.study import Study, run


@dataclass(frozen=True)
class Setting:
    size: int
    seed: int
    matching: tuple[str, ...]


@dataclass(frozen=True)
class Record(Setting):
    good: bool
    error: float
    fit_time: float


class Stopped(Exception):
    pass


def study_of(stop_after=99, asked=None):
    """Return a study of thirds; it counts what it was asked, and fails after some settings."""
    asked = [] if asked is None else asked

    def compute(settings, context):
        for k, setting in enumerate(settings):
            if k == stop_after:
                raise Stopped
            asked.append(setting)
            yield [
                Record(**vars(setting), good=n == 0, error=setting.size / 3.0 + n, fit_time=float(k))
                for n in range(2)
            ]

    def table(records):
        return ["size", "error"], [[str(r.size), f"{r.error:.1f}"] for r in records]

    settings = [Setting(L, s, m) for L in (4, 5, 6) for s in (0, 1) for m in ((), ("energies", "forces"))]
    return Study("thirds", "thirds of sizes", Setting, Record, lambda protocol: settings, compute, table)


def test_study_that_was_stopped_goes_on_and_ends_as_the_undisturbed_one(tmp_path):
    asked = []
    with pytest.raises(Stopped):
        run(study_of(5), tmp_path / "a")
    resumed = run(study_of(asked=asked), tmp_path / "a")
    whole = run(study_of(), tmp_path / "b")
    assert len(asked) == 12 - 5
    assert [replace(r, fit_time=0.0) for r in resumed.records] == [
        replace(r, fit_time=0.0) for r in whole.records
    ]
    assert difference(resumed.records, whole.records, study_of().key).relative == 0.0
    assert run(study_of(0), tmp_path / "a").records == resumed.records


def test_two_runs_do_not_write_over_one_another(tmp_path):
    def second(settings, context):
        with pytest.raises(
            ValueError, match=rf"process {os.getpid()} on .* adds rows to .*thirds-default\.csv"
        ):
            run(study_of(), tmp_path)
        yield from study_of().compute(settings, context)

    first = run(replace(study_of(), compute=second), tmp_path)
    assert len(first.records) == 24
    assert len(run(study_of(), tmp_path).records) == 24, "the claim is gone with its owner"


def test_rows_stand_in_the_order_of_the_study(tmp_path):
    run(study_of(), tmp_path, only={"size": ["6"]})
    run(study_of(), tmp_path, only={"size": ["4"], "matching": ["energies+forces"]})
    found = run(study_of(), tmp_path, limit=2)
    key = [(r.size, r.seed, len(r.matching)) for r in found.records]
    assert key == sorted(key)
    assert {r.size for r in found.records} == {4, 6}
    assert len(found.records) == 2 * (4 + 2 + 1)


def test_protocols_have_files_of_their_own(tmp_path):
    run(study_of(), tmp_path, "paper", limit=1)
    assert [p.name for p in tmp_path.glob("*.csv")] == ["thirds-paper.csv"]
    with pytest.raises(ValueError, match="no protocol 'strict'; expected default, paper"):
        run(study_of(), tmp_path, "strict")


@pytest.mark.parametrize(
    ("only", "message"),
    [
        ({"width": ["1"]}, "no 'width'; expected one of size"),
        ({"size": ["9"]}, "size = 9: expected some of 4, 5, 6"),
    ],
)
def test_unknown_rows_are_refused(tmp_path, only, message):
    with pytest.raises(ValueError, match=message):
        run(study_of(), tmp_path, only=only)


def test_csv_keeps_bits_and_says_what_is_wrong(tmp_path):
    values = [math.pi, 1e-300, float("nan"), -0.0, 1.0 / 3.0, float("inf")]
    rows = tuple(Record(4, k, ("forces",), True, value, 0.0) for k, value in enumerate(values))
    write(tmp_path / "x.csv", Results("thirds", "default").extended(rows, 1.5))
    found = read(tmp_path / "x.csv", Record)
    assert [repr(r.error) for r in found.records] == [repr(value) for value in values]
    assert (found.study, found.protocol, found.wall_time, found.seeds) == (
        "thirds",
        "default",
        1.5,
        tuple(range(6)),
    )
    text = (tmp_path / "x.csv").read_text()
    (tmp_path / "y.csv").write_text(text.replace("size,seed", "size,grain"))
    with pytest.raises(ValueError, match="of another version of the study"):
        read(tmp_path / "y.csv", Record)
    (tmp_path / "z.csv").write_text(text.replace("4,2,", "4,two,"))
    line = next(k for k, row in enumerate(text.splitlines(), 1) if row.startswith("4,2,"))
    with pytest.raises(ValueError, match=rf"z\.csv, line {line}: .*two"):
        read(tmp_path / "z.csv", Record)


def test_difference_is_relative_leaves_times_aside_and_names_the_row():
    rows = [Record(4, k, (), True, 1.0 + k, 1.0) for k in range(3)]
    key = study_of().key
    assert difference(rows, [replace(r, fit_time=9.0) for r in rows], key).relative == 0.0
    found = difference(rows, [rows[0], replace(rows[1], error=2.0 + 4e-6)], key)
    assert found.relative == pytest.approx(2e-6, rel=1e-3)
    assert (found.name, found.record, found.n_compared) == ("error", (4, 1, ()), 2)
    assert difference(rows, [replace(rows[0], good=False)], key).relative == math.inf
    assert difference(rows, [replace(rows[0], error=math.nan)], key).relative == math.inf


def test_energies_differ_where_round_off_of_total_energies_is_exceeded_lengths_always():
    @dataclass(frozen=True)
    class Fit:
        seed: int
        geometry: float
        formation: float

    kept = [Fit(0, 1e-6, 1e-7)]

    def off(**changes):
        return difference(kept, [replace(kept[0], **changes)], lambda r: r.seed).relative

    assert off(formation=1e-7 + 5e-11) == 0.0
    assert off(formation=1e-7 + 2e-10) == pytest.approx(2e-3, rel=0.01)
    assert off(geometry=1e-6 + 5e-11) == pytest.approx(5e-5, rel=0.01)


@pytest.mark.parametrize("study", STUDIES.values(), ids=STUDIES)
def test_settings_are_told_apart_and_are_part_of_records(study):
    for protocol in study.protocols:
        keys = [study.key(setting) for setting in study.settings(protocol)]
        assert len(keys) == len(set(keys)) > 0
    assert {f.name for f in fields(study.setting)} <= {f.name for f in fields(study.record)}
