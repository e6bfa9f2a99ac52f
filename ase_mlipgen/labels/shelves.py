"""A directory of files that are named by keys, in sub-directories, written whole or not at all. Enter at `Shelves`."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ase_mlipgen.durable import flush, replacing
from ase_mlipgen.labels.failure import StoreError

SETTLE = 1.0
"""s for which names of new files may wait to be flushed to disk."""


class Shelves:
    """Files ``KEY.suffix``, each in the sub-directory of its key's first two digits.

    Parameters
    ----------
    directory : str or Path
        Made if it does not exist.
    """

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self._unsettled: set[Path] = set()
        self._settled = float("-inf")

    def beside(self, key: str, suffix: str) -> Path:
        """Return where the file of a key belongs."""
        return self.directory / key[:2] / f"{key}.{suffix}"

    def files(self, ending: str) -> Iterator[Path]:
        """Yield all files of an ending, those of a flat directory included."""
        for folder in [self.directory, *sorted(f for f in self.directory.glob("[!.]?") if f.is_dir())]:
            with os.scandir(folder) as entries:
                names = [e.name for e in entries if e.name.endswith(ending) and not e.name.startswith(".")]
            yield from (folder / name for name in names)

    @contextmanager
    def writing(self, key: str) -> Iterator[None]:
        """Make the sub-directory; say of which store a disk refuses what."""
        folder = self.directory / key[:2]
        try:
            if not folder.is_dir():
                folder.mkdir(parents=True, exist_ok=True)
                self._unsettled.add(self.directory)
            yield
        except OSError as error:
            text = (
                f"the label store {self.directory} cannot be written to: {error.strerror or error}; what was written "
                f"before is kept, and the same run again goes on from there"
            )
            raise StoreError(error.errno, text) from error

    def write(self, path: Path, content: str | bytes) -> None:
        """Put a file in its place; it is on disk when this returns, its name after `SETTLE` seconds or `settle`."""
        with replacing(path, name_too=False) as temporary:
            temporary.write_bytes(content.encode() if isinstance(content, str) else content)
        self._unsettled.add(path.parent)
        if time.monotonic() - self._settled > SETTLE:
            self.settle()

    def clean(self, key: str) -> None:
        """Remove what killed processes left of their attempts to write `key`; for who holds the claim."""
        for leftover in (self.directory / key[:2]).glob(f".*.{key}.*"):
            leftover.unlink(missing_ok=True)

    def settle(self) -> None:
        """Flush names of new labels to disk."""
        unsettled, self._unsettled = self._unsettled, set()
        for folder in unsettled:
            flush(folder)
        self._settled = time.monotonic()
