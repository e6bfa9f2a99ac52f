"""Working directories: every label of a file-based code is computed in one of its own.

ASE's calculators of external programs write into their `directory`, one for all calls, so that two workers with
copies of one calculator would overwrite each other's files. Here each label gets a new folder, named by its content
address (a second attempt `...-2`). It is removed when the label is made, unless it is to be kept, and stays where the
label failed: the error names it and repeats what the program said last. Enter at `Folders`; `label_one` does the rest.
"""

import copy
import itertools
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ase.calculators.calculator import FileIOCalculator
from ase.calculators.genericfileio import GenericFileIOCalculator

LENGTH = 16
"""Characters of the content address that name a folder."""
ENOUGH = 65536
"""Bytes at the end of an output file that are searched for what went wrong."""
LINES, WIDTH = 4, 120
TELLING = re.compile(r"error|not (been )?(achieved|converged)|abort|fatal|fail", re.IGNORECASE)


class FileCodeError(RuntimeError):
    """A file-based code gave no label; its files are where the message says. The cause is chained.

    Attributes
    ----------
    folder : str
    verdict : str
        That of the cause, where it has one.
    """

    def __init__(self, message: str, folder: str, verdict: str = "") -> None:
        super().__init__(message, folder, verdict)
        self.folder, self.verdict = folder, verdict

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True)
class Folders:
    """Where file-based codes work.

    Attributes
    ----------
    root : str, Path or None
        Directory that holds the folders, made when it is needed; None for the calculator's own `directory`.
    keep : bool
        Whether the files of labels that were made stay as well.
    """

    root: str | Path | None = None
    keep: bool = False

    @contextmanager
    def working(self, calculator: Any, name: str, sole: bool = False) -> Iterator[None]:
        """Let a calculator work in a new folder; one that uses no files is left alone.

        Parameters
        ----------
        calculator : calculator
            Has its own directory and parameters again afterwards.
        name : str
            Of the folder; a number is added where it is taken.
        sole : bool
            Whether nobody else works under this name now: then what earlier attempts left goes as well at the end.

        Raises
        ------
        FileCodeError
            What was raised within, with the folder and the program's last words.
        """
        users = file_based(calculator)
        if not users:
            yield
            return
        folder = _new_folder(Path(users[0].directory if self.root is None else self.root).resolve(), name)
        try:
            with _placed(users, folder):
                yield
        except Exception as error:
            said = f"{type(error).__name__}: {error}; files in {folder}{_last_words(folder)}"
            raise FileCodeError(said, str(folder), getattr(error, "verdict", "")) from error
        if not self.keep:
            for old in _attempts(folder.parent, name) if sole else [folder]:
                shutil.rmtree(old, ignore_errors=True)

    def latest(self, name: str) -> str:
        """Return the folder of the last attempt under a name; empty if none is there, or nobody knows where."""
        there = [] if self.root is None else _attempts(Path(self.root).resolve(), name)
        return str(there[-1]) if there else ""


def file_based(calculator: Any) -> list[Any]:
    """Return what works in a `directory`: the calculator, or those that it is made of (as `SumCalculator` is).

    Counted are ASE's two kinds of calculators with files, and others that have a `command` (Vasp, CP2K).
    """
    kinds = FileIOCalculator, GenericFileIOCalculator
    if isinstance(calculator, kinds) or (hasattr(calculator, "command") and hasattr(calculator, "directory")):
        return [calculator]
    mixed = getattr(getattr(calculator, "mixer", None), "calcs", ())
    return [user for part in mixed for user in file_based(part)]


def _attempts(root: Path, name: str) -> list[Path]:
    """Return the folders of a name that are there."""
    names = (name if attempt == 1 else f"{name}-{attempt}" for attempt in itertools.count(1))
    return list(itertools.takewhile(Path.exists, (root / each for each in names)))


def _new_folder(root: Path, name: str) -> Path:
    for attempt in itertools.count(len(_attempts(root, name)) + 1):
        folder = root / (name if attempt == 1 else f"{name}-{attempt}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        break
    return folder


@contextmanager
def _placed(users: list[Any], folder: Path) -> Iterator[None]:
    """Move calculators into a folder, each of several into one of its own, and back.

    ASE's templates write defaults into the parameters, and a profile may name a directory relative to the present one.
    """
    before = [(user, user.directory, user.parameters, getattr(user, "profile", None)) for user in users]
    try:
        for number, (user, _, parameters, profile) in enumerate(before):
            user.directory = folder if len(users) == 1 else folder / str(number)
            Path(user.directory).mkdir(exist_ok=True)
            user.parameters = copy.deepcopy(parameters)
            if profile is not None:
                user.profile = _absolute(profile)
        yield
    finally:
        for user, directory, parameters, profile in before:
            user.directory, user.parameters = directory, parameters
            if profile is not None:
                user.profile = profile


def _absolute(profile: Any) -> Any:
    own = {k: v for k, v in vars(profile).items() if isinstance(v, str | Path) and k != "command" and v}
    moved = copy.copy(profile)
    for name, value in own.items():
        if Path(value).is_dir():
            setattr(moved, name, type(value)(Path(value).resolve()))
    return moved


def _last_words(folder: Path) -> str:
    """Return what the newest file that complains says, else the end of the newest; at most a few lines."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    # The newest first; what goes to standard error is mostly said by MPI.
    files.sort(key=lambda path: (path.suffix == ".err", -path.stat().st_mtime_ns))
    ends = [(path, _end(path)) for path in files]
    ends = [(path, lines) for path, lines in ends if lines]
    for path, lines in ends:
        telling = [k for k, line in enumerate(lines) if TELLING.search(line)]
        if telling:
            shown = sorted({k for n in telling[-LINES // 2 :] for k in (n, n + 1) if k < len(lines)})
            return _quoted(path, [lines[k] for k in shown])
    return _quoted(ends[0][0], ends[0][1][-LINES:]) if ends else ""


def _end(path: Path) -> list[str]:
    """Return the last lines of a text file, without empty ones; none of a binary one."""
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - ENOUGH))
        content = file.read()
    if b"\0" in content:
        return []
    lines = (line.strip() for line in content.decode(errors="replace").splitlines())
    return [line for line in lines if any(letter.isalnum() for letter in line)]


def _quoted(path: Path, lines: list[str]) -> str:
    return f"; {path.name} says: " + " | ".join(line[:WIDTH] for line in lines)
