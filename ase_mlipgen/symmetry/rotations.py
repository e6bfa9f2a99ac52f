"""Rotations that may be symmetries: of the lattice along periodic directions, of the atoms along open ones."""

import itertools

import numpy as np

from ase_mlipgen.symmetry.group import distinct
from ase_mlipgen.symmetry.lattice import Floats, Ints, lattice_images
from ase_mlipgen.symmetry.matching import Matcher

# An atom is off an axis if it is this many times symprec away.
OFF_AXIS = 10.0
# Axes are set up from atoms at least this far out, in units of the farthest: a rotation is then well defined.
FAR_OUT = 0.5


def candidate_rotations(matcher: Matcher, most: int) -> Floats:
    """Return orthogonal matrices, the identity first, that contain the rotation of every operation.

    Where infinitely many are (atoms on one line, a single atom), those of a finite group that contains a
    fourfold axis.

    Parameters
    ----------
    matcher : Matcher
    most : int
        Where atoms alone suggest more than this many, only those that keep one atom in place are returned.

    Returns
    -------
    (n, 3, 3) array
    """
    basis = matcher.frame.periodic
    images = lattice_images(basis, matcher.symprec)
    complement, complements = _open_images(matcher, most)
    inverse = np.linalg.inv(np.concatenate([basis, complement]))
    rotations = []
    for image, other in itertools.product(images, complements):
        transposed = inverse @ np.concatenate([image, other])
        left, stretch, right = np.linalg.svd(transposed)
        if abs(stretch - 1).max() < 0.1:
            rotations.append((left @ right).T)
    # Atoms above one another along a wire suggest the same.
    found = np.array(rotations)[np.unique(distinct(np.array(rotations)))]
    found = np.where(abs(found - np.round(found)) < 1e-12, np.round(found), found) + 0.0
    distance = np.linalg.norm(found - np.eye(3), axis=(1, 2))
    return found[np.argsort(np.round(distance, 6), kind="stable")]


def _open_images(matcher: Matcher, most: int) -> tuple[Floats, Floats]:
    """Return vectors that span the open directions, (n_open, 3), and what they may be turned into."""
    axes = matcher.frame.open_axes
    if len(axes) == 0:
        return axes, axes[None]
    if len(axes) == 1:
        return axes, np.stack([axes, -axes])
    z_ic = matcher.y_ic @ axes.T @ axes
    return _plane_images(matcher, z_ic, most) if len(axes) == 2 else _space_images(matcher, z_ic, most)


def _square(axes: Floats) -> Floats:
    """Return the signed permutations of orthonormal axes."""
    n = len(axes)
    signs = np.array(list(itertools.product((1, -1), repeat=n)))
    return np.concatenate(
        [s[:, None] * axes[list(p)] for s in signs for p in itertools.permutations(range(n))]
    ).reshape(-1, n, 3)


def _plane_images(matcher: Matcher, z_ic: Floats, most: int) -> tuple[Floats, Floats]:
    """One periodic direction: turns about it, and mirrors, that take one atom onto another."""
    axes = matcher.frame.open_axes
    radii = np.linalg.norm(z_ic, axis=1)
    if radii.max() <= OFF_AXIS * matcher.symprec:
        return axes, _square(axes)
    axis = np.cross(*axes)
    first = matcher.rarest(radii >= FAR_OUT * radii.max())
    peers = matcher.peers(first)
    peers = peers if 2 * len(peers) <= most else np.array([first])
    images = [[v, s * np.cross(axis, v)] for v in z_ic[peers] for s in (1, -1)]
    return np.stack([z_ic[first], np.cross(axis, z_ic[first])]), np.array(images)


def _space_images(matcher: Matcher, z_ic: Floats, most: int) -> tuple[Floats, Floats]:
    """No periodic direction: rotations that take two atoms, off one line with the centre, onto others."""
    radii = np.linalg.norm(z_ic, axis=1)
    if radii.max() <= OFF_AXIS * matcher.symprec:
        return np.eye(3), _square(np.eye(3))
    first = matcher.rarest(radii >= FAR_OUT * radii.max())
    axis = z_ic[first] / radii[first]
    off = np.linalg.norm(z_ic - (z_ic @ axis)[:, None] * axis, axis=1)
    if off.max() <= OFF_AXIS * matcher.symprec:
        return _line_images(axis)
    second = matcher.rarest(off >= FAR_OUT * off.max())
    others = matcher.peers(second)
    images: list[Floats] = []
    for peer in matcher.peers(first):
        images += _pair_images(z_ic, first, second, peer, others, matcher.symprec)
        if len(images) > most:
            images = _pair_images(z_ic, first, second, first, others, matcher.symprec)
            break
    u, v = z_ic[first], z_ic[second]
    return np.stack([u, v, _normal(u, v)]), np.array(images)


def _line_images(axis: Floats) -> tuple[Floats, Floats]:
    seed = np.eye(3)[np.argmin(abs(axis))]
    x = np.cross(axis, seed) / np.linalg.norm(np.cross(axis, seed))
    plane = np.stack([x, np.cross(axis, x)])
    images = [np.concatenate([[s * axis], square]) for s in (1, -1) for square in _square(plane)]
    return np.concatenate([[axis], plane]), np.array(images)


def _normal(u: Floats, v: Floats) -> Floats:
    """Return u x v with a length that is comparable to theirs, whatever their angle."""
    normal = np.cross(u, v)
    return normal / np.linalg.norm(normal) * np.sqrt(np.linalg.norm(u) * np.linalg.norm(v))


def _pair_images(
    z_ic: Floats, first: int, second: int, peer: int, others: Ints, symprec: float
) -> list[Floats]:
    """Return where a pair of atoms and its normal may go if the first goes to `peer`; both hands."""
    u, v = z_ic[peer], z_ic[others]
    wanted = z_ic[first] @ z_ic[second]
    slack = 4 * symprec * (np.linalg.norm(z_ic[first]) + np.linalg.norm(z_ic[second])) + 1e-11
    alike = others[abs(v @ u - wanted) <= slack]
    return [np.stack([u, w, s * _normal(u, w)]) for w in z_ic[alike] for s in (1, -1)]
