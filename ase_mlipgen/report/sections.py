"""What the page of a run says, a function a section: numbers in, HTML out. Enter at `sections`."""

from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import Any

from ase_mlipgen.progress import duration
from ase_mlipgen.report.citations import Citation
from ase_mlipgen.report.numbers import number, readable
from ase_mlipgen.report.tables import Named, Row, table, tiles
from ase_mlipgen.theory.comparison import Comparison
from ase_mlipgen.theory.errors import DEFINITIONS

Numbers = Mapping[str, Any]
LARGE_ROWS = (
    ("geometry_error", "geometry error", "Å"),
    ("geometry_norm", "size of the relaxation", "Å"),
    ("relaxation_energy_error", "relaxation energy error", "eV"),
    ("relaxation_energy_reference", "relaxation energy, reference", "eV"),
    ("formation_energy_error", "formation energy error", "eV"),
    ("formation_energy_reference", "formation energy, reference", "eV"),
    ("energy_excess", "energy excess of the model's geometry", "eV"),
)
SHORT = 0.05
"""s: stages below this share one line."""


def headline(numbers: Numbers) -> str:
    """Say in a sentence or two how good the model is."""
    test, fit, large = numbers["errors"]["test"], numbers["fit"], numbers["large_cell"]
    text = f"{fit['n_functions']} functions (rank {fit['rank']}) fitted to {fit['n_rows']} observations"
    if test["force_rmse"] is not None:
        text += (
            f" reproduce the reference's test set to {readable(test['energy_rmse'], 'eV/atom')} and "
            f"{readable(test['force_rmse'], 'eV/Å')} (RMSE)"
        )
    text += "."
    if large is None:
        return text
    if large["failure"]:
        return (
            f"{text} On the large cell of {large['n_atoms']} atoms a relaxation failed: {large['failure']}."
        )
    text += (
        f" On a cell of {large['n_atoms']} atoms the relaxed geometry differs by "
        f"{number(large['geometry_error'])} Å (of {number(large['geometry_norm'])} Å)"
    )
    if large["formation_energy_error"] is not None:
        text += f" and the formation energy by {readable(large['formation_energy_error'], 'eV')}"
    return text + "."


def key_numbers(numbers: Numbers) -> str:
    """Return the numbers that one looks for first."""
    test, large = numbers["errors"]["test"], numbers["large_cell"]
    found = []
    if test["force_rmse"] is not None:
        found.append(("force RMSE", readable(test["force_rmse"], "eV/Å"), f"{test['n_cells']} test cells"))
    if large is not None and not large["failure"]:
        where = f"{large['n_atoms']} atoms; the relaxation is {number(large['geometry_norm'])} Å"
        found.append(("geometry error", f"{number(large['geometry_error'])} Å", where))
        if large["formation_energy_error"] is not None:
            of = f"of {number(large['formation_energy_reference'])} eV"
            found.append(("formation energy error", readable(large["formation_energy_error"], "eV"), of))
    elif numbers["budget"] is not None:
        budget = numbers["budget"]
        where = f"predicted, size {budget['size']}, {budget['n_defects']} defects"
        found.append(("geometry error", f"{number(budget['geometry'])} Å", where))
        found.append(("energy error", readable(budget["energy"], "eV"), where))
    if test["stability"] is not None:
        reference = f"the reference's is {number(test['reference_stability'])}"
        found.append(("stability", f"{number(test['stability'])} eV/Å²", reference))
    return tiles(found)


def sections(
    numbers: Numbers, figures: str, citations: Iterable[Citation], configuration: str
) -> Iterator[tuple[str, str, str]]:
    """Yield name, heading and content of every section that there is something to say in."""
    yield "errors", "Errors on the test set", _errors(numbers)
    if (large := numbers["large_cell"]) is not None:
        yield "large", f"Large cell, {large['n_atoms']} atoms", _large(large)
    if (budget := numbers["budget"]) is not None:
        heading = f"Error budget: size {budget['size']}, {budget['n_defects']} defects, no label"
        yield "budget-terms", heading, _budget(budget)
    yield "figures", "Figures", figures
    yield "fit", "Data and fit", _facts(numbers)
    yield "times", "Wall times", _times(numbers["timings"])
    yield "settings", "Settings", _settings(configuration or flat(numbers["settings"]))
    yield "citations", "Please cite", _cited(citations)


