"""Active learning on one large cell: certify, add the transplanted cores, match there, fit again, until it is good.

A certificate on cells that were matched would be blind, so every round transplants into larger cells than the last. A
basis that is too small to match the transplanted cores is replaced by one of a higher degree. Enter at `refinement`.
"""

from collections.abc import Iterator
from typing import NamedTuple

from ase import Atoms

from ase_mlipgen.basis import ACEBasis
from ase_mlipgen.defects import is_planar
from ase_mlipgen.result import TrainingResult
from ase_mlipgen.theory.certificate import Certificate
from ase_mlipgen.trainer import DefectTrainer

MOST_GROWTH = 6
"""Steps of the degree in one round, at most."""


class Round(NamedTuple):
    """One round: its number, the model, and what is certified of it."""

    number: int
    result: TrainingResult
    certificate: Certificate


def refinement(
    result: TrainingResult,
    atoms: Atoms,
    target: float,
    rounds: int = 3,
    n_samples: int = 10,
    degree_step: int = 2,
) -> Iterator[Round]:
    """Refine until the certified geometry error is at most `target`.

    Parameters
    ----------
    result : of `DefectTrainer.run`
    atoms : the large cell, unrelaxed
    target : Å, of the geometry error ||D(u_ref - u_sur)||
    rounds : refits at most
    n_samples : displaced copies of each transplanted cell that are labelled as well
    degree_step : by which the basis grows where it cannot match the transplanted cores; 0: never

    Yields
    ------
    Round
        The start first; the last one reaches the target, has used up the rounds, or has no minimum.

    Raises
    ------
    ValueError
        The target or the number of rounds is not positive.
    """
    if not target > 0.0 or rounds < 1:
        raise ValueError(
            f"target = {target} Å, rounds = {rounds}: expected a positive length, at least one round"
        )
    step = 2 if is_planar(atoms) else 1
    for number in range(rounds + 1):
        certificate = result.certify(atoms, size=result.trainer.matched_size + step)
        yield Round(number, result, certificate)
        if number == rounds or not certificate.has_numbers or certificate.geometry_error <= target:
            return
        result = _matched(result.trainer, certificate, n_samples, degree_step).run()


def _matched(
    trainer: DefectTrainer, certificate: Certificate, n_samples: int, degree_step: int
) -> DefectTrainer:
    """Take the smallest basis that matches the transplanted forces."""
    refined = trainer.refined(certificate, n_samples)
    for _ in range(MOST_GROWTH if degree_step > 0 else 0):
        refined.fit()
        if "transplanted_forces" in refined.matched:
            break
        refined = refined.with_basis(grown(refined.basis, degree_step))
    return refined


def grown(basis: ACEBasis, degree_step: int) -> ACEBasis:
    """Return the basis of a degree that is higher by `degree_step`."""
    content = basis.todict()
    return ACEBasis.from_dict({**content, "degree": content["degree"] + degree_step})
