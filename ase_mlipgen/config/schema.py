"""The tables of a configuration file, their keys, defaults and meanings.

The descriptions are what `mlipgen init` writes beside every key. Lengths in Å, energies in eV. Enter at
`Config`.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Length = Annotated[float, Field(gt=0, allow_inf_nan=False)]
MOST_CELLS, MOST_SAMPLES, MOST_POWER, LONGEST_CUTOFF = 10_000, 10_000_000, 24, 100.0
"""What no run can mean: larger ones are slips, and are refused before anything is made."""
Count = Annotated[int, Field(ge=0, lt=2**63)]
CRYSTALS = '"triangular" (2D), "bulk" (a structure ASE knows) or "file"'
DEFECTS = '"vacancy", "interstitial", "substitution" or "file"'
Number = Annotated[float, Field(allow_inf_nan=False)]


class Table(BaseModel):
    """A table of the file: unknown keys are refused, nothing is converted silently."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class TriangularCrystal(Table):
    """The triangular lattice of two dimensions."""

    kind: Literal["triangular"] = Field(description=CRYSTALS)
    element: str = Field(description="chemical symbol")
    r0: Length = Field(description="nearest-neighbour distance, Å")


class BulkCrystal(Table):
    """A crystal of `ase.build.bulk`."""

    kind: Literal["bulk"] = Field(description=CRYSTALS)
    name: str = Field(description="chemical symbol or formula, as in ase.build.bulk")
    crystalstructure: str | None = Field(
        default=None, description="fcc, bcc, hcp, diamond, zincblende, rocksalt ..."
    )
    a: Length | None = Field(default=None, description="lattice constant, Å")
    c: Length | None = Field(default=None, description="second lattice constant, Å")
    cubic: bool = Field(default=True, description="cubic unit cell")
    orthorhombic: bool = Field(default=False, description="orthorhombic unit cell")


class FileCrystal(Table):
    """A crystal in a file that ASE reads."""

    kind: Literal["file"] = Field(description=CRYSTALS)
    path: str = Field(description="file with the unit cell, relative to this file")


class VacancyTable(Table):
    """A missing atom."""

    kind: Literal["vacancy"] = Field(description=DEFECTS)
    index: Count = Field(default=0, description="atom of the crystal's unit cell that is missing")


class InterstitialTable(Table):
    """An additional atom."""

    kind: Literal["interstitial"] = Field(description=DEFECTS)
    scaled_position: Annotated[list[Number], Field(min_length=2, max_length=3)] = Field(
        description="fractional coordinates in the unit cell; two in a planar crystal"
    )
    element: str | None = Field(
        default=None, description="chemical symbol; the crystal's first element if not given"
    )
    closest: Length = Field(
        default=0.45, description="least distance to an atom, in nearest-neighbour distances"
    )


class SubstitutionTable(Table):
    """A foreign atom."""

    kind: Literal["substitution"] = Field(description=DEFECTS)
    element: str = Field(description="chemical symbol of the foreign atom")
    index: Count = Field(default=0, description="atom of the crystal's unit cell that it replaces")


class FileDefect(Table):
    """A defect read from a cell that holds it."""

    kind: Literal["file"] = Field(description=DEFECTS)
    path: str = Field(description="an unrelaxed supercell with the defect, relative to this file")


Crystal = Annotated[TriangularCrystal | BulkCrystal | FileCrystal, Field(discriminator="kind")]
Defect = Annotated[
    VacancyTable | InterstitialTable | SubstitutionTable | FileDefect, Field(discriminator="kind")
]


class Reference(Table):
    """The model that is to be learned."""

    factory: str = Field(
        default="EAM2D",
        description='"EAM2D", "NRLTB:Si", "EMT"; "package.module:name" or "file.py:name" of a class or factory',
    )
    arguments: dict[str, Any] = Field(default_factory=dict, description="keyword arguments of the factory")
    folder: str | None = Field(
        default=None, description="where the module of the factory is, if it is not installed"
    )
    tag: str | None = Field(
        default=None, description="identity of a reference that cannot state its own parameters"
    )
    files: str | None = Field(
        default=None, description="where a file-based code works; in the run directory if not given"
    )
    keep_files: bool = Field(default=False, description="keep its files of labels that were made, too")
    expensive: bool | None = Field(
        default=None,
        description="keep every step of relaxations as a label; if not given, of a file-based code",
    )


