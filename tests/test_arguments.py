"""Nonsense as an argument is a ValueError or a TypeError that names the argument and says what is expected."""

from functools import partial

import numpy as np
import pytest
from ase import Atoms

from ase_mlipgen import (
    EAM2D,
    ACEBasis,
    DefectTrainer,
    Interstitial,
    Vacancy,
    simulation_cell,
    training_cell,
    triangular_lattice,
)
from ase_mlipgen.arguments import number, whole

SHEET = triangular_lattice("W", 2.72711)
NAN, INF = float("nan"), float("inf")
BASIS = {"elements": ["W"], "order": 2, "degree": 6, "cutoff": 4.0}
TRAINER = {"crystal": SHEET, "defects": Vacancy(), "reference": EAM2D(), "basis": ACEBasis(**BASIS), "size": 4,
           "n_train": 3, "n_test": 1, "progress": False}  # fmt: skip
CELL = {"crystal": SHEET, "defect": Vacancy(), "size": 4}
LARGE = {"crystal": SHEET, "defects": [Vacancy()] * 2, "size": 10, "separation": 3}
NO_NUMBERS = (NAN, INF, "x", None, -1)

NONSENSE = {
    "ACEBasis": (ACEBasis, BASIS, {
        "elements": ([], "", ["Xx"], None, 3), "order": (*NO_NUMBERS, 0, 1.5), "degree": (*NO_NUMBERS, 0, [6]),
        "cutoff": (*NO_NUMBERS, 0, 1e9), "degree_l": (*NO_NUMBERS, 0), "r0": (NAN, "x", -1, 0, {}, [2.5]),
        "r_in": (NAN, "x", -1, 5.0), "p": (*NO_NUMBERS, 1.5), "pcut": (*NO_NUMBERS, 1.5), "pin": (*NO_NUMBERS, 1.5),
        "core": ("x", 1),
    }),
    "DefectTrainer": (DefectTrainer, TRAINER, {
        "crystal": (None, "W", Atoms(), Atoms("W", pbc=True, cell=[NAN] * 3)),
        "defects": ([], None, "vacancy", 3, [None], Vacancy(9), Vacancy(NAN)), "reference": (None, "x", 3),
        "basis": (None, "x"), "size": (*NO_NUMBERS, 0, [], [4, 0], 2.5, "4", [[4]]),
        "n_train": (*NO_NUMBERS, 0, 1.5), "n_test": (*NO_NUMBERS, 1.5), "n_perfect": (*NO_NUMBERS, 1.5),
        "amplitude": NO_NUMBERS, "weights": ("x", 3, {"energy": NAN}, {"energy": "x"}, {"energy": 0, "forces": 0}),
        "matching": ("x", 3, True, ["x"]), "observations": ([], None, 3, ["x"]), "rtol": (*NO_NUMBERS, 1),
        "scaling": ("x", 3), "fmax": (*NO_NUMBERS, 0), "optimizer": ("x", 3), "executor": ("x", 3), "store": (3,),
        "seed": (*NO_NUMBERS, 1.5), "distribution": ("x", None), "E0": (3, {"W": NAN}, {"W": "x"}, {"Cu": 1.0}),
        "on_unstable": ("x", None), "force_norm": ("x", None), "time_limit": (NAN, INF, "x", -1, 0),
        "retries": (*NO_NUMBERS, 1.5),
    }),
    "training_cell": (training_cell, CELL, {
        "crystal": (None, "W", 3, Atoms(), Atoms("W")), "defect": ("vacancy", 3, Atoms(), Vacancy(7), Vacancy("x")),
        "size": (*NO_NUMBERS, 0, [], 2.5, [0, 1], [2.5, 2], [NAN, 3]),
    }),
    "simulation_cell": (simulation_cell, LARGE, {
        "crystal": (None, "W", Atoms()), "defects": (None, "x", 3, [None]),
        "size": (*NO_NUMBERS, 0, [], 2.5), "separation": (*NO_NUMBERS, [], [NAN, 0], ["x", 0], 100),
    }),
    "triangular_lattice": (triangular_lattice, {"element": "W", "r0": 2.7}, {
        "element": (None, 3, "Xx"), "r0": (*NO_NUMBERS, 0), "size": ((0, 1), (1.5, 1), (NAN, 1)),
    }),
    "Interstitial": (Interstitial, {"scaled_position": (0.5, 0.5)}, {
        "scaled_position": (None, 3, "x", (NAN, 0), (0.5,)),
    }),
}  # fmt: skip
RESULT = {
    "budget": {
        "size": (*NO_NUMBERS, 0, 2.5), "n_defects": (*NO_NUMBERS, 0, 1.5), "defects": ([], 3, "vacancy"),
        "separation": (NAN, INF, "x", -1, 0),
    },
    "certify": {
        "atoms": (None, "x", Atoms(), SHEET, Atoms("W", pbc=True, cell=[NAN] * 3)), "labelling": ("x", 3),
        "fmax": (*NO_NUMBERS, 0), "mu": (3, "x", {"W": NAN}), "size": (NAN, INF, "x", -1, 0, 2.5),
    },
}  # fmt: skip
FOREIGN = ("not iterable", "not supported", "unsupported", "invalid literal", "argument must be", "has no attribute",
           "cannot convert", "not callable", "has no len")  # fmt: skip
"""What Python and numpy say where nothing was checked."""


def is_refused(function, arguments, name, value):
    with pytest.raises((ValueError, TypeError)) as caught:
        function(**{**arguments, name: value})
    said = str(caught.value)
    assert not any(words in said for words in FOREIGN), f"{name} = {value!r}: {said}"
    assert len(said) > 20, said


@pytest.mark.parametrize(
    ("what", "name"), [(what, name) for what, (*_, tried) in NONSENSE.items() for name in tried]
)
def test_nonsense_is_refused(what, name):
    function, arguments, tried = NONSENSE[what]
    for value in tried[name]:
        is_refused(function, arguments, name, value)


@pytest.fixture(scope="module")
def result():
    basis = ACEBasis(["W"], order=3, degree=10, cutoff=4.0)
    return DefectTrainer(SHEET, Vacancy(), EAM2D(), basis, 5, 15, 3, n_perfect=3, progress=False).run()


@pytest.mark.parametrize(("what", "name"), [(what, name) for what, tried in RESULT.items() for name in tried])
def test_nonsense_on_a_result_is_refused(result, what, name):
    large = simulation_cell(SHEET, [Vacancy()], size=12, separation=4)
    for value in RESULT[what][name]:
        arguments = {} if what == "budget" else {"atoms": large}
        is_refused(partial(getattr(result, what)), arguments, name, value)


def test_numbers_of_numpy_are_numbers():
    assert number("x", np.float32(0.5), "a number") == 0.5
    assert whole("n", np.int64(3), "a whole number") == 3
    with pytest.raises(TypeError, match="n = True: expected a whole number"):
        whole("n", True, "a whole number")
    with pytest.raises(ValueError, match=r"n = 3\.0: expected"):
        whole("n", 3.0, "a whole number")
