"""Labelled cells that stay in their file until they are asked for. Enter at `CellFile`."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import overload

from ase_mlipgen.labels.cell import LabelledCell, cells_of


class CellFile(Sequence[LabelledCell]):
    """The labelled cells of an extended XYZ file, read when they are asked for and then forgotten.

    Only the place of every frame and its number of atoms are held, so that a fit may go through more cells than fit
    into memory: `ase_mlipgen.fit.assemble` takes a few at a time.

    Parameters
    ----------
    path : str or Path
        As for `read_cells`. It must not change meanwhile.

    Attributes
    ----------
    n_atoms_k : list of int
        Atoms of every cell.

    Raises
    ------
    ValueError
        A frame that does not begin with its number of atoms, or that ends early.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.n_atoms_k: list[int] = []
        self._places: list[int] = [0]
        with open(self.path, "rb") as file:
            while (line := file.readline()).strip():
                self._skip(file, line)

    def _skip(self, file: io.BufferedReader, line: bytes) -> None:
        number = len(self.n_atoms_k)
        if not (line.strip().isdigit() and len(line) < 13):
            raise ValueError(
                f"{self.path}, frame {number}: found {line[:40]!r}; expected a number of atoms, as extended XYZ has it"
            )
        n_atoms = int(line)
        for _ in range(n_atoms + 1):
            if not file.readline():
                raise ValueError(
                    f"{self.path} ends within frame {number}, of {n_atoms} atoms; write it again"
                )
        self.n_atoms_k.append(n_atoms)
        self._places.append(file.tell())

    def __len__(self) -> int:
        return len(self.n_atoms_k)

    @overload
    def __getitem__(self, index: int) -> LabelledCell: ...
    @overload
    def __getitem__(self, index: slice) -> list[LabelledCell]: ...
    def __getitem__(self, index: int | slice) -> LabelledCell | list[LabelledCell]:
        if isinstance(index, slice):
            begin, end, step = index.indices(len(self))
            return self._read(begin, end) if step == 1 else [self[k] for k in range(begin, end, step)]
        if not -len(self) <= index < len(self):
            raise IndexError(f"frame {index} of {self.path}, which has {len(self)}")
        k = index % len(self)
        return self._read(k, k + 1)[0]

    def _read(self, begin: int, end: int) -> list[LabelledCell]:
        if end <= begin:
            return []
        with open(self.path, "rb") as file:
            file.seek(self._places[begin])
            content = file.read(self._places[end] - self._places[begin])
        line = 1 + sum(n + 2 for n in self.n_atoms_k[:begin])
        return cells_of(io.BytesIO(content), str(self.path), begin, line=line)
