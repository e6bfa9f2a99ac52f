"""Read eam/alloy and eam/fs (setfl) files that may be damaged. Enter at `read`.

`setfl` says what the format is. Every number is looked at before it is used, and what is wrong is named with its line.
"""

import os
import warnings
from collections.abc import Container
from dataclasses import dataclass
from typing import NoReturn

import numpy as np

from ase_mlipgen.eam.functions import Floats
from ase_mlipgen.eam.tables import Tables
from ase_mlipgen.files import DamagedError, read_text

MOST_POINTS = 10**7
LONGEST_CUTOFF = 100.0
"""Å."""
LARGEST = 1e30
"""Larger numbers overflow in the splines' derivatives."""
SPACINGS = 1e-12, 1e12
JUMP = 1e-6
"""eV, and of the largest density: what a table in single precision leaves at its end."""
REMEDY = "download it again, or convert other formats to setfl"


class EAMFileError(ValueError):
    """A potential file that cannot be read: truncated, altered or of another format."""


class PotentialJumpWarning(UserWarning):
    """A potential file whose functions do not end at zero: energies jump where atoms come within its cutoff."""


@dataclass(frozen=True)
class _Words:
    """The numbers of a file, and the lines on which they are."""

    path: str
    words: list[str]
    line_k: np.ndarray

    def fail(self, k: int, said: str) -> NoReturn:
        line = self.line_k[min(k, len(self.line_k) - 1)] if len(self.line_k) else 5
        _fail(self.path, int(line), said)

    def table(self, start: int, length: int, name: str) -> Floats:
        """Return numbers, finite and of a size that splines can bear."""
        chosen = self.words[start : start + length]
        try:
            values = np.array(chosen, dtype=float)
            bad = np.flatnonzero(~(np.abs(values) < LARGEST))
        except ValueError:
            values, bad = (
                np.empty(0),
                np.array([next(k for k, word in enumerate(chosen) if not _is_number(word))]),
            )
        if len(bad):
            found = chosen[bad[0]][:40]
            self.fail(start + int(bad[0]), f"{name}: found {found!r}; expected a finite number, below 1e30")
        return values


def read(path: str | os.PathLike[str], known: Container[str]) -> Tables:
    """Read an eam/alloy or eam/fs file; which of them, its length tells.

    Parameters
    ----------
    path : path
        Comments, on the first three lines and behind #, may be in UTF-8 or Latin-1.
    known : container of str
        Chemical symbols.

    Returns
    -------
    Tables

    Raises
    ------
    FileNotFoundError
    EAMFileError
        Not a complete table of either kind; the line is named.

    Warns
    -----
    PotentialJumpWarning
        Pair terms or densities that do not end at zero.
    """
    name = os.fspath(path)
    try:
        text = read_text(name, old=True)
    except FileNotFoundError:
        raise FileNotFoundError(
            f"no potential file at {name!r}: expected an eam/alloy or eam/fs file"
        ) from None
    except DamagedError as error:
        raise EAMFileError(f"{name!r}: {error}; {REMEDY}") from None
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if len(lines) < 6:
        _fail(
            name,
            len(lines),
            f"the file has {len(lines)} lines; expected three of comments, elements, grids, tables",
        )
    elements = _elements(name, lines[3].split("#")[0].split(), known)
    n_rho, drho, n_r, dr, cutoff = _grids(name, lines[4].split("#")[0].split())
    split = [line.split("#")[0].split() for line in lines[5:]]
    counts = [len(words) for words in split]
    line_k = np.repeat(np.arange(6, 6 + len(split)), counts)
    words = _Words(name, [word for several in split for word in several], line_k)
    n_feel = _n_feel(words, len(elements), n_rho, n_r)
    F, f, rphi = _tables(words, elements, n_feel, n_rho, n_r)
    # Files list the density that an element gives; an eam/fs one depends also on who feels it.
    f_abk = np.ascontiguousarray(np.broadcast_to(f, (*F.shape[:1], *f.shape[1:])) if n_feel == 1 else f)
    try:
        tables = Tables(elements, cutoff, dr, drho, F, f_abk, rphi)
    except ValueError as error:
        raise EAMFileError(f"{name!r}: {error}; {REMEDY}") from None
    _warn_of_jumps(name, tables)
    return tables


def _elements(path: str, words: list[str], known: Container[str]) -> tuple[str, ...]:
    symbols = words[1:]
    if not words or words[0] != str(len(symbols)) or not symbols:
        _fail(path, 4, f"found {' '.join(words)[:60]!r}; expected the number of elements and as many symbols")
    if unknown := [symbol for symbol in symbols if symbol not in known]:
        _fail(path, 4, f"expected chemical elements, not {', '.join(unknown)[:60]}")
    if len(set(symbols)) < len(symbols):
        _fail(path, 4, f"{' '.join(symbols)} names an element twice; expected different ones")
    return tuple(symbols)