class Basis(Table):
    """The atomic cluster expansion."""

    elements: list[str] | None = Field(default=None, description="those of crystal and defects if not given")
    order: Annotated[int, Field(ge=1, le=6)] = Field(
        default=3, description="correlation order, body order minus one"
    )
    degree: Annotated[float, Field(ge=1, le=60)] = Field(
        default=14.0, description="largest sum of n + degree_l * l"
    )
    cutoff: Annotated[float, Field(gt=0, le=LONGEST_CUTOFF, allow_inf_nan=False)] = Field(
        default=6.0, description="Å"
    )
    degree_l: Length = Field(default=1.5, description="weight of the angular momentum in the degree")
    r0: Length | dict[str, Length] | None = Field(
        default=None,
        description="length of the distance transform, Å; from ASE's reference states if not given",
    )
    r_in: Length | dict[str, Length] | None = Field(
        default=None, description="inner cutoff, Å; 0.65 r0 if not given"
    )
    p: Annotated[int, Field(ge=1, le=MOST_POWER)] = Field(
        default=2, description="power of the distance transform"
    )
    pcut: Annotated[int, Field(ge=0, le=MOST_POWER)] = Field(
        default=2, description="power of the outer envelope"
    )
    pin: Annotated[int, Field(ge=0)] = Field(default=2, description="power of the inner envelope")
    core: Literal["zbl", "none"] = Field(
        default="zbl", description='repulsion at short distance: "zbl" or "none"'
    )


class Training(Table):
    """Cells and samples."""

    size: Annotated[int, Field(ge=1, le=MOST_CELLS)] | list[Annotated[int, Field(ge=1, le=MOST_CELLS)]] = (
        Field(default=8, description="training cells, in unit cells (r0 in 2D); several sizes in a list")
    )
    n_train: Annotated[int, Field(ge=1, le=MOST_SAMPLES)] = Field(
        default=200, description="training samples of each defect and size"
    )
    n_test: Count = Field(default=50, description="test samples of each defect and size")
    n_perfect: Count = Field(
        default=20, description="perfect-crystal cells: they fix the energy per bulk atom"
    )
    amplitude: Length = Field(default=0.05, description="largest displacement of a coordinate of a sample, Å")
    distribution: Literal["uniform", "normal"] = Field(
        default="uniform", description='"uniform", or "normal": then amplitude is the standard deviation'
    )
    seed: Count = Field(default=0, description="of the random displacements")
    fmax: Length = Field(default=1e-5, description="tolerance of relaxations, eV/Å")
    optimizer: str | None = Field(default=None, description='"FIRE", "BFGS" ... or "package.module:name"')


Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Rank(Table):
    """How the rank of a fit is found."""

    rtol: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=1e-6, description="relative tolerance of the rank"
    )
    scaling: Literal["column", "none"] = Field(
        default="column", description='of columns before the tolerance is applied: to unit norm, or "none"'
    )


class Fit(Rank):
    """The least-squares problem."""

    weights: Literal["theory"] | dict[str, Weight | dict[str, Weight]] = Field(
        default={"energy": 100.0, "forces": 1.0},
        description='of squared residuals, as in eq. (4.2); or such a table a defect; or "theory": eps_E <= eps_F^2',
    )
    force_norm: Literal["l2", "dual"] = Field(
        default="l2",
        description='squared force residuals: of components, "l2", or in the theory\'s "dual" norm',
    )
    matching: Literal["exact", "none"] | list[Literal["energies", "forces", "force_constants"]] = Field(
        default="exact",
        description='imposed exactly: "exact" (all), "none", or a list of "energies", "forces", "force_constants"',
    )
    observations: list[Literal["energy", "forces", "stress", "force_constants"]] = Field(
        default=["energy", "forces"], description="what is fitted; may add stress, force_constants"
    )
    force_constants: bool | None = Field(
        default=None,
        description="measure force constants of the defect cells; if not given, where the reference has a Hessian",
    )
    E0: dict[str, Number] | None = Field(
        default=None, description="energy of each element, eV; fitted if not given"
    )


def _spelled_out(defect: Any) -> Any:
    """Take a word such as "vacancy" for a table with that kind."""
    return {"kind": defect} if isinstance(defect, str) else defect


class Simulation(Table):
    """A large cell, on which model and reference are compared."""

    size: Annotated[int, Field(ge=1, le=MOST_CELLS)] = Field(
        default=60, description="unit cells along each direction (r0 in 2D)"
    )
    separation: Length | Annotated[list[Number], Field(min_length=2, max_length=3)] = Field(
        default=8.0,
        description="least distance of defects, in unit cells (r0 in 2D); or a vector in lattice constants, [5, 5, 5]",
    )
    defects: list[Annotated[Defect, BeforeValidator(_spelled_out)]] = Field(
        default=[VacancyTable(kind="vacancy"), VacancyTable(kind="vacancy")],
        description='"vacancy", or tables as in [[defects]]',
    )
    fmax: Length = Field(default=1e-5, description="tolerance of the relaxations, eV/Å")
    mu: dict[str, Number] | None = Field(
        default=None, description="chemical potentials, eV, where the host's energy does not give them"
    )


