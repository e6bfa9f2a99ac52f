"""The public names, by room, as Markdown: tables, and what Sphinx makes of the docstrings. Enter at `names`."""

import inspect
from importlib import import_module
from importlib.util import find_spec

import ase_mlipgen
from docs.reference.page import table

ROOT = "ase_mlipgen"
CALCULATORS = ["ACEBasis", "LinearACE", "EAM2D", "NRLTB"]
TRAINING = ["DefectTrainer", "DataTrainer", "TrainingResult"]
CRYSTALS = [
    "Vacancy",
    "Interstitial",
    "Substitution",
    "triangular_lattice",
    "training_cell",
    "simulation_cell",
]


FURTHER = ["export", "testing", "elasticity"]


def room(name):
    """Return the public names of a room that the root does not have."""
    names = getattr(import_module(f"{ROOT}.{name}"), "__all__", ())
    return [other for other in names if other not in ase_mlipgen.__all__]


def groups():
    """Yield title, a sentence, and the names as {module: names}."""
    yield (
        "Potentials",
        "A basis, and calculators that are attached to atoms.",
        {
            ROOT: CALCULATORS,
            "calculators.base": ["PairCalculator", "Evaluation"],
            "basis": room("basis"),
            "posterior": ["Posterior", "Uncertainty"],
        },
    )
    yield (
        "Training",
        "From a crystal and its defects, or from files of labels, to a potential with known errors.",
        {
            ROOT: TRAINING,
            "result": ["TrainingCell", "Census"],
            "refinement": ["refinement", "Round"],
        },
    )
    yield (
        "Crystals, defects, cells",
        "Hosts, point defects, the cells that hold them, samples, relaxation.",
        {
            ROOT: CRYSTALS,
            "defects": room("defects"),
        },
    )
    yield "Labels", "Any reference calculator, and what it said, on disk.", {"labels": room("labels")}
    yield "Data", "Labels that are there already.", {ROOT: ["read_data"], "data": room("data")}
    yield "Fit", "From labelled cells to coefficients.", {"fit": room("fit")}
    yield (
        "Theory",
        "Norms, force constants, stability; errors that are measured, predicted and certified.",
        {
            "theory": room("theory"),
            "theory.errors": ["Errors", "measure"],
            "theory.budget": ["ErrorBudget", "error_budget"],
            "theory.certificate": ["Certificate", "Share"],
            "theory.certify": ["certify"],
            "theory.matching": ["matching_constraints"],
            "theory.superposition": ["CoreField", "core_field", "superposed"],
        },
    )
    yield (
        "Neighbours and executors",
        "What the rooms above stand on, and is useful alone.",
        {
            "neighbors": ["NeighborList", "Pairs", "pairs"],
            "executors": room("executors"),
        },
    )
    placed = {*CALCULATORS, *TRAINING, *CRYSTALS, "read_data", "__version__"}
    rest = {ROOT: [name for name in ase_mlipgen.__all__ if name not in placed]}
    rest |= {name: room(name) for name in FURTHER if find_spec(f"{ROOT}.{name}")}
    if any(rest.values()):
        yield "Exchange and checks", "With other codes, and of other calculators.", rest


def names():
    """Return the page's sections."""
    return "\n\n".join(section(*group) for group in groups())


def section(title, sentence, found):
    """Return one group: its table, and the directives that Sphinx fills with the docstrings."""
    rows, directives = [], []
    for module, members in found.items():
        path = ROOT if module == ROOT else f"{ROOT}.{module}"
        for name in members:
            thing = getattr(import_module(path), name)
            rows.append([f"`{name if module == ROOT else f'{module}.{name}'}`", first_line(thing)])
            directives.append(directive(path, name, thing))
    body = "\n\n".join(directives)
    return (
        f"## {title}\n\n{sentence}\n\n{table(['name', 'what it is'], rows)}\n\n```{{eval-rst}}\n{body}\n```"
    )


def first_line(thing):
    """Return the first sentence of a docstring; nothing of a plain value, whose docstring is that of its type."""
    if not (inspect.isclass(thing) or inspect.isroutine(thing)):
        return f"a {type(thing).__name__}"
    return inspect.getdoc(thing).split("\n\n")[0].replace("\n", " ")


def directive(path, name, thing):
    """Return the directive that documents a name; a trainer with the stages that it inherits."""
    if not inspect.isclass(thing):
        return f".. auto{'function' if inspect.isroutine(thing) else 'data'}:: {path}.{name}"
    inherited = ["   :inherited-members:"] if name in TRAINING else []
    return "\n".join([f".. autoclass:: {path}.{name}", "   :members:", *inherited])
