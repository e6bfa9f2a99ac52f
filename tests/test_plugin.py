"""ASE finds us: by its plug-ins, and by name after `register`."""

import subprocess
import sys
from importlib.metadata import entry_points

import pytest
from ase.build import bulk
from ase.calculators.calculator import external_calculators, get_calculator_class

import ase_mlipgen
from ase_mlipgen import EAM2D, NRLTB, LinearACE, register
from ase_mlipgen.registration import CALCULATORS

CLASSES = {"eam2d": EAM2D, "nrltb": NRLTB, "linearace": LinearACE}


def installed():
    """Return whether the entry point of the package as installed is there; a checkout on the path alone has none."""
    return any(point.value == "ase_mlipgen.plugin" for point in entry_points(group="ase.plugins"))


def has_plugins():
    try:
        import ase._4.plugins.plugin  # noqa: F401
    except ImportError:
        return False
    return True


def test_register_by_name():
    assert register() == register() == tuple(CLASSES)
    for name, cls in CLASSES.items():
        assert get_calculator_class(name) is cls
    atoms = bulk("W", a=3.165)
    atoms.calc = get_calculator_class("eam2d")()
    assert atoms.get_potential_energy() == EAM2D().get_potential_energy(atoms)


def test_a_name_of_someone_else_is_not_taken(monkeypatch):
    monkeypatch.setitem(external_calculators, "nrltb", EAM2D)
    with pytest.raises(ValueError, match=r"'nrltb' is registered for ase_mlipgen\.calculators\.eam2d\.EAM2D"):
        register()
    assert external_calculators["nrltb"] is EAM2D


@pytest.mark.skipif(not has_plugins(), reason="this ASE has no plug-ins")
def test_plugins_are_the_classes():
    from ase_mlipgen.plugin import __ase_plugins__

    assert {plugin.name: plugin.implementation for plugin in __ase_plugins__} == CLASSES
    assert all(plugin.citation for plugin in __ase_plugins__)
    assert set(CALCULATORS) == set(CLASSES)


def test_plugin_is_inert_where_ase_has_none():
    code = (
        "import sys; sys.modules['ase._4'] = None; sys.modules['ase._4.plugins.plugin'] = None; "
        "import ase_mlipgen.plugin as p; print(len(p.__ase_plugins__))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "0"


@pytest.mark.skipif(
    not (has_plugins() and installed()), reason="not installed with its entry points, or an older ASE"
)
def test_ase_info_shows_us():
    run = subprocess.run(
        [sys.executable, "-m", "ase", "info", "--plugins"], capture_output=True, text=True, check=True
    )
    ours = run.stdout[run.stdout.index("ase_mlipgen") :]
    assert ase_mlipgen.__version__ in ours
    for name in CLASSES:
        assert name in ours
