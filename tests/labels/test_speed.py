"""What the store costs: a label on top of what the reference takes, and looking through all of them."""

import os
import time
from functools import partial

import numpy as np
import pytest
from ase import Atoms

from ase_mlipgen.labels import LabelStore, label, status_of
from tests.labels.references import spring

OVERHEAD = 5e-3
"""s a label."""
REOPENING = 10.0
"""s for 10,000 labels."""


def pairs(n):
    rng = np.random.default_rng(0)
    return [Atoms("W2", positions, cell=[5, 5, 5], pbc=True) for positions in rng.normal(size=(n, 2, 3))]


def timed(function, *arguments, **options):
    begun = time.perf_counter()
    function(*arguments, **options)
    return time.perf_counter() - begun


def measured(tmp_path, monkeypatch, n):
    """Return s a label for the store without the disk's own time, s to find all again, and s to check them."""
    waited, fsync = [0.0], os.fsync

    def slow(descriptor):
        waited[0] += timed(fsync, descriptor)

    cells, reference, few = pairs(n), partial(spring, 2.0), max(n // 10, 50)
    plain = timed(label, cells[:few], reference) * n / few
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", slow)
        kept = timed(label, cells, reference, store=LabelStore(tmp_path))
    again = timed(label, cells, reference, store=LabelStore(tmp_path))
    check = timed(status_of, tmp_path, check=True)
    own, disk = (kept - plain - waited[0]) / n, waited[0] / n
    print(f"\n{n} labels: store {own * 1e3:.2f} ms and disk {disk * 1e3:.2f} ms a label, ", end="")
    print(f"found again in {again:.2f} s, checked in {check:.2f} s")
    return own, again, check


def test_overhead_of_some_hundred_labels(tmp_path, monkeypatch):
    own, again, check = measured(tmp_path, monkeypatch, 300)
    assert own < OVERHEAD
    assert (
        max(again, check) < REOPENING * 300 / 10_000 * 3
    )  # three times: this machine may be busy with other things


@pytest.mark.slow
def test_ten_thousand_labels(tmp_path, monkeypatch):
    own, again, check = measured(tmp_path, monkeypatch, 10_000)
    assert own < OVERHEAD
    assert max(again, check) < REOPENING
