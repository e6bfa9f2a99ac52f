"""The linear ACE potential as an ASE calculator.

E = sum_i [E0(element of i) + sum_k c_k B_k(neighbourhood of i)] + (repulsive core of pairs closer than r0).
The work is `ace.evaluation.evaluate`: blocks of atoms in threads, summed in order, so that results do not depend on how
many there are.
"""

import hashlib
import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError

from ase_mlipgen.ace import evaluation, lanes, second_derivatives
from ase_mlipgen.ace.evaluation import Potential
from ase_mlipgen.ace.plan import monomial_coefficients
from ase_mlipgen.ace.sites import Structure
from ase_mlipgen.basis import ACEBasis
from ase_mlipgen.calculators.base import Evaluation, PairCalculator
from ase_mlipgen.durable import replacing
from ase_mlipgen.export.imported import basis_from_dict
from ase_mlipgen.export.lammps import Exported, write_model
from ase_mlipgen.export.models import read_model
from ase_mlipgen.files import DamagedError, json_of, read_text
from ase_mlipgen.neighbors import Pairs
from ase_mlipgen.posterior import Posterior, PosteriorError, Uncertainty
from ase_mlipgen.threads import available_threads

FORMAT = "ase_mlipgen.LinearACE"
VERSION = 1
POSTERIOR = ".posterior.npz"
"""Ending of the file that holds a model's posterior, in place of .json."""


class ModelFileError(ValueError):
    """A model file that cannot be read: truncated, altered, foreign or of a newer version."""


class UnstableModelError(ArithmeticError):
    """A model that is known not to be stable was to be exported."""


class UnstableModelWarning(UserWarning):
    """A model file says that its model is not stable."""


