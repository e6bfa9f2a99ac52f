"""Files that are there whole or not at all, also after a power cut. Enter at `replacing`."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MARK = "unfinished-"


@contextmanager
def replacing(path: str | Path, name_too: bool = True) -> Iterator[Path]:
    """Give a temporary name beside `path`; what was written there is flushed to disk and becomes `path`.

    Parameters
    ----------
    path : str or Path
        An older file of this name is replaced in one go; it stays as it is where the writing fails.
    name_too : bool
        Flush the directory as well, so that the name is found after a power cut. Who writes many files may call
        `flush` on the directory once instead.

    Yields
    ------
    Path
        Ends as `path` does.
    """
    path = Path(path)
    temporary = path.with_name(f".{MARK}{uuid.uuid4().hex}.{path.name}")
    try:
        yield temporary
        flush(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    if name_too:
        flush(path.parent)


def remove(path: str | Path) -> None:
    """Remove a file, if there is one, and what killed processes left of their attempts to replace it."""
    path = Path(path)
    path.unlink(missing_ok=True)
    for leftover in path.parent.glob(f".{MARK}*"):
        if leftover.name.endswith(f".{path.name}") and len(leftover.name) == len(f".{MARK}.{path.name}") + 32:
            leftover.unlink(missing_ok=True)


def flush(path: Path) -> None:
    """Return when the content of a file, or the names of a directory, are on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