class Labels(Table):
    """How the reference is asked."""

    time_limit: Length | None = Field(
        default=None, description="s a label may take; it then runs in a process that is ended at the limit"
    )
    retries: Count = Field(default=0, description="further attempts at a label that failed")


class Run(Table):
    """How the work is done; results do not depend on it."""

    executor: str | None = Field(
        default=None,
        description='"serial", "processes", "dask", "dask:tcp://host:8786", "executorlib:SlurmClusterExecutor" ...',
    )
    workers: Annotated[int, Field(ge=1, le=MOST_CELLS)] | None = Field(
        default=None,
        description="how many; if not given, one, or all cores of this machine for an executor that is named",
    )
    settings: dict[str, Any] = Field(
        default_factory=dict, description="keyword arguments for dask's cluster or executorlib's class"
    )
    timeout: Length = Field(
        default=120.0, description="how long a dask scheduler and its workers may take to answer, s"
    )
    fit: bool | None = Field(
        default=None,
        description="the executor folds the rows of the fit too; if not given, where it is a much larger machine",
    )


class Config(Table):
    """A whole configuration."""

    crystal: Crystal
    defects: Annotated[list[Defect], Field(min_length=1)]
    reference: Reference = Field(default_factory=Reference)
    basis: Basis = Field(default_factory=Basis)
    training: Training = Field(default_factory=Training)
    fit: Fit = Field(default_factory=Fit)
    simulation: Simulation | None = None
    labels: Labels = Field(default_factory=Labels)
    run: Run = Field(default_factory=Run)


class Data(Table):
    """Files of labels, in the place of crystal, defects, reference and training."""

    files: Annotated[list[str], Field(min_length=1)] = Field(
        description="extended XYZ, relative to this file; `mlipgen census` says what they hold"
    )
    test_files: list[str] = Field(default=[], description="test cells; a share of files if not given")
    test_fraction: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.1, description="share of every group that is test cells, where there are no test_files"
    )
    seed: Count = Field(default=0, description="of the choice of test cells")
    energy: str | None = Field(default=None, description='key in the files, such as "REF_energy"')
    forces: str | None = Field(default=None, description='key in the files, such as "REF_forces"')
    stress: str | None = Field(default=None, description='key in the files, such as "REF_stress"')
    stress_unit: Literal["eV/A^3", "GPa", "kbar", "eV"] | None = Field(
        default=None, description='"eV/A^3", "GPa", "kbar", or "eV": a virial, stress times volume'
    )
    stress_positive: Literal["tension", "compression"] | None = Field(
        default=None, description='what a positive number means: "tension", as in ASE, or "compression"'
    )
    group: str = Field(default="config_type", description="key that says which kind a frame is")
    relaxed: list[str] = Field(
        default=["relaxed"], description="groups of relaxed defect cells: matched exactly"
    )
    unrelaxed: list[str] = Field(default=["unrelaxed"], description="groups of the same before relaxation")
    perfect: list[str] = Field(default=["perfect"], description="groups of perfect crystals")
    without_forces: Literal["refuse", "skip"] = Field(
        default="refuse", description='frames that have no forces: "refuse" or "skip" them'
    )


class DataFit(Rank):
    """The least-squares problem."""

    weights: dict[str, Weight | dict[str, Weight]] = Field(
        default={"energy": 100.0, "forces": 1.0},
        description="of squared residuals, as in eq. (4.2); or such a table a group",
    )
    matching: Literal["exact", "none"] | list[Literal["energies", "forces"]] = Field(
        default="exact",
        description='imposed exactly where files have the cells: "exact", "none", or of "energies", "forces"',
    )
    observations: list[Literal["energy", "forces", "stress"]] = Field(
        default=["energy", "forces"], description="what is fitted; may add stress"
    )
    E0: dict[str, Number] | None = Field(
        default=None, description="energy of each element, eV; of isolated atoms, or fitted, if not given"
    )


class DataConfig(Table):
    """A whole configuration that fits labels that are there already."""

    data: Data
    basis: Basis = Field(default_factory=Basis)
    fit: DataFit = Field(default_factory=DataFit)


AnyConfig = Config | DataConfig
