"""Arrays of numbers from npz files (zip of npy, NumPy proposal 1) that may be damaged. Enter at `arrays_of`.

`numpy.load` allocates what a header asks for before it looks whether the file has that much, and leaves the checksums
of members unread that end early. Here sizes are compared first, and every byte goes through zip's checksum.
"""

import math
import re
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from ase_mlipgen.files.content import DamagedError

Arrays = dict[str, npt.NDArray[Any]]
KINDS = "biufcSU"
LONGEST_HEADER = 10_000
MOST_COMPRESSION = 1032
"""Bytes that deflate makes of one, at most (zlib's technical details)."""
MEMORY = 2**36
HEADER = re.compile(
    r"\{'descr': '([<>|=]?[a-zA-Z]\d*)', 'fortran_order': (True|False), 'shape': \((|\d+,|\d+(?:, \d+)+)\), \}\s*"
)
UNREADABLE = (
    OSError, EOFError, ValueError, KeyError, IndexError, OverflowError, NotImplementedError, RuntimeError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip


def arrays_of(source: str | Path | IO[bytes]) -> Arrays:
    """Return the arrays of an npz file.

    Parameters
    ----------
    source : path or binary stream

    Raises
    ------
    FileNotFoundError
    DamagedError
        Not a complete npz file of plain numbers and texts, one that holds objects included; the array is named.
    """
    if isinstance(source, str | Path):
        path = Path(source)
        if not path.is_file():
            raise FileNotFoundError(f"there is no file {path}")
        with open(path, "rb") as stream:
            return arrays_of(stream)
    name = ""
    found: Arrays = {}
    try:
        with zipfile.ZipFile(source) as archive:
            for member in archive.infolist():
                name = member.filename.removesuffix(".npy")
                if name in found:
                    raise DamagedError("it comes twice")
                found[name] = _array(archive, member)
    except UNREADABLE as error:
        place = f"array {name!r}: " if name else ""
        raise DamagedError(f"{place}{error or type(error).__name__}; expected a complete npz file") from None
    return found


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> npt.NDArray[Any]:
    if member.file_size > min(MOST_COMPRESSION * member.compress_size + LONGEST_HEADER, MEMORY):
        raise DamagedError(f"{member.file_size} bytes from {member.compress_size}: no compression does that")
    with archive.open(member) as stream:
        dtype, fortran, shape, n_header = _header(stream)
        n_bytes = math.prod(shape) * dtype.itemsize
        if n_bytes != member.file_size - n_header:
            raise DamagedError(
                f"the shape {shape} needs {n_bytes} bytes, there are {member.file_size - n_header}"
            )
        flat = np.empty(math.prod(shape), dtype)
        space, filled = (flat.view(np.uint8) if n_bytes else flat).data, 0
        while filled < n_bytes:
            if not (part := stream.read(min(n_bytes - filled, 2**20))):
                raise DamagedError("it ends early")
            space[filled : filled + len(part)] = part
            filled += len(part)
        if stream.read(1):  # the end of a member is where zip's checksum is compared
            raise DamagedError("it goes on after its end")
    return flat.reshape(shape, order="F" if fortran else "C")


def _header(stream: IO[bytes]) -> tuple[np.dtype[Any], bool, tuple[int, ...], int]:
    """Return dtype, order, shape, and the bytes that said it."""
    magic = stream.read(8)
    if magic[:6] != b"\x93NUMPY" or magic[6:] not in (b"\x01\x00", b"\x02\x00", b"\x03\x00"):
        raise DamagedError("it is no npy file of version 1 to 3")
    width = 2 if magic[6] == 1 else 4
    length = int.from_bytes(stream.read(width), "little")
    if length > LONGEST_HEADER:
        raise DamagedError(f"its header has {length} bytes; expected at most {LONGEST_HEADER}")
    text = stream.read(length).decode("latin-1")
    if (match := HEADER.fullmatch(text)) is None:
        raise DamagedError(f"its header {text.strip()[:80]!r} is none of plain numbers")
    try:
        dtype = np.dtype(match[1])
    except TypeError:
        raise DamagedError(f"there is no type {match[1]!r}") from None
    if dtype.kind not in KINDS or not dtype.itemsize:
        raise DamagedError(f"it holds {dtype}; expected numbers or texts, never objects")
    shape = tuple(int(n) for n in match[3].replace(" ", "").split(",") if n)
    return dtype, match[2] == "True", shape, len(magic) + width + length
