"""Tables and tiles of the page, as HTML. Enter at `table`, `tiles`, `Named`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any


@dataclass(frozen=True)
class Named:
    """First cell of a row: what it is, its unit, and in small letters its definition."""

    text: str
    unit: str = ""
    definition: str = ""

    def html(self) -> str:
        """Return the content of the cell."""
        unit = f' <span class="unit">{escape(self.unit)}</span>' if self.unit else ""
        small = f"<small>{escape(self.definition)}</small>" if self.definition else ""
        return f"{escape(self.text)}{unit}{small}"


@dataclass(frozen=True)
class Row:
    """A row of a table; `kind` is "", "total" or "part" (of the total above)."""

    cells: Sequence[Any]
    kind: str = ""


def table(head: Sequence[str], rows: Iterable[Row | Sequence[Any]], numeric: Sequence[int] = ()) -> str:
    """Return a table; columns in `numeric` are set flush right."""
    top = "".join(f"<th{_class(k, numeric)}>{escape(text)}</th>" for k, text in enumerate(head))
    body = "".join(_row(row if isinstance(row, Row) else Row(row), numeric) for row in rows)
    return f'<div class="scroll"><table>{f"<tr>{top}</tr>" if head else ""}{body}</table></div>'


def _row(row: Row, numeric: Sequence[int]) -> str:
    kind = f' class="{row.kind}"' if row.kind else ""
    cells = "".join(f"<td{_class(k, numeric)}>{_content(value)}</td>" for k, value in enumerate(row.cells))
    return f"<tr{kind}>{cells}</tr>"


def _class(k: int, numeric: Sequence[int]) -> str:
    return ' class="n"' if k in numeric else ""


def _content(value: Any) -> str:
    return value.html() if isinstance(value, Named) else escape(str(value))


def tiles(entries: Iterable[tuple[str, str, str]]) -> str:
    """Return the numbers that one looks for first: name, value and a remark each."""
    found = "".join(
        f'<div class="tile"><dt>{escape(name)}</dt><dd class="value">{escape(value)}</dd>'
        f'<dd class="of">{escape(remark)}</dd></div>'
        for name, value, remark in entries
    )
    return f'<dl class="tiles">{found}</dl>' if found else ""
