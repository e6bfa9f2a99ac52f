"""Rows that docs/results keeps, computed again from nothing and held against the file: anyone can.

Held against: the CSV files that `mlipgen study` wrote on another day and are kept in docs/results, one a study and
protocol. Of each two-dimensional study the cheapest settings (the smallest cells, then the smallest basis; of these the
first and the last) are computed again with their seed, labels included, and every field but times has to agree to a
relative 1e-6; energies that differ by less than 1e-10 eV differ by round-off of totals. Other versions or vector
units than those the file names may change more (docs/reproduction.md says how much). So this guards the pages
against changes of the code; that their numbers are right is for the other tests. Some minutes for all files:

    pytest tests/studies/test_reproduces.py -m slow

The ordinary run has one row of one study. `mlipgen study NAME --protocol PROTOCOL --rows 8 --against FILE` does the
same for other rows.
"""

from dataclasses import fields

import pytest

from ase_mlipgen.defects import is_planar
from ase_mlipgen.studies.cases import CASES
from ase_mlipgen.studies.results import difference, text_of
from ase_mlipgen.studies.study import run
from docs.studies import RESULTS, results_of

AGREES = 1e-6
COSTLY = ("size", "degree", "order", "n_defects", "separation")
"""Fields of settings that decide on the price, the first one first."""
IN_SPACE = {name for name, case in CASES.items() if not is_planar(case.crystal)}


def in_the_plane(text):
    """Say whether the title of a study or the name of a case is none of a crystal in three dimensions."""
    return not any(name in text.lower() for name in IN_SPACE)


def cheapest(study, records):
    """Return the first and the last of the cheapest planar settings of records, as mappings of field to value."""
    names = [field.name for field in fields(study.setting)]
    settings = [dict(zip(names, key, strict=True)) for key in dict.fromkeys(map(study.key, records))]
    planar = [
        s for s in settings if all(in_the_plane(value) for value in s.values() if isinstance(value, str))
    ]
    costs = [[s[name] for name in COSTLY if name in s] for s in planar]
    cheap = [s for s, cost in zip(planar, costs, strict=True) if cost == min(costs)]
    return [cheap[0], cheap[-1]][: len(cheap)] if cheap else []


def computed_again(stem, folder, store, which=slice(None)):
    """Return how the cheapest rows of a file differ from those computed now, and how many there are in the file."""
    study, kept = results_of(stem)
    chosen = cheapest(study, kept.records)[which] if in_the_plane(study.title) else []
    if not chosen:
        pytest.skip(f"{stem} is of crystals in three dimensions, which take long")
    for setting in chosen:
        only = {name: [text_of(value)] for name, value in setting.items()}
        found = run(study, folder, kept.protocol, store, only=only)
    wanted = {tuple(setting.values()) for setting in chosen}
    return difference(found.records, kept.records, study.key), sum(
        study.key(r) in wanted for r in kept.records
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A directory of labels, empty at first, for all studies: many have the same cells."""
    return tmp_path_factory.mktemp("labels")


STEMS = sorted(path.stem for path in RESULTS.glob("*.csv"))


@pytest.mark.slow
@pytest.mark.parametrize("stem", STEMS)
def test_cheapest_rows_of_every_file_are_reproduced(stem, tmp_path, store):
    found, n_kept = computed_again(stem, tmp_path, store)
    assert found.n_compared == n_kept, str(found)
    assert found.relative <= AGREES, str(found)


def test_a_row_is_reproduced(tmp_path):
    found, n_kept = computed_again("table2-paper", tmp_path, tmp_path / "labels", slice(-1, None))
    assert found.n_compared == n_kept == 1, str(found)
    assert found.relative <= AGREES, str(found)


def test_cheapest_rows_are_small_and_planar():
    study, kept = results_of("matching")
    for setting in cheapest(study, kept.records):
        assert setting["case"] == "sheet"
        assert setting["size"] == min(r.size for r in kept.records if r.case == "sheet")