def _grids(path: str, words: list[str]) -> tuple[int, float, int, float, float]:
    """Return n_rho, drho, n_r, dr and the cutoff, if they fit one another."""
    if len(words) < 5 or any(_is_number(word) for word in words[5:]):
        _fail(path, 5, f"found {' '.join(words)[:80]!r}; expected five numbers: n_rho, drho, n_r, dr, cutoff")
    for name, word in (("n_rho", words[0]), ("n_r", words[2])):
        if not (word.isascii() and word.isdecimal() and len(word) < 12 and 4 <= int(word) <= MOST_POINTS):
            _fail(path, 5, f"{name} = {word[:40]}; expected a whole number of points from 4 to {MOST_POINTS}")
    for name, word in (("drho", words[1]), ("dr", words[3]), ("cutoff", words[4])):
        if not (_is_number(word) and SPACINGS[0] < float(word) < SPACINGS[1]):
            _fail(path, 5, f"{name} = {word[:40]}; expected a positive number")
    n_rho, drho, n_r, dr, cutoff = (
        int(words[0]),
        float(words[1]),
        int(words[2]),
        float(words[3]),
        float(words[4]),
    )
    if not 2.5 * dr < cutoff < min(n_r * dr * (1 + 1e-6), LONGEST_CUTOFF):
        _fail(
            path,
            5,
            f"cutoff = {cutoff:g}; expected at most {LONGEST_CUTOFF:g} Å and the length of the tables, "
            f"n_r dr = {n_r * dr:g} Å, and more than two of its steps",
        )
    return n_rho, drho, n_r, dr, cutoff


def _n_feel(words: _Words, n: int, n_rho: int, n_r: int) -> int:
    """Return how many densities an element has, by the number of values."""
    n_values = len(words.words)
    needed = {n_feel: n * (4 + n_rho + n_feel * n_r) + n * (n + 1) // 2 * n_r for n_feel in (1, n)}
    for n_feel, count in needed.items():
        if n_values == count:
            return n_feel
    said = " or ".join(f"{count} (eam/{'alloy' if k == 1 else 'fs'})" for k, count in needed.items())
    return words.fail(
        n_values,
        f"is the last of {n_values} values; expected {said}, as n_rho = {n_rho} and n_r = {n_r} on line 5 say",
    )


def _tables(
    words: _Words, elements: tuple[str, ...], n_feel: int, n_rho: int, n_r: int
) -> tuple[Floats, Floats, Floats]:
    """Return F_ak, the densities by who feels them and who gives them, and r phi."""
    n = len(elements)
    F, f, rphi = np.empty((n, n_rho)), np.empty((n_feel, n, n_r)), np.empty((n, n, n_r))
    k = 0
    for a, symbol in enumerate(elements):
        head = words.words[k : k + 4]
        if not (head[0].isdecimal() and all(map(_is_number, head[:3])) and not _is_number(head[3])):
            found = " ".join(head)[:80]
            words.fail(
                k, f"found {found!r}; expected atomic number, mass, lattice constant and lattice of {symbol}"
            )
        F[a] = words.table(k + 4, n_rho, f"F of {symbol}")
        k += 4 + n_rho
        for b in range(n_feel):
            f[b, a] = words.table(k, n_r, f"density of {symbol}")
            k += n_r
    for a in range(n):
        for b in range(a + 1):
            rphi[a, b] = rphi[b, a] = words.table(k, n_r, f"pair term of {elements[a]} and {elements[b]}")
            k += n_r
    return F, f, rphi


def jumps(tables: Tables) -> tuple[float, float]:
    """Return by how much pair terms (eV) and densities (of the largest there is) miss zero at the cutoff."""
    n = len(tables.elements)
    a_p, b_p = (index.ravel() for index in np.indices((n, n)))
    end = tables.pair_terms(np.full(n * n, np.nextafter(tables.cutoff, 0.0)), a_p, b_p)
    largest = np.abs(tables.f_abk).max()
    return float(np.abs(end.phi).max()), float(np.abs(end.f).max() / largest) if largest > 0 else 0.0


def _warn_of_jumps(path: str, tables: Tables) -> None:
    pair, density = jumps(tables)
    if pair > JUMP or density > JUMP:
        warnings.warn(
            f"{path!r}: at its cutoff of {tables.cutoff:g} Å the pair term jumps by {pair:.1e} eV and the density by "
            f"{density:.1e} of its largest value; expected both to end at zero. Energies jump by as much where atoms "
            "come within the cutoff: relaxations may not converge below that. It is a property of the file",
            PotentialJumpWarning,
            stacklevel=4,
        )


def _is_number(word: str) -> bool:
    try:
        return bool(np.isfinite(float(word)))
    except ValueError:
        return False


def _fail(path: str, line: int, said: str) -> NoReturn:
    raise EAMFileError(
        f"{path!r}, line {line}: {said}; it is not a complete eam/alloy or eam/fs file: {REMEDY}"
    )
