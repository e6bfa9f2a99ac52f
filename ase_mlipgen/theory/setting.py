"""What a certificate is about: a large cell, the lattice under it, its cores, and how to ask the reference.

Enter at `setting_of`, `Labelling`.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import numpy as np
from ase import Atoms

from ase_mlipgen.defects import minimum_image, nearest_distances
from ase_mlipgen.labels import (
    AskingCalculator,
    Configuration,
    Folders,
    LabelledCell,
    LabelStore,
    as_factory,
    file_based,
    label,
)
from ase_mlipgen.theory.cores import Core, find_cores
from ase_mlipgen.theory.sites import Primitive, Sites, host_sites, primitive
from ase_mlipgen.theory.transplant import TrainedCore, grafted, trained_core


class Trained(Protocol):
    """What is needed of a training cell."""

    @property
    def defect(self) -> str: ...  # noqa: D102
    @property
    def size(self) -> int: ...  # noqa: D102
    @property
    def unrelaxed(self) -> Atoms: ...  # noqa: D102
    @property
    def perfect(self) -> Atoms: ...  # noqa: D102


TrainedT = TypeVar("TrainedT", bound=Trained)


class Relaxed(Trained, Protocol):
    """A training cell that the reference has relaxed."""

    @property
    def relaxed(self) -> Atoms: ...  # noqa: D102


@dataclass(frozen=True)
class Labelling:
    """How the reference is asked.

    Attributes
    ----------
    reference : calculator or factory
    executor, store, tag, time_limit, retries : as in `ase_mlipgen.labels.label`
    progress : callable (labels done, in all)
    folders : where a file-based code works
    """

    reference: Any
    executor: Executor | None = None
    store: LabelStore | None = None
    tag: str | None = None
    progress: Callable[[int, int], None] | None = None
    time_limit: float | None = None
    retries: int = 0
    folders: Folders | None = None

    def __call__(
        self, cells: Sequence[Atoms], observations: Sequence[str] = ("energy", "forces")
    ) -> list[LabelledCell]:
        """Label cells whose info says what they are."""
        return self._label([Configuration.of(atoms) for atoms in cells], observations, self.progress)

    def calculator(self, expensive: bool | None = None) -> Any:
        """Return the reference as a calculator, for relaxations and the like.

        Parameters
        ----------
        expensive : make a label of every answer, so that it is kept; None: of a file-based code
        """
        calculator = as_factory(self.reference)()
        if file_based(calculator) if expensive is None else expensive:
            return AskingCalculator(lambda atoms, kinds: self._label([atoms], kinds, None)[0])
        return calculator

    def _label(
        self,
        jobs: Sequence[Configuration | Atoms],
        observations: Sequence[str],
        progress: Callable[[int, int], None] | None,
    ) -> list[LabelledCell]:
        return label(
            jobs,
            self.reference,
            self.executor,
            observations,
            progress,
            self.store,
            self.tag,
            self.time_limit,
            self.retries,
            self.folders,
        )


@dataclass(eq=False)
class Setting:
    """The large cell, its lattice and what was trained."""

    atoms: Atoms
    surrogate: Any
    host: Primitive
    sites: Sites
    trained: list[TrainedCore]
    cores: list[Core]
    perfect: Atoms
    size: int
    times: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the time of a block to a stage's."""
        begun = time.perf_counter()
        yield
        self.times[stage] = self.times.get(stage, 0.0) + time.perf_counter() - begun


def largest(cells: Sequence[TrainedT], defect: str | None = None) -> TrainedT:
    """Choose the training cell with most sites, of one defect or of all."""
    own = [cell for cell in cells if defect in (None, cell.defect)]
    return max(own, key=lambda cell: len(cell.perfect))


def setting_of(surrogate: Any, cells: Sequence[Trained], atoms: Atoms) -> Setting:
    """Lay the crystal's lattice under a large cell and find its cores; see `find_cores` for what is refused."""
    host = primitive(largest(cells).perfect)
    sites = host_sites(host, atoms)
    names = list(dict.fromkeys(cell.defect for cell in cells))
    trained = [trained_core(name, largest(cells, name).unrelaxed, host) for name in names]
    perfect = Atoms(
        numbers=host.numbers_b[sites.sublattice_s],
        positions=sites.positions_sc,
        cell=atoms.cell,
        pbc=atoms.pbc,
    )
    cores = find_cores(atoms, sites, host, trained)
    return Setting(atoms, surrogate, host, sites, trained, cores, perfect, largest(cells).size)


def width_of(trained: Sequence[TrainedCore]) -> float:
    """Shortest vector of the narrowest training cell, in nearest-neighbour distances of the host."""
    return min(core.reach / float(np.median(nearest_distances(core.perfect))) for core in trained)


def warm_start(atoms: Atoms, cells: Sequence[Relaxed]) -> Atoms:
    """Displace a large cell's atoms around every core as the reference's relaxed training cells are.

    Both models then start within what was trained. An interstitial's neighbours move by an ångström, and a relaxation
    from its unrelaxed place leads a model through configurations that it has never seen.

    Parameters
    ----------
    atoms : the large cell, unrelaxed
    cells : relaxed training cells; of each defect the largest is used
    """
    setting = setting_of(None, cells, atoms)
    started = atoms.copy()
    for core in setting.cores:
        trained = setting.trained[core.kind]
        cell = largest(cells, trained.name)
        u_ic = minimum_image(cell.relaxed.positions - cell.unrelaxed.positions, cell.unrelaxed)
        started.positions += grafted(trained, core.centre, atoms, setting.sites, u_ic)
    return started
