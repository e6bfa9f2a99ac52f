"""docs/certify.md does what it says: its programs run, with the numbers and pictures that the page shows."""

import re

import numpy as np
import pytest

from ase_mlipgen.cli.common import GATE_FAILED
from ase_mlipgen.config import build, load
from docs import certify as page

TEXT = page.PAGE.read_text(encoding="utf-8")
SPREAD = 0.5
"""Of fits truncated at a coarse tolerance, for round-off decides which columns are pivots."""


def shown(name):
    """What the page says that a program printed."""
    begin, end = f"<!-- {name}: written by {page.COMMAND} -->", f"<!-- end of {name} -->"
    return TEXT.split(begin)[1].split(end)[0]


def number(pattern, text):
    return float(re.search(pattern + r"\s+([-+.e\d]+)", text).group(1))


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """The programs of the page, in one namespace."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("page")
        patch.chdir(folder)
        names, texts = page.execute(page.blocks("python"))
    return names, texts, folder


def test_the_poor_model_and_its_certificate_are_those_of_the_page(ran):
    _, texts, _ = ran
    for k, pattern in (
        (0, r"energy RMSE \(eV/atom\)"), (0, r"force RMSE \(eV/Å\)"), (0, r"eps_F \(eV/Å\)"),
        (1, "geometry error"), (1, "formation energy error"), (2, "certified"), (2, "model"), (2, "corrected"),
    ):  # fmt: skip
        assert number(pattern, texts[k]) == pytest.approx(
            number(pattern, shown(f"program {k + 1}")), rel=SPREAD
        )
    assert "verdict: ok" in texts[1]


def test_certified_errors_are_the_true_ones_and_reach_the_target(ran):
    names, texts, folder = ran
    certified = np.array([found.certificate.geometry_error for found in names["rounds"]])
    true = np.array([found.geometry_error for found in names["truths"]])
    assert np.all(np.abs(np.log(certified / true)) < np.log(1.5))
    assert certified[-1] <= names["target"] < certified[0]
    assert true[-1] < 1e-3 * true[0]
    before, after = (abs(e - names["energies"][0]) for e in names["energies"][1:])
    assert after < 0.5 * before
    assert texts[3].count("round") == shown("program 4").count("round")
    for name in ("certify_poor.png", "certify_rounds.png", "W_certified.json"):
        assert (folder / name).stat().st_size > 5_000


def test_configuration_of_the_page_is_the_program(ran, tmp_path):
    names, _, _ = ran
    (text,) = page.blocks("toml")
    (tmp_path / "poor.toml").write_text(text, encoding="utf-8")
    config = load(tmp_path / "poor.toml")
    own, other = names["trainer"], build.trainer(config)
    for name in (
        "sizes",
        "n_train",
        "n_test",
        "n_perfect",
        "amplitude",
        "seed",
        "conditions",
        "rtol",
        "fmax",
        "weights",
    ):
        assert getattr(own, name) == getattr(other, name), name
    assert own.basis.todict() == other.basis.todict()
    large, _ = build.simulation(config)
    np.testing.assert_allclose(large.positions, names["sheet"].positions, atol=1e-9)


def test_the_page_shows_what_commands_and_gates_do():
    commands = shown("commands")
    for words in page.COMMANDS:
        assert f"$ {words}" in commands
    (code,) = re.findall(r"mlipgen: the certified geometry error is .* above 0.001 Å\n(\d+)", commands)
    assert int(code) == GATE_FAILED
    assert page.refused().split(": its")[0] in shown("gate")
    for picture in re.findall(r"!\[.*?\]\((.*?)\)", TEXT):
        assert (page.PAGE.parent / picture).is_file()
