"""The report of a run as one HTML file: figures inside it, nothing fetched from anywhere. Enter at `render`."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from ase_mlipgen.progress import duration
from ase_mlipgen.report.citations import Citation
from ase_mlipgen.theory.compare import Comparison
from ase_mlipgen.theory.errors import DEFINITIONS

STYLE = """
:root { color-scheme: light dark; --ink: #1d2329; --soft: #5b6570; --paper: #fff; --card: #f5f7f9; --line: #dce1e6;
  --accent: #0072b2; }
@media (prefers-color-scheme: dark) { :root { --ink: #e5e9ee; --soft: #9aa5b1; --paper: #14181d; --card: #1d232a;
  --line: #333c46; --accent: #56b4e9; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 60rem; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0 0 .6rem; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; }
.lead { font-size: 1.08rem; border-left: 4px solid var(--accent); padding: .1rem 0 .1rem .9rem; margin: 0 0 1.2rem; }
.warn { border-left: 4px solid #e69f00; background: var(--card); padding: .5rem .9rem; margin: .6rem 0; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: .92rem; }
th, td { text-align: left; padding: .35rem .7rem .35rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { font-weight: 600; } td.n { text-align: right; white-space: nowrap; } td.d { color: var(--soft); min-width: 14rem; }
figure { margin: 1rem 0; }
#parity { grid-column: 1 / -1; max-width: 44rem; }
figcaption { color: var(--soft); font-size: .88rem; margin-top: .3rem; }
figure img { display: block; max-width: 100%; height: auto; background: #fff; border-radius: 6px; padding: 6px; }
.grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); gap: 0 1.5rem; }
code, pre { font: .85rem/1.45 ui-monospace, SFMono-Regular, Menlo, monospace; }
pre { background: var(--card); padding: .8rem; border-radius: 6px; overflow-x: auto; }
details > summary { cursor: pointer; color: var(--accent); } .soft { color: var(--soft); }
"""

LARGE_ROWS = (
    ("geometry_error", "geometry error", "Å"),
    ("geometry_norm", "size of the relaxation", "Å"),
    ("relaxation_energy_error", "relaxation energy error", "eV"),
    ("relaxation_energy_reference", "relaxation energy, reference", "eV"),
    ("formation_energy_error", "formation energy error", "eV"),
    ("formation_energy_reference", "formation energy, reference", "eV"),
    ("energy_excess", "energy excess of the model's geometry", "eV"),
)


def headline(numbers: Mapping[str, Any]) -> str:
    """Say in a sentence or two how good the model is."""
    test, fit, large = numbers["errors"]["test"], numbers["fit"], numbers["large_cell"]
    text = f"{fit['n_functions']} functions (rank {fit['rank']}) fitted to {fit['n_rows']} observations"
    if test["force_rmse"] is not None:
        text += (
            f" reproduce the reference's test set to {test['energy_rmse']:.2e} eV/atom and "
            f"{test['force_rmse']:.2e} eV/Å (RMSE)"
        )
    text += "."
    if large is None:
        return text
    if large["failure"]:
        return (
            f"{text} On the large cell of {large['n_atoms']} atoms a relaxation failed: {large['failure']}."
        )
    text += (
        f" On a cell of {large['n_atoms']} atoms the relaxed geometry differs by {large['geometry_error']:.2e} Å "
        f"(of {large['geometry_norm']:.2g} Å)"
    )
    if large["formation_energy_error"] is not None:
        text += f" and the formation energy by {large['formation_energy_error']:+.2e} eV"
    return text + "."


def render(
    title: str,
    numbers: Mapping[str, Any],
    figures: Sequence[tuple[str, str, bytes]],
    citations: Iterable[Citation] = (),
    configuration: str = "",
) -> str:
    """Return the page.

    Parameters
    ----------
    title : str
    numbers : what `metrics` returns
    figures : (name, caption, PNG) each; the one called "summary" comes first and wide
    citations : what to cite
    configuration : the resolved configuration, as text
    """
    pictures = {name: _figure(name, caption, png) for name, caption, png in figures}
    fit = numbers["fit"]
    notes = [*filter(None, [fit["unstable"]]), *numbers["census"]["warnings"], *filter(None, [fit["note"]])]
    parts = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="lead">{escape(headline(numbers))}</p>',
        *(f'<p class="warn">{escape(note[:1].upper() + note[1:])}.</p>' for note in notes),
        pictures.pop("summary", ""),
        "<h2>Errors on the test set</h2>",
        _errors(numbers),
        *_large(numbers["large_cell"]),
        *_budget(numbers["budget"]),
        "<h2>Figures</h2>",
        f'<div class="grid">{"".join(pictures.values())}</div>',
        "<h2>Data and fit</h2>",
        _facts(numbers),
        "<h2>Wall times</h2>",
        _table(("stage", "time"), [(name, duration(t)) for name, t in numbers["timings"].items()]),
        "<h2>Settings</h2>",
        f"<pre>{escape(configuration or _flat(numbers['settings']))}</pre>",
        "<h2>Please cite</h2>",
        _cited(citations),
    ]  # fmt: skip
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(filter(None, parts))
        + "\n</body>\n</html>\n"
    )


def _cited(citations: Iterable[Citation]) -> str:
    lines = (
        f'<li>{escape(c.plain())} <span class="soft">({escape(c.reason)})</span></li>' for c in citations
    )
    return f"<ul>{''.join(lines)}</ul>"


def _figure(name: str, caption: str, png: bytes) -> str:
    data = base64.b64encode(png).decode("ascii")
    return (
        f'<figure id="{escape(name)}"><img alt="{escape(caption)}" src="data:image/png;base64,{data}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def _errors(numbers: Mapping[str, Any]) -> str:
    errors = numbers["errors"]
    by_defect = errors["by_defect"] if len(errors["by_defect"]) > 1 else {}
    columns = {"test": errors["test"], **by_defect, "train": errors["train"]}
    rows = [
        (label, unit, *(_measured(column[name]) for column in columns.values()), text)
        for name, (label, unit, text) in DEFINITIONS.items()
    ]
    numeric = tuple(range(2, 2 + len(columns)))
    return _table(("error", "unit", *columns, "definition"), rows, numeric, last="d")


def _large(large: Mapping[str, Any] | None) -> list[str]:
    if large is None:
        return []
    rows = [(label, unit, _number(large[name]), _definition(name)) for name, label, unit in LARGE_ROWS]
    times = [
        (
            f"relaxation by the {who}",
            "s",
            f"{large[f'wall_time_{name}']:.2f}",
            f"{large[f'steps_{name}']} steps",
        )
        for name, who in (("reference", "reference"), ("surrogate", "model"))
    ]
    heading = f"<h2>Large cell, {large['n_atoms']} atoms</h2>"
    failure = [f'<p class="warn">{escape(large["failure"])}</p>'] if large["failure"] else []
    return [
        heading,
        *failure,
        _table(("quantity", "unit", "value", "definition"), rows + times, (2,), last="d"),
    ]


def _budget(budget: Mapping[str, Any] | None) -> list[str]:
    """Show predicted errors, their terms and the advice."""
    if budget is None:
        return []
    rows = []
    for kind, unit in (("geometry", "Å"), ("energy", "eV")):
        low, high = budget[f"{kind}_interval"]
        interval = f"{_number(low)} to {'any' if high is None else _number(high)}"
        rows.append(
            (f"{kind} error", unit, _number(budget[kind]), f"predicted; {interval} in nine of ten cases")
        )
        rows += [
            (name, unit, _number(value), f"of the {kind} error")
            for name, value in budget[f"{kind}_terms"].items()
        ]
    advice = "".join(f"<li>{escape(text[:1].upper() + text[1:])}.</li>" for text in budget["advice"])
    return [
        f"<h2>Error budget: size {budget['size']}, {budget['n_defects']} defects, no label</h2>",
        _table(("term", "unit", "value", ""), rows, (2,), last="d"),
        f"<p>What to change, the most useful first:</p><ol>{advice}</ol>",
    ]


def _definition(name: str) -> str:
    known = Comparison.definition
    return known.get(name) or known.get(name.rsplit("_", 1)[0], "")


def _facts(numbers: Mapping[str, Any]) -> str:
    fit, census, test, train = (
        numbers["fit"],
        numbers["census"],
        numbers["errors"]["test"],
        numbers["errors"]["train"],
    )
    near = [d for d in (test["closest_distance"], train["closest_distance"]) if d is not None]
    inner = ", ".join(f"{symbol} {value:.3f} Å" for symbol, value in numbers["r_in"].items())
    rows = [
        ("training cells", f"{census['n_cells']}, up to {census['n_atoms']} atoms"),
        ("labels", f"{census['n_labels']}, of them {test['n_cells']} test"),
        ("least-squares system", f"{fit['n_rows']} rows, {fit['n_functions']} functions"),
        ("rank", f"{fit['rank']} at relative tolerance {fit['rtol']:g}"),
        ("matched exactly", _words(fit["matched"])),
        ("weights, eq. (4.2)", fit["weights"].get("said") or _flat(fit["weights"]).replace("\n", "; ")),
        ("constraints", f"{fit['n_constraints']} rows of rank {fit['constraint_rank']}, largest violation "
         f"{_number(fit['constraint_violation'])}"),
        ("weighted residual", _number(fit["residual_norm"])),
        ("closest distance in the data", f"{min(near):.3f} Å" if near else "unknown"),
        ("inner cutoff r_in", f"{inner}: from there up to the closest distance the model has seen no data"),
    ]  # fmt: skip
    return _table((), rows)


def _table(
    head: Sequence[str], rows: Sequence[Sequence[Any]], numeric: Sequence[int] = (), last: str = ""
) -> str:
    """Return a table; columns in `numeric` are set flush right, the last one gets the class `last`."""

    def cell(k: int, value: Any, n: int) -> str:
        kind = "n" if k in numeric else last if k == n - 1 else ""
        return f'<td class="{kind}">{escape(str(value))}</td>' if kind else f"<td>{escape(str(value))}</td>"

    top = "<tr>" + "".join(f"<th>{escape(text)}</th>" for text in head) + "</tr>" if head else ""
    body = "".join(
        "<tr>" + "".join(cell(k, v, len(row)) for k, v in enumerate(row)) + "</tr>" for row in rows
    )
    return f'<div class="scroll"><table>{top}{body}</table></div>'


def _words(names: Iterable[str]) -> str:
    return ", ".join(names).replace("_", " ") or "nothing"


def _number(value: Any) -> str:
    return (
        "–" if value is None else f"{value:.3g}" if 1e-2 <= abs(value) < 1e4 or value == 0 else f"{value:.2e}"
    )


def _measured(value: Any) -> str:
    return "not measured" if value is None else _number(value)


def _flat(settings: Mapping[str, Any]) -> str:
    return "\n".join(f"{name} = {value}" for name, value in settings.items())
