"""The promise on bad files: a named error with file and place, soon and in little memory; or a sound file."""

import pytest

from tests.faults import mutations
from tests.faults.samples import FORMATS

N = 200


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """Path and content of the sample of each format."""
    made = {}
    for name, one in FORMATS.items():
        path = one.write(tmp_path_factory.mktemp("sample"))
        made[name] = path, path.read_bytes()
    return made


def campaign(sound, name, n, seed):
    one, (path, content) = FORMATS[name], sound[name]
    tally = mutations.Tally()
    several = mutations.of_archive(content, n, seed) if one.binary else mutations.mutations(content, n, seed)
    try:
        for kind, changed in several:
            text = not one.binary and kind not in ("foreign_bytes", "foreign_file", "flipped")
            mutations.check(path, changed, one.read, one.errors, tally, kind, one.place if text else "")
    finally:
        path.write_bytes(content)
    return tally


@pytest.mark.parametrize("name", FORMATS)
def test_damaged_files_are_refused_or_sound(sound, name):
    tally = campaign(sound, name, N, seed=0)
    assert tally.refused.total() + tally.accepted.total() > 0.9 * N
    assert tally.refused.total() > 50
