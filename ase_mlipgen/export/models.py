"""A `.yace` file as a model: basis, coefficients, energies of the elements. Enter at `read_model`.

Own files have the basis and the coefficients in their metadata; these are taken if they are what the file says, so
that a model comes back to the last bit. All other files are taken by their functions.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from ase_mlipgen.ace.specification import Block
from ase_mlipgen.basis import ACEBasis
from ase_mlipgen.export.assemble import FORMAT, VERSION
from ase_mlipgen.export.bonds import Families, Polynomials
from ase_mlipgen.export.contents import Contents, Floats, YaceError
from ase_mlipgen.export.imported import ImportedBasis
from ase_mlipgen.export.layout import layout_of
from ase_mlipgen.export.projecting import blocks_of, coefficients, same_channel
from ase_mlipgen.export.reading import read
from ase_mlipgen.files import json_of


class ReadModel(NamedTuple):
    """A file as a model: basis, coefficients (eV), energies of the elements (eV)."""

    basis: ACEBasis
    coefficients: Floats
    E0: dict[str, float]


def read_model(path: str | Path) -> ReadModel:
    """Read a linear potential from a `.yace` file.

    Raises
    ------
    FileNotFoundError
    YaceError
        Not a complete file of a linear potential, or one whose metadata belong to another model.
    """
    contents = read(path)
    E0 = dict(zip(contents.elements, contents.E0, strict=True))
    try:
        if contents.metadata.get("format") == FORMAT:
            return ReadModel(*_own(contents), E0)
        return ReadModel(*without_metadata(contents), E0)
    except YaceError as error:
        raise YaceError(f"{path}: {error}") from None


def without_metadata(contents: Contents) -> tuple[ACEBasis, Floats]:
    """Return a basis of the file's own functions, and their coefficients by projection."""
    tabulated = isinstance(next(iter(contents.bonds.values())), Families)
    layout = layout_of(contents.bonds, contents.pair_terms) if tabulated else None
    channel_of = layout.channel if layout is not None else same_channel
    blocks = blocks_of(contents.functions, channel_of)
    found = [coefficients(own, blocks, channel_of) for own in contents.functions]
    if layout is not None and layout.n_core:
        # The core comes first among the functions of one factor; the file's A is sqrt(4 pi) times ours.
        extra: list[Block] = [(layout.core(mu),) for mu in range(len(contents.elements))]
        blocks = extra + blocks
        found = [np.concatenate([np.full(len(extra), np.sqrt(4 * np.pi)), own]) for own in found]
    if not blocks:
        raise YaceError("functions: there are none; expected an expansion")
    return ImportedBasis(contents.heads, blocks), np.concatenate(found)


def _own(contents: Contents) -> tuple[ACEBasis, Floats]:
    """Return basis and coefficients of the metadata, if the entries are those that they give."""
    version = contents.metadata.get("version")
    if version != str(VERSION):
        raise YaceError(
            f"metadata: version = {version!r}, this release reads {VERSION}: update ase-mlipgen, or remove the "
            "entry metadata to read the functions alone"
        )
    try:
        basis = ACEBasis.from_dict(json_of(contents.metadata["basis"]))
        values = np.array(json_of(contents.metadata["coefficients"]), dtype=float)
        if values.shape != (len(basis),) or basis.elements != contents.elements:
            raise ValueError(f"{basis!r} does not fit {values.shape[0]} coefficients of {contents.elements}")
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise YaceError(
            f"metadata: not those of a model ({error}); remove the entry to read the functions alone"
        ) from None
    projected = np.concatenate([coefficients(own, basis.blocks, same_channel) for own in contents.functions])
    same = np.allclose(projected, values, rtol=1e-9, atol=1e-12 * np.abs(values).max(initial=0.0))
    if not (same and _same_radials(basis, contents) and _same_cores(basis, contents)):
        raise YaceError(
            "metadata: they are of another model than bonds, functions and pair terms, which were changed; "
            "remove the entry metadata to read what the file says"
        )
    return basis, values


def _same_radials(basis: ACEBasis, contents: Contents) -> bool:
    for pair, bond in contents.bonds.items():
        if not isinstance(bond, Polynomials):
            return False
        radial = basis.radial_bases[pair]
        ours = (radial.p, radial.r0, *radial.interval, radial.pcut, radial.pin)
        theirs = (bond.p, bond.r0, bond.xl, bond.xr, bond.pl, bond.pr)
        if not (
            np.allclose(ours, theirs, rtol=1e-12)
            and np.allclose(bond.rows, radial.recurrence(len(bond.rows)), rtol=1e-12, atol=1e-12)
        ):
            return False
    return True


def _same_cores(basis: ACEBasis, contents: Contents) -> bool:
    r = np.linspace(0.1, basis.cutoff, 200)
    for pair in contents.bonds:
        theirs = np.zeros(len(r))
        for term in contents.pair_terms:
            theirs += term.evaluate(r, pair)[0] * (r < term.cutoff)
        ours = np.zeros(len(r))
        if pair in basis.cores:
            core = basis.cores[pair]
            ours = core.evaluate(r)[0] * (r < core.cutoff)
        if not np.allclose(ours, theirs, rtol=1e-9, atol=1e-9):
            return False
    return True
