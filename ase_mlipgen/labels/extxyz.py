"""Frames of extended XYZ files that may be damaged: checked line by line before ASE's reader takes them one at a time.

ASE's reader allocates what a header says, stops at an empty line, and takes numbers that are none for texts. Enter at
`frames_of`.
"""

import re
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import BinaryIO, NoReturn

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from ase.io import iread

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
MOST_COLUMNS = 1000
PROPERTIES = re.compile(r"""(?:^|\s)properties\s*=\s*["']?([^\s"']*)""", re.IGNORECASE)
UNREADABLE = (
    OSError,
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    OverflowError,
    AssertionError,
)


def frames_of(
    file: str | Path | BinaryIO, name: str, first: int = 0, line: int = 1
) -> Iterator[tuple[int, Atoms]]:
    """Yield the frames of a file with their numbers.

    Parameters
    ----------
    file : path, or stream of bytes
        In UTF-8; frames that are not are taken for Latin-1.
    name : str
        For messages.
    first, line : int
        Number of the first frame and of its first line, of a stream that is a part of a file.

    Raises
    ------
    FileNotFoundError
    ValueError
        What is no frame; file, frame and line are named.
    """
    if isinstance(file, str | Path):
        with open(file, "rb") as stream:
            yield from frames_of(stream, name)
        return
    number = first
    while head := file.readline():
        place = f"{name}, frame {number}, line {line}"
        if not head.strip():
            if file.read().strip():
                _fail(place, "an empty line; expected a number of atoms, or nothing more")
            return
        n_atoms = _count(head, place)
        lines = _lines(file, n_atoms, f"{name}, frame {number}", line)
        _check_columns(lines, name, number, line + 1)
        yield number, _frame(head, lines, n_atoms, place)
        number, line = number + 1, line + n_atoms + 2


def _count(head: bytes, place: str) -> int:
    word = head.strip()
    if not (word.isdigit() and len(word) < 13):
        _fail(place, f"found {_shown(head)}; expected a number of atoms")
    return int(word)


def _lines(file: BinaryIO, n_atoms: int, name: str, line: int) -> list[str]:
    """Return the comment and the lines of the atoms."""
    found: list[bytes] = []
    while len(found) <= n_atoms:
        if not (one := file.readline()):
            _fail(f"{name}, line {line + len(found)}", f"the file ends within this frame of {n_atoms} atoms")
        if not one.endswith(b"\n"):
            _fail(
                f"{name}, line {line + len(found) + 1}",
                "the file ends within this line: a number may be cut. If it is whole, put an end of line behind it",
            )
        found.append(one)
    content = b"".join(found)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    lines = text.replace("\r\n", "\n").split("\n")[:-1]
    for k, text in enumerate(lines):
        if CONTROL.search(text):
            _fail(f"{name}, line {line + 1 + k}", f"found {text[:40]!r}, which has control characters")
    return lines


def _check_columns(lines: list[str], name: str, number: int, line: int) -> None:
    """Compare the columns of the atoms with what the comment says of them."""
    if (match := PROPERTIES.search(lines[0])) is None:
        return
    parts = match[1].split(":")
    counts = parts[2::3]
    sound = len(parts) % 3 == 0 and all(n.isascii() and n.isdecimal() and len(n) < 5 for n in counts)
    n_columns = sum(map(int, counts)) if sound else 0
    if not 0 < n_columns <= MOST_COLUMNS or "0" in counts or len({*parts[::3]}) < len(counts):
        _fail(
            f"{name}, frame {number}, line {line}",
            f"Properties={match[1][:80]}; expected name:kind:columns:..., each name once, of at most "
            f"{MOST_COLUMNS} columns",
        )
    for k, atom in enumerate(lines[1:], 1):
        if (n := len(atom.split())) != n_columns:
            _fail(
                f"{name}, frame {number}, line {line + k}",
                f"{n} columns; expected {n_columns}, as Properties says",
            )


def _frame(head: bytes, lines: list[str], n_atoms: int, place: str) -> Atoms:
    text = "\n".join([head.decode("ascii").strip(), *lines, ""])
    try:
        found = list(iread(StringIO(text), index=":", format="extxyz"))
    except UNREADABLE as error:
        raise ValueError(f"{place}: not a frame of extended XYZ ({error or type(error).__name__})") from error
    if len(found) != 1 or len(found[0]) != n_atoms:
        _fail(place, f"{[len(atoms) for atoms in found]} atoms found; expected one frame of {n_atoms}")
    atoms: Atoms = found[0]
    for what, array in (("a position", atoms.positions), ("the lattice", atoms.cell.array)):
        if not np.isfinite(array).all():
            _fail(place, f"{what} is not finite; expected lengths in Å")
    if ((atoms.numbers < 0) | (atoms.numbers >= len(chemical_symbols))).any():
        _fail(place, f"an atomic number is none; expected 0 to {len(chemical_symbols) - 1}")
    return atoms


def _shown(text: bytes) -> str:
    return repr(text[:40].decode("latin-1").strip())


def _fail(place: str, said: str) -> NoReturn:
    raise ValueError(f"{place}: {said}; write the file again, or take the frame out")
