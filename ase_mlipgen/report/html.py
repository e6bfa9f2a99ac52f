"""The report of a run as one HTML file: figures inside it, nothing fetched from anywhere. Enter at `render`.

It reads on a phone, in dark mode and on paper. Its content security policy allows its own style and pictures only, so
that a browser refuses whatever else might get into it.
"""

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any

from ase_mlipgen.report.citations import Citation
from ase_mlipgen.report.sections import headline, key_numbers, sections

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
WIDE = 1.7
"""Figures that are this much wider than high take the whole width."""


def render(
    title: str,
    numbers: Mapping[str, Any],
    figures: Sequence[tuple[str, str, bytes]],
    citations: Iterable[Citation] = (),
    configuration: str = "",
    made: str = "",
) -> str:
    """Return the page.

    Parameters
    ----------
    title : str
    numbers : what `metrics` returns
    figures : (name, caption, PNG) each; the one called "summary" comes first and wide
    citations : what to cite
    configuration : the resolved configuration, as text
    made : when and with which versions, one line at the end
    """
    pictures = {name: _figure(name, caption, png) for name, caption, png in figures}
    summary = pictures.pop("summary", "")
    fit = numbers["fit"]
    notes = [*filter(None, [fit["unstable"]]), *numbers["census"]["warnings"], *filter(None, [fit["note"]])]
    body = list(
        sections(numbers, f'<div class="grid">{"".join(pictures.values())}</div>', citations, configuration)
    )
    parts = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="lead">{escape(headline(numbers))}</p>',
        *(f'<p class="warn">{escape(note[:1].upper() + note[1:])}.</p>' for note in notes),
        key_numbers(numbers),
        _contents([(name, heading) for name, heading, _ in body]),
        summary,
        *(f'<h2 id="{name}">{escape(heading)}</h2>\n{content}' for name, heading, content in body),
        f"<footer>{escape(made)}</footer>" if made else "",
    ]
    return _page(title, "\n".join(filter(None, parts)))


def _page(title: str, body: str) -> str:
    style = files("ase_mlipgen.report").joinpath("page.css").read_text(encoding="utf-8")
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _contents(headings: Iterable[tuple[str, str]]) -> str:
    links = "".join(
        f'<a href="#{name}">{escape(text.partition(":")[0].partition(",")[0])}</a>' for name, text in headings
    )
    return f'<nav aria-label="contents">{links}</nav>'


def _figure(name: str, caption: str, png: bytes) -> str:
    width, height = (int.from_bytes(png[k : k + 4], "big") for k in (16, 20))
    wide = ' class="wide"' if width > WIDE * height else ""
    data = base64.b64encode(png).decode("ascii")
    return (
        f'<figure id="{escape(name)}"{wide}><img alt="{escape(caption)}" width="{width // 2}" height="{height // 2}" '
        f'src="data:image/png;base64,{data}"><figcaption>{escape(caption)}</figcaption></figure>'
    )