class LinearACE(PairCalculator):
    """Linear atomic cluster expansion.

    Parameters
    ----------
    basis : ACEBasis
    coefficients : (len(basis),) array
        eV; the functions of one centre element after another.
    E0 : mapping of symbol to float, optional
        Energy added to each atom of an element, eV; zero where not given.
    threads : int, optional
        Threads of one evaluation; by default the cores this process may use. Results do not depend on it.
    metadata : mapping, optional
        JSON-able remarks kept in the model file. "unstable", a sentence, is set by trainers where a model does not pass
        their stability gate: `load` then warns, and `export_lammps` refuses.
    posterior : Posterior, optional
        What the fit leaves uncertain: see `get_uncertainty`. Kept in a file of its own beside the model's.

    Raises
    ------
    ValueError
        If the coefficients do not fit the basis or are not finite, or E0 names an unknown element.
    """

    def __init__(
        self,
        basis: ACEBasis,
        coefficients: npt.ArrayLike,
        E0: Mapping[str, float] | None = None,
        *,
        threads: int | None = None,
        metadata: Mapping[str, Any] | None = None,
        posterior: Posterior | None = None,
        **kwargs: Any,
    ) -> None:
        self.basis = basis
        self.posterior = posterior
        self.coefficients = np.array(coefficients, dtype=float)
        self.metadata = dict(metadata or {})
        self.threads = threads
        if self.coefficients.shape != (len(basis),):
            raise ValueError(
                f"{basis!r} has {len(basis)} functions and needs that many coefficients, "
                f"got an array of shape {self.coefficients.shape}"
            )
        if not np.isfinite(self.coefficients).all():
            raise ValueError("coefficients contain NaN or infinity; expected finite numbers from a fit")
        self.E0 = _checked_E0(E0, basis.elements)
        per_element = self.coefficients.reshape(len(basis.elements), -1)
        models = [
            lanes.bind(basis.plan, basis.lane_plan, monomial_coefficients(basis.plan, c)) for c in per_element
        ]
        self._potential = Potential(
            basis.cutoff, tuple(models), basis.radial, basis.angular, basis.core_tables
        )
        super().__init__(**kwargs)
        if basis.lane_plan is None:
            self.implemented_properties = PairCalculator.implemented_properties
        self.parameters.update(basis=basis.todict(), E0=self.E0, coefficients=self.coefficients.tolist())

    @property
    def cutoff(self) -> float:
        """Range of the potential, Å."""
        return self.basis.cutoff

    @property
    def elements(self) -> tuple[str, ...]:
        """Chemical symbols that the model knows."""
        return self.basis.elements

    @property
    def unstable(self) -> str:
        """Why the model did not pass its trainer's stability gate; empty if it did, or was not asked."""
        return str(self.metadata.get("unstable") or "")

    def evaluate(self, numbers_i: npt.NDArray[np.int64], pairs: Pairs) -> Evaluation:
        """Return site energies (eV), forces (eV/Å) and virial (eV)."""
        mu_i = self.basis.indices_of(numbers_i)
        found = evaluation.evaluate(
            Structure(*pairs, mu_i), self._potential, self.threads or available_threads()
        )
        E0_i = np.array([self.E0[s] for s in self.elements])[mu_i]
        return Evaluation(found.energies_i + E0_i, found.forces, found.virial, found.closest)

    def sparse_hessian(self, numbers_i: npt.NDArray[np.int64], pairs: Pairs) -> sp.csr_matrix:
        """Return the second derivatives of the energy by the positions, eV/Å^2; orders up to 4."""
        self._check_order()
        structure = Structure(*pairs, self.basis.indices_of(numbers_i))
        return second_derivatives.hessian(structure, self._potential, self.threads or available_threads())

    def apply_hessian(
        self, numbers_i: npt.NDArray[np.int64], pairs: Pairs, v_vic: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        """Return the Hessian times each of v_vic, (n_v, n_atoms, 3), eV/Å, without forming it; orders up to 4."""
        self._check_order()
        structure = Structure(*pairs, self.basis.indices_of(numbers_i))
        return second_derivatives.hessian_products(
            structure, self._potential, v_vic, self.threads or available_threads()
        )

    def get_uncertainty(self, atoms: Atoms) -> Uncertainty:
        """Return standard deviations of the energy (eV) and the forces (eV/Å), and an extrapolation grade an atom.

        Raises
        ------
        PosteriorError
            The model has no posterior.
        """
        return self._known_posterior()(self.basis, atoms)

    def get_grades(self, atoms: Atoms) -> npt.NDArray[np.float64]:
        """Return the extrapolation grade of every atom, (n_atoms,): of `get_uncertainty`, the part that costs little.

        Up to 1 for atoms of the training samples; above, the model extrapolates.

        Raises
        ------
        PosteriorError
            The model has no posterior.
        """
        return self._known_posterior().grades(self.basis, atoms)

    def committee(self, n: int = 10, seed: int = 0) -> list["LinearACE"]:
        """Draw n models from the posterior; the mean of many is this model, their spread `get_uncertainty`'s.

        Raises
        ------
        PosteriorError
            The model has no posterior.
        """
        drawn = self._known_posterior().sample(self.coefficients, n, seed)
        mark = {"unstable": self.unstable} if self.unstable else {}
        return [LinearACE(self.basis, c, self.E0, threads=self.threads, metadata=mark) for c in drawn]

    def _known_posterior(self) -> Posterior:
        if self.posterior is None:
            raise PosteriorError(
                "this model has no posterior: take the calculator of a TrainingResult, or load a model file that "
                "has its .posterior.npz beside it"
            )
        return self.posterior

    def _check_order(self) -> None:
        if self.basis.lane_plan is None:
            raise PropertyNotImplementedError(
                f"no analytic Hessian of order {self.basis.order}: use a basis of order 4 or less, or "
                f"matscipy.numerical.numerical_hessian, which takes differences of forces"
            )

    def save(self, path: str | Path) -> Path:
        """Write the model to a JSON file and return its path.

        The file holds the basis parameters, the coefficients with every digit, E0, the metadata and a
        checksum; a posterior goes into NAME.posterior.npz beside it. Both are written under a temporary name and
        renamed, so that an interrupted save leaves no half file.
        """
        path = Path(path)
        if path.suffix != ".json":
            raise ValueError(f"a model file ends in .json, got {path.name!r}")
        payload = {
            "format": FORMAT,
            "version": VERSION,
            "basis": self.basis.todict(),
            "E0": self.E0,
            "coefficients": self.coefficients.tolist(),
            "metadata": self.metadata,
        }
        text = json.dumps({**payload, "checksum": _checksum(payload)}, indent=1, allow_nan=False)
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
        beside = path.with_suffix(POSTERIOR)
        if self.posterior is not None:
            self.posterior.save(beside, self.coefficients)
        else:
            beside.unlink(missing_ok=True)
        return path

    @classmethod
    def load(cls, path: str | Path, **kwargs: Any) -> "LinearACE":
        """Read a model file written by `save`.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ModelFileError
            If the file is truncated, altered, not a model of this package, or newer than this version can read.
        PosteriorError
            If a posterior lies beside it that is damaged or of another model.

        Warns
        -----
        UnstableModelWarning
            If the model did not pass its trainer's stability gate.
        """
        payload = _read(Path(path))
        try:
            basis = basis_from_dict(payload["basis"])
            model = cls(basis, payload["coefficients"], payload["E0"], metadata=payload["metadata"], **kwargs)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise ModelFileError(f"{path}: the model's content does not fit together: {error}") from error
        beside = Path(path).with_suffix(POSTERIOR)
        if beside.is_file():
            model.posterior = Posterior.load(beside, model.coefficients)
        if model.unstable:
            warnings.warn(f"{path}: {model.unstable}", UnstableModelWarning, stacklevel=2)
        return model

    def export_lammps(
        self, path: str | Path, structures: Sequence[Atoms] | None = None, *, force: bool = False
    ) -> Exported:
        """Write the model for LAMMPS, exactly: NAME.yace (pair_style pace), and in.NAME with NAME.data, which run.

        Repulsive cores of several lengths, as elements of different sizes have, need further files beside NAME.yace;
        the input sums them. The files are kept only after they were read back and evaluated.

        Parameters
        ----------
        path : path
            Ends in .yace.
        structures : sequence of Atoms, optional
            Where the files are compared with the model, best the training cells; by default atoms at random positions.
        force : bool
            Whether to export a model that is known not to be stable.

        Returns
        -------
        Exported
            Paths, size, largest deviations of energy per atom and force.

        Raises
        ------
        YaceError
            A name without .yace.
        ExportError
            A deviation above 1e-8 eV/atom; no file is kept then.
        UnstableModelError
            The model did not pass its trainer's stability gate, and `force` is not set.
        """
        if self.unstable and not force:
            raise UnstableModelError(
                f"this model is not exported: {self.unstable}. To export it all the same: "
                "export_lammps(..., force=True), or mlipgen export --force"
            )
        return write_model(path, self.basis, self.coefficients, self.E0, self._energy_and_forces, structures)

    @classmethod
    def from_yace(cls, path: str | Path, **kwargs: Any) -> "LinearACE":
        """Read a linear potential from a `.yace` file of LAMMPS (ML-PACE), exactly.

        Files of `export_lammps` give the model that was exported, with the same basis and coefficients. Of others,
        those with radial functions of ACE.jl are evaluated by their formulas; those with functions of pacemaker
        (ChebExpCos, ChebPow, ChebLinear, SBessel) from the look-up table that ML-PACE uses, and cannot be fitted again.

        Raises
        ------
        FileNotFoundError
        YaceError
            Not a complete file of a linear potential: embeddings that are not linear, cores that are not additive,
            radial functions from tables, terms that are not rotation invariant; the key is named.
        """
        found = read_model(path)
        return cls(found.basis, found.coefficients, found.E0, **kwargs)

    def __repr__(self) -> str:
        return f"LinearACE({self.basis!r}, {len(self.basis)} coefficients)"


def _checked_E0(E0: Mapping[str, float] | None, elements: tuple[str, ...]) -> dict[str, float]:
    given = dict(E0 or {})
    unknown = sorted(set(given) - set(elements))
    if unknown:
        raise ValueError(f"E0 names {', '.join(unknown)}, but the basis knows only {', '.join(elements)}")
    for symbol, value in given.items():
        if not np.isfinite(value):
            raise ValueError(f"E0 of {symbol} must be a finite energy in eV, got {value!r}")
    return {symbol: float(given.get(symbol, 0.0)) for symbol in elements}


def _checksum(payload: Mapping[str, Any]) -> str:
    canonical = json.dumps(payload, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _read(path: Path) -> dict[str, Any]:
    """Return the verified content of a model file."""
    try:
        payload = json_of(read_text(path))
    except DamagedError as error:
        raise ModelFileError(
            f"{path} is not a complete JSON file ({error}); it was truncated or is not a model, save it again"
        ) from error
    if not isinstance(payload, dict) or payload.get("format") != FORMAT:
        kind = payload.get("format") if isinstance(payload, dict) else type(payload).__name__
        raise ModelFileError(
            f"{path} is not a {FORMAT} file (found {kind!r}); expected one written by LinearACE.save"
        )
    if payload.get("version") != VERSION:
        raise ModelFileError(
            f"{path} has format version {payload.get('version')!r}, this release reads version {VERSION}; "
            "update ase-mlipgen or save the model again"
        )
    stated = payload.pop("checksum", None)
    if stated != _checksum(payload):
        raise ModelFileError(
            f"{path}: the checksum does not match its content; the file was altered or damaged"
        )
    return payload
