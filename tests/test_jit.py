"""Where compiled kernels are kept: a small module with one kernel, run in fresh processes."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import ase_mlipgen
from ase_mlipgen import jit

MODULE = """
from ase_mlipgen.jit import helper, kernel

@helper
def _twice(x):
    return 2.0 * x

@kernel
def triple(x):
    return x + _twice(x)

print(triple(7.0))
"""
SAID = "compiling numerical kernels"
HERE = str(Path(ase_mlipgen.__file__).parent.parent)


@pytest.fixture
def run(tmp_path):
    """Run the module in a new process; return what it wrote to standard error."""
    (tmp_path / "own.py").write_text(MODULE)

    def call(**environment):
        clean = {k: v for k, v in os.environ.items() if not k.startswith("NUMBA_")}
        clean["PYTHONPATH"] = os.pathsep.join([str(tmp_path), HERE])
        clean["XDG_CACHE_HOME"] = str(tmp_path / "user")
        done = subprocess.run(
            [sys.executable, "-c", "import own"], env={**clean, **environment}, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout == "21.0\n"
        return done.stderr

    return call


def kept(folder):
    return sorted(path.name for path in Path(folder).rglob("*.nb?"))


def test_kept_beside_the_sources_and_announced_once(run, tmp_path):
    assert run().count(SAID) == 1
    assert len(kept(tmp_path / "__pycache__")) == 2
    assert SAID not in run()


def test_a_chosen_directory_is_used_and_others_are_still_read(run, tmp_path):
    chosen = str(tmp_path / "chosen")
    assert chosen in run(NUMBA_CACHE_DIR=chosen)
    assert kept(chosen)
    assert not kept(tmp_path / "__pycache__")
    run()
    assert SAID not in run(NUMBA_CACHE_DIR=str(tmp_path / "empty"))


def test_nothing_can_be_written(run, tmp_path):
    (tmp_path / "__pycache__").write_text("a file where the directory should be")
    (tmp_path / "user").write_text("and another")
    for _ in range(2):
        assert "no directory can be written" in run(PYTHONDONTWRITEBYTECODE="1")


@pytest.mark.parametrize("ending", ["nbi", "nbc"])
@pytest.mark.parametrize("content", [b"", b"\x80\x04garbage"])
def test_damaged_files_are_replaced(run, tmp_path, ending, content):
    run()
    (damaged,) = (tmp_path / "__pycache__").glob(f"*.{ending}")
    damaged.write_bytes(content)
    assert SAID in run()
    assert SAID not in run()


def test_other_sources_make_kernels_stale(monkeypatch, tmp_path):
    (tmp_path / "ace").mkdir()
    monkeypatch.setattr(jit, "PACKAGE", tmp_path)
    digests = set()
    for text in ("a = 1", "a = 2"):
        (tmp_path / "ace" / "lane.py").write_text(text)
        jit.sources_digest.cache_clear()
        digests.add(jit.sources_digest())
    (tmp_path / "report.py").write_text("not a kernel's room, but beside them")
    jit.sources_digest.cache_clear()
    digests.add(jit.sources_digest())
    jit.sources_digest.cache_clear()
    assert len(digests) == 3


def test_the_collector_is_on_again_after_a_compilation():
    import gc

    @jit.kernel
    def fails(x):
        return x.no_such_attribute

    assert gc.isenabled()
    with pytest.raises(Exception, match="no_such_attribute"):
        fails(np.zeros(2))
    assert gc.isenabled()
