"""Text and JSON from files that may be damaged. Enter at `read_text` and `json_of`."""

import json
import math
import re
from pathlib import Path
from typing import Any, NoReturn

MAY_OVERFLOW = re.compile(r"[eE]\+?0*[1-9]\d\d|\d{300}")
"""Matches texts in which a number may be too large for a float64."""
MOST_BYTES = 2**31
"""Longer texts are of another kind."""


class DamagedError(ValueError):
    """A file that is truncated, altered or of another kind; the message says what was found, and where."""


def read_text(path: str | Path, most_bytes: int = MOST_BYTES, old: bool = False) -> str:
    """Return the text of a file.

    Parameters
    ----------
    path : str or Path
    most_bytes : int
        A longer file is refused before it is read.
    old : bool
        Take one that is not UTF-8 for Latin-1, as comments of older files are.

    Raises
    ------
    FileNotFoundError
    DamagedError
        Too long, or not UTF-8; the line is named.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    if (size := path.stat().st_size) > most_bytes:
        raise DamagedError(f"it has {size} bytes; expected at most {most_bytes}")
    content = path.read_bytes()
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        if old:
            return content.decode("latin-1")
        line = content.count(b"\n", 0, error.start) + 1
        raise DamagedError(
            f"line {line}: the byte 0x{content[error.start]:02x} is not UTF-8; expected text in UTF-8"
        ) from None


def json_of(text: str, nan: bool = False) -> Any:
    """Return what a JSON text says, as RFC 8259 has it: finite numbers, every key once.

    Parameters
    ----------
    text : str
    nan : bool
        Take NaN for a number, as `json.dumps` writes what was not measured.

    Raises
    ------
    DamagedError
        Anything else; the line is named, or the key that comes twice.
    """
    try:
        return json.loads(
            text,
            parse_constant=_nan if nan else _refused,
            parse_float=_finite if MAY_OVERFLOW.search(text) else None,
            object_pairs_hook=_without_duplicates,
        )
    except json.JSONDecodeError as error:
        raise DamagedError(f"line {error.lineno}: not complete JSON ({error.msg})") from None
    except RecursionError:
        raise DamagedError("lists or mappings lie deeper in one another than any that is read here") from None
    except _NumberError as error:
        line = text.count("\n", 0, max(text.find(error.number), 0)) + 1
        raise DamagedError(f"line {line}: found {error.number[:40]}; expected a finite number") from None
    except DamagedError:
        raise
    except ValueError as error:  # of a whole number with more digits than Python converts
        raise DamagedError(f"not JSON that can be read ({error})") from None


def _nan(text: str) -> float:
    return math.nan if text == "NaN" else _refused(text)


class _NumberError(Exception):
    def __init__(self, number: str) -> None:
        super().__init__(number)
        self.number = number


def _refused(text: str) -> NoReturn:
    raise _NumberError(text)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise _NumberError(text)
    return value


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise DamagedError(f"the key {twice!r} comes twice; expected every key once")
    return found
