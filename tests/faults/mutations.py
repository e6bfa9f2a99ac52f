"""Ways in which files go bad, seeded. Enter at `mutations` for text, `of_archive` for npz, `check` to try one."""

import io
import re
import time
import tracemalloc
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

NUMBER = re.compile(rb"(?<![\w.])-?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?(?![\w.])")
VALUES = (b"NaN", b"1e400", b"-1", b"1e12", b"1e9", b"1000000000000", b"0")
FOREIGN = (
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR",
    b"\x00" * 64,
    b"PK\x03\x04",
    b"%PDF-1.7\n",
    b"\xff\xfe\x00",
)
LATIN = "Lücke, Å".encode("latin-1")
MOST_TIME, MOST_MEMORY = 1.0, 200e6
"""s of this process, bytes."""


@dataclass
class Tally:
    """What became of the mutations of a format."""

    refused: Counter = field(default_factory=Counter)
    accepted: Counter = field(default_factory=Counter)
    slowest: float = 0.0
    largest: float = 0.0


def truncated(content, rng):
    return content[: rng.integers(len(content))]


def flipped(content, rng):
    changed = bytearray(content)
    changed[rng.integers(len(content))] ^= 1 << rng.integers(8)
    return bytes(changed)


def number(content, rng):
    found = list(NUMBER.finditer(content))
    at = found[rng.integers(len(found))]
    return content[: at.start()] + VALUES[rng.integers(len(VALUES))] + content[at.end() :]


def first_numbers(content, rng):
    """Change one of the first numbers, where headers are."""
    found = list(NUMBER.finditer(content))[:16]
    at = found[rng.integers(len(found))]
    return content[: at.start()] + VALUES[rng.integers(len(VALUES))] + content[at.end() :]


def _lines(content, rng, change):
    lines = content.splitlines(keepends=True)
    change(lines, *(int(k) for k in rng.integers(len(lines), size=2)))
    return b"".join(lines)


def line_dropped(content, rng):
    return _lines(content, rng, lambda lines, k, _: lines.pop(k))


def line_duplicated(content, rng):
    return _lines(content, rng, lambda lines, k, _: lines.insert(k, lines[k]))


def lines_swapped(content, rng):
    def swap(lines, k, j):
        lines[k], lines[j] = lines[j], lines[k]

    return _lines(content, rng, swap)


def _tokens(content, rng, change):
    parts = re.split(rb"([^\s,]+)", content)
    k, j = (2 * int(rng.integers(len(parts) // 2)) + 1 for _ in range(2))
    change(parts, k, j)
    return b"".join(parts)


def token_dropped(content, rng):
    return _tokens(content, rng, lambda parts, k, _: parts.__setitem__(k, b""))


def token_duplicated(content, rng):
    return _tokens(content, rng, lambda parts, k, _: parts.__setitem__(k, parts[k] + b" " + parts[k]))


def tokens_swapped(content, rng):
    def swap(parts, k, j):
        parts[k], parts[j] = parts[j], parts[k]

    return _tokens(content, rng, swap)


def foreign_bytes(content, rng):
    k = int(rng.integers(len(content)))
    return content[:k] + FOREIGN[rng.integers(len(FOREIGN))] + content[k:]


def foreign_file(content, rng):
    return FOREIGN[rng.integers(len(FOREIGN))] + bytes(rng.integers(256, size=200, dtype=np.uint8))


BINARY = (truncated, flipped, foreign_bytes, foreign_file)
TEXT = (
    *BINARY[:3], number, first_numbers, line_dropped, line_duplicated, lines_swapped, token_dropped, token_duplicated,
    tokens_swapped, number, truncated, flipped, first_numbers, foreign_file,
)  # fmt: skip


def mutations(content, n, seed=0, kinds=TEXT):
    """Yield n mutations that are none of the original, with their names, the kinds in turn."""
    rng = np.random.default_rng(seed)
    for k in range(n):
        kind = kinds[k % len(kinds)]
        for _ in range(20):
            if (changed := kind(content, rng)) != content:
                yield kind.__name__, changed
                break


def nan_put(arrays, name, rng):
    array = np.array(arrays[name])
    if array.dtype.kind != "f" or not array.size:
        return None
    array.reshape(-1)[rng.integers(array.size)] = (np.nan, np.inf)[rng.integers(2)]
    return {**arrays, name: array}


def dropped(arrays, name, rng):
    return {key: array for key, array in arrays.items() if key != name}


def lengthened(arrays, name, rng):
    array = np.atleast_1d(arrays[name])
    return {**arrays, name: np.concatenate([array, array])}


def objects(arrays, name, rng):
    return {**arrays, name: np.array([{"a": 1}], dtype=object)}


def texts(arrays, name, rng):
    return {**arrays, name: np.array("text")}


ARRAYS = (nan_put, dropped, lengthened, objects, texts)


def of_archive(content, n, seed=0, seal=lambda arrays: arrays):
    """Yield mutations of an npz file: half of its bytes, half of its arrays, packed again as a sound file."""
    rng = np.random.default_rng(seed)
    yield from mutations(content, n - n // 2, seed, BINARY)
    with np.load(io.BytesIO(content)) as file:
        arrays = dict(file)
    for k in range(n // 2):
        kind = ARRAYS[k % len(ARRAYS)]
        changed = kind(arrays, list(arrays)[rng.integers(len(arrays))], rng)
        if changed is not None:
            buffer = io.BytesIO()
            np.savez(buffer, **seal(changed))
            yield kind.__name__, buffer.getvalue()


def header_of(content, rng):
    """Let the header of one array ask for 1e12 numbers, in the same number of bytes."""
    found = list(re.finditer(rb"'shape': \(([^)]*)\), \} *", content))
    if not found:  # compressed
        return content
    at = found[rng.integers(len(found))]
    new = b"'shape': (1000000000000,), }"
    if len(new) > len(at[0]):
        return content
    return content[: at.start()] + new.ljust(len(at[0])) + content[at.end() :]


def check(path: Path, content, read, errors, tally, kind, place=""):
    """Put content into a file and read it: an allowed error that names the file, or finite numbers, soon and in little.

    Parameters
    ----------
    read : function (path) -> arrays or numbers, all that the file yields
    errors : classes that may be raised
    place : pattern that one of the messages has to hold where the text of the file can be decoded
    """
    path.write_bytes(content)
    tracemalloc.start()
    begin = time.process_time()
    said, found = None, []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = list(read(path))
    except errors as error:
        said = str(error)
    elapsed, peak = time.process_time() - begin, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    tally.slowest, tally.largest = max(tally.slowest, elapsed), max(tally.largest, peak)
    if said is None:
        tally.accepted.update([kind])
        assert all(np.isfinite(np.asarray(values, dtype=float)).all() for values in found), kind
    else:
        tally.refused.update([kind])
        assert path.name in said, (kind, said)
        assert len(said) < 2000, (kind, said[:2000])
        assert re.search(place, said), (kind, said)
    assert elapsed < MOST_TIME, (kind, elapsed)
    assert peak < MOST_MEMORY, (kind, peak)
