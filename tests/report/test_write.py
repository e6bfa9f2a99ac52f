"""The written report: one file that needs nothing else, and numbers that are those of the result."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from ase_mlipgen.report.citations import bibtex, citations
from ase_mlipgen.report.metrics import metrics
from ase_mlipgen.report.sections import headline
from ase_mlipgen.report.write import write_report

VOID = {"meta", "img", "br", "hr", "link", "input"}


class Reader(HTMLParser):
    """Collects attributes that load something, text, and checks that tags are closed in order."""

    def __init__(self):
        super().__init__()
        self.loads, self.open, self.text, self.names = [], [], "", set()

    def handle_starttag(self, tag, attrs):
        assert tag not in ("script", "link", "iframe", "object", "embed"), tag
        self.loads += [value for name, value in attrs if name in ("src", "href", "srcset", "data", "poster")]
        self.names |= {value for name, value in attrs if name == "id"}
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def folder(result, comparison, tmp_path_factory):
    path = tmp_path_factory.mktemp("report")
    write_report(
        path, result, comparison, title="A <title>", citations=citations(["zhou"]), configuration="x = 1 < 2"
    )
    return path


def test_page_is_self_contained_and_well_formed(folder):
    source = (folder / "report.html").read_text()
    page = Reader()
    page.feed(source)
    assert page.open == []
    anchors = [value for value in page.loads if value.startswith("#")]
    assert {value[1:] for value in anchors} <= page.names
    pictures = [value for value in page.loads if not value.startswith("#")]
    assert len(pictures) == 8
    assert all(value.startswith("data:image/png;base64,") for value in pictures)
    assert "default-src 'none'" in source
    style = source[source.index("<style>") : source.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    assert "prefers-color-scheme: dark" in style
    assert 'name="viewport"' in source


def test_page_states_errors_with_definitions_census_rank_and_distances(folder, result):
    page = Reader()
    page.feed((folder / "report.html").read_text())
    assert "A <title>" in page.text
    assert "x = 1 < 2" in page.text
    assert "root mean square over cells, atoms and three components" in page.text
    assert f"{result.fit.n_rows} rows, {result.fit.n_functions} functions" in page.text
    assert f"{min(result.errors.closest_distance, result.train_errors.closest_distance):.3f} Å" in page.text
    assert f"W {result.calculator.basis.r_in['W']:.3f} Å" in page.text
    assert "difference of the two relaxed geometries in the bond norm" in page.text
    for name in result.by_defect:
        assert name in page.text
    assert "Ortner" in page.text


def test_metrics_are_the_results_numbers_with_units(folder, result, comparison):
    numbers = json.loads((folder / "metrics.json").read_text())
    assert numbers["errors"]["test"]["force_rmse"] == result.errors.force_rmse
    assert numbers["errors"]["by_defect"]["vacancy"]["eps_E"] == result.by_defect["vacancy"].eps_E
    assert numbers["fit"]["rank"] == result.fit.rank
    assert numbers["large_cell"]["geometry_error"] == comparison.geometry_error
    for name in ("energy_rmse", "force_rmse", "eps_E", "eps_F", "geometry_error", "formation_energy_error"):
        assert numbers["units"][name].startswith(("eV", "Å"))
        assert numbers["definitions"][name]


def test_what_is_not_a_number_is_null(result, tmp_path):
    """Without test cells there are no errors and fewer figures, and the page is still written."""
    nothing = replace(
        result.errors, energy_rmse=float("nan"), force_rmse=float("nan"), closest_distance=float("nan")
    )
    without = replace(result, test=[], errors=nothing)
    write_report(tmp_path, without)
    text = (tmp_path / "metrics.json").read_text()
    assert "NaN" not in text
    assert json.loads(text)["errors"]["test"]["force_rmse"] is None
    assert not (tmp_path / "parity.png").exists()
    assert "reproduce" not in headline(metrics(without))


def test_a_failed_comparison_is_said_and_not_drawn(result, comparison, tmp_path):
    failed = replace(comparison, failure="surrogate: ran away", geometry_error=float("nan"))
    write_report(tmp_path, result, failed)
    assert "a relaxation failed: surrogate: ran away" in (tmp_path / "report.html").read_text()
    assert not (tmp_path / "decay.png").exists()


def test_citations_are_bibtex_with_the_papers():
    found = citations(["emt", "zbl"])
    text = bibtex(found)
    assert len(re.findall(r"^@\w+\{\w+,$", text, re.M)) == len(found)
    assert text.count("{") == text.count("}")
    for doi in (
        "10.1137/22M152267X",
        "10.1103/PhysRevB.99.014104",
        "10.1016/j.jcp.2022.110946",
        "10.21105/joss.05668",
    ):
        assert doi in text
    assert all("{" not in c.plain() for c in found)
    with pytest.raises(KeyError):
        citations(["unknown"])
