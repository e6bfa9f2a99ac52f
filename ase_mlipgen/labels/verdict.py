"""What came of asking a reference: a label, or a verdict with its reason. Enter at `judged`.

Verdicts: "raised"; "not converged", where the calculator says so by the name or message of its error or by an
attribute ``converged`` that is False; "not finite"; "wrong shape"; and, of a reference in a process of its own,
"hanging" and "died".
"""

import pickle
import re
from dataclasses import dataclass
from typing import Literal, cast

from ase import Atoms

from ase_mlipgen.labels.folders import FileCodeError
from ase_mlipgen.labels.reference import Factory, Label, UnusableLabel, label_one

Verdict = Literal["raised", "not converged", "not finite", "wrong shape", "hanging", "died"]
NAMES = re.compile(r"SCFError|Converge", re.IGNORECASE)
SAYINGS = re.compile(
    r"(not|n't|failed to|no) (\w+ )?converge|convergence (was )?not|unconverged", re.IGNORECASE
)


@dataclass(frozen=True)
class Refusal:
    """No label, and why; `error` can travel between processes."""

    verdict: Verdict
    reason: str
    error: Exception


def judged(factory: Factory, atoms: Atoms, want_stress: bool) -> Label | Refusal:
    """Label a configuration here; what the reference raises becomes a verdict."""
    try:
        return label_one(factory, atoms, want_stress)
    except Exception as error:
        return refused(error)


def refused(error: Exception) -> Refusal:
    """Return the verdict on an exception."""
    return Refusal(_verdict(error), f"{type(error).__name__}: {error}", _portable(error))


def _verdict(error: Exception) -> Verdict:
    if isinstance(error, UnusableLabel | FileCodeError) and error.verdict:
        return cast(Verdict, error.verdict)
    names = " ".join(kind.__name__ for kind in type(error).__mro__)
    return "not converged" if NAMES.search(names) or SAYINGS.search(str(error)) else "raised"


def _portable(error: Exception) -> Exception:
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
