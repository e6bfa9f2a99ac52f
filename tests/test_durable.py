"""Files that are replaced whole or not at all."""

import pytest

from ase_mlipgen.durable import remove, replacing
from ase_mlipgen.files import json_of


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    with replacing(path) as temporary:
        temporary.write_text("old")
    with pytest.raises(ZeroDivisionError):
        _replace_half(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_new_file_is_not_seen_before_it_is_whole(tmp_path):
    path = tmp_path / "a.txt"
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"


def test_remove_takes_what_killed_processes_left_of_this_file_only(tmp_path):
    path, other = tmp_path / "a.txt", tmp_path / "ba.txt"
    left = []
    for target in (path, other):
        left.append(target.with_name(next(_names(target))))
        left[-1].write_text("half")
        target.write_text("whole")
    remove(path)
    assert set(tmp_path.iterdir()) == {other, left[1]}
    remove(path)


def _replace_half(path):
    with replacing(path) as temporary:
        temporary.write_text("half")
        assert temporary.suffix == ".txt"
        raise ZeroDivisionError


def _names(path):
    """Give the temporary name that `replacing` uses."""
    with replacing(path) as temporary:
        temporary.write_text("x")
        yield temporary.name


@pytest.mark.parametrize("text", ["[" * 200_000, '{"a":' * 200_000, "9" * 10_000, "", "\x00"])
def test_text_that_is_no_json_is_a_value_error(text):
    with pytest.raises(ValueError):
        json_of(text)
    assert json_of('{"a": [1, 2.5]}') == {"a": [1, 2.5]}