def _errors(numbers: Numbers) -> str:
    errors = numbers["errors"]
    by_defect = errors["by_defect"] if len(errors["by_defect"]) > 1 else {}
    columns = {"test": errors["test"], **by_defect, "train": errors["train"]}
    rows = [
        (Named(label, unit, text), *(_measured(column[name]) for column in columns.values()))
        for name, (label, unit, text) in DEFINITIONS.items()
    ]
    return table(("error", *columns), rows, tuple(range(1, 1 + len(columns))))


def _large(large: Numbers) -> str:
    rows = [(Named(label, unit, _definition(name)), number(large[name])) for name, label, unit in LARGE_ROWS]
    times = [
        (Named(f"relaxation by the {who}", "s", f"{large[f'steps_{name}']} steps"), f"{large[f'wall_time_{name}']:.2f}")
        for name, who in (("reference", "reference"), ("surrogate", "model"))
    ]  # fmt: skip
    failure = f'<p class="warn">{escape(large["failure"])}</p>' if large["failure"] else ""
    return failure + table(("quantity", "value"), rows + times, (1,))


def _budget(budget: Numbers) -> str:
    """Show predicted errors, their terms and the advice."""
    rows = []
    for kind, unit in (("geometry", "Å"), ("energy", "eV")):
        low, high = budget[f"{kind}_interval"]
        interval = f"{number(low)} to {'any' if high is None else number(high)} in nine of ten cases"
        rows.append(Row((Named(f"{kind} error", unit, interval), number(budget[kind])), "total"))
        rows += [Row((name, number(value)), "part") for name, value in budget[f"{kind}_terms"].items()]
    advice = "".join(f"<li>{escape(text[:1].upper() + text[1:])}.</li>" for text in budget["advice"])
    return (
        f"{table(('predicted', 'value'), rows, (1,))}"
        f"<p>What to change, the most useful first:</p><ol>{advice}</ol>"
    )


def _facts(numbers: Numbers) -> str:
    fit, census = numbers["fit"], numbers["census"]
    test, train = numbers["errors"]["test"], numbers["errors"]["train"]
    near = [d for d in (test["closest_distance"], train["closest_distance"]) if d is not None]
    inner = ", ".join(f"{symbol} {value:.3f} Å" for symbol, value in numbers["r_in"].items())
    rows = [
        ("training cells", f"{census['n_cells']}, up to {census['n_atoms']} atoms"),
        ("labels", f"{census['n_labels']}, of them {test['n_cells']} test"),
        ("least-squares system", f"{fit['n_rows']} rows, {fit['n_functions']} functions"),
        ("rank", f"{fit['rank']} at relative tolerance {fit['rtol']:g}"),
        ("matched exactly", ", ".join(fit["matched"]).replace("_", " ") or "nothing"),
        ("weights, eq. (4.2)", fit["weights"].get("said") or flat(fit["weights"]).replace("\n", "; ")),
        ("constraints", f"{fit['n_constraints']} rows of rank {fit['constraint_rank']}, largest violation "
         f"{number(fit['constraint_violation'])}"),
        ("weighted residual", number(fit["residual_norm"])),
        ("closest distance in the data", f"{min(near):.3f} Å" if near else "unknown"),
        ("inner cutoff r_in", f"{inner}: from there up to the closest distance the model has seen no data"),
        ("short distances", fit["hole"] or "atoms that are pressed together repel one another all the way"),
    ]  # fmt: skip
    return table((), rows)


def _times(timings: Numbers) -> str:
    shown = {name: t for name, t in timings.items() if t >= SHORT}
    rows = [Row((name, duration(t))) for name, t in shown.items()]
    if rest := [t for name, t in timings.items() if name not in shown]:
        rows.append(Row((f"{len(rest)} shorter stages", duration(sum(rest)))))
    return table(("stage", "time"), [*rows, Row(("all", duration(sum(timings.values()))), "total")], (1,))


def _settings(text: str) -> str:
    return (
        f"<details open><summary>everything that was asked for</summary><pre>{escape(text)}</pre></details>"
    )


def _cited(citations: Iterable[Citation]) -> str:
    lines = (
        f'<li>{escape(c.plain())} <span class="soft">({escape(c.reason)})</span></li>' for c in citations
    )
    return f"<ul>{''.join(lines)}</ul>"


def _definition(name: str) -> str:
    known = Comparison.definition
    return known.get(name) or known.get(name.rsplit("_", 1)[0], "")


def _measured(value: Any) -> str:
    return "not measured" if value is None else number(value)


def flat(settings: Numbers) -> str:
    """Return settings as lines of text."""
    return "\n".join(f"{name} = {value}" for name, value in settings.items())
