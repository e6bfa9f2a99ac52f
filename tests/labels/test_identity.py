"""Identities: equal exactly where the reference is the same."""

from functools import partial
from pathlib import Path

import ase
import numpy as np
import pytest
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.calculators.mixing import SumCalculator

from ase_mlipgen.labels import IdentityError, identity
from tests.labels.programs import CommandSpring, NewSpring, OldSpring, SpringProfile
from tests.labels.references import Spring, emt, spring, springs


def test_instance_names_class_version_and_parameters():
    text = identity(LennardJones(sigma=2.0))
    assert "ase.calculators.lj.LennardJones" in text
    assert ase.__version__ in text
    assert text == identity(LennardJones(sigma=2.0))
    assert text != identity(LennardJones(sigma=2.5))
    assert text != identity(LennardJones(sigma=2.0, epsilon=2.0))


def test_factories_are_known_by_name_and_arguments():
    assert f'"ase {ase.__version__}"' in identity(EMT)
    assert '"source ' in identity(emt)
    same = {identity(partial(spring, 2.0)), identity(partial(spring, 2.0))}
    assert len(same) == 1
    others = [
        partial(spring, 3.0),
        partial(spring, k=2.0),
        spring,
        emt,
        EMT,
        partial(LennardJones, sigma=2.0),
    ]
    assert len({identity(other) for other in others} | same) == 7


def test_files_count_by_content_not_by_place(tmp_path):
    for folder, content in (("a", "1"), ("b", "1"), ("c", "2")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "W.pot").write_text(content)
    a, b, c = (identity(partial(spring, 1.0, file=tmp_path / f / "W.pot")) for f in "abc")
    assert a == b != c
    assert identity(Spring(potential=str(tmp_path / "a" / "W.pot"))) != identity(
        Spring(potential=str(tmp_path / "c" / "W.pot"))
    )


def test_files_are_found_in_a_folder_that_is_named_beside(tmp_path):
    (tmp_path / "W.pot").write_text("1")
    reference = partial(springs, pseudo_dir=tmp_path, potentials={"W": "W.pot"})
    before = identity(reference)
    (tmp_path / "W.pot").write_text("2")
    assert identity(reference) != before


def test_arrays_count_by_content():
    a, b = (identity(partial(spring, np.array([1.0, x]))) for x in (2.0, 3.0))
    assert a != b


@pytest.mark.parametrize(
    "reference",
    [EMT(), lambda: EMT(), partial(lambda k: k, 1), Path("x").exists, partial(spring, object())],
    ids=["no parameters", "lambda", "partial of lambda", "method", "odd argument"],
)
def test_dishonest_identity_is_refused_and_a_tag_helps(reference):
    with pytest.raises(IdentityError, match="tag"):
        identity(reference)
    assert identity(reference, "a") == identity(reference, "a") != identity(reference, "b")


def test_calculator_may_state_its_own_identity():
    class Known(Spring):
        def label_identity(self):
            return f"spring of {self.parameters.k}"

    assert identity(Known(k=2.0)) != identity(Known(k=3.0))


def new_spring(**settings):
    """A factory that may be rewritten without new labels, since the calculator tells everything."""
    return NewSpring(**settings)


def test_programs_are_known_by_version_and_input_however_they_are_set_up(tmp_path, monkeypatch):
    (tmp_path / "table").write_text("1")

    def text(**settings):
        return identity(NewSpring(tables=str(tmp_path), **settings))

    before = text(k=1, table="table")
    assert '"program": "spring 1.5"' in before
    assert text(k=1, table="table", command="env python", directory="elsewhere") == before
    for factory in (partial(NewSpring, tables=str(tmp_path), k=1, table="table"),
                    partial(new_spring, tables=str(tmp_path), k=1, table="table")):  # fmt: skip
        assert identity(factory) == before
    assert text(k=2, table="table") != before
    (tmp_path / "table").write_text("2")
    assert text(k=1, table="table") != before
    monkeypatch.setattr(SpringProfile, "said", "1.6")
    monkeypatch.setattr("ase_mlipgen.labels.programs._versions", {})
    assert '"program": "spring 1.6"' in text()


@pytest.mark.parametrize("kind", [OldSpring, CommandSpring])
def test_programs_of_other_calculators_need_a_tag(kind):
    for reference in (kind, kind(), SumCalculator([kind(), EMT()])):
        with pytest.raises(IdentityError, match="tag for this reference"):
            identity(reference)
        assert '"tag": "spring 1.5, k = 1"' in identity(reference, "spring 1.5, k = 1")


def test_a_program_that_does_not_say_its_version_needs_a_tag(monkeypatch):
    monkeypatch.setattr(SpringProfile, "version", lambda self: 1 / 0)
    monkeypatch.setattr("ase_mlipgen.labels.programs._versions", {})
    with pytest.raises(IdentityError, match=r"does not say its version \(ZeroDivisionError"):
        identity(NewSpring)
