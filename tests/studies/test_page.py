"""docs/studies.md and docs/reproduction.md have the tables that docs/results gives, whole, and their pictures."""

import re

import pytest

from ase_mlipgen.studies.catalogue import STUDIES
from ase_mlipgen.studies.matching import summarise
from docs import studies as page

KEPT = sorted(path.stem for path in page.RESULTS.glob("*.csv"))


@pytest.mark.parametrize("path", page.PAGES, ids=lambda path: path.stem)
def test_page_is_what_the_kept_rows_give(path):
    text = path.read_text(encoding="utf-8")
    assert text == page.written(text)


@pytest.mark.parametrize("stem", KEPT)
def test_kept_rows_are_shown_with_their_picture(stem):
    study, results = page.results_of(stem)
    assert results.study == study.name
    assert (page.DOCS / "figures" / f"study_{stem}.png").is_file()
    shown = "\n".join(path.read_text(encoding="utf-8") for path in page.PAGES)
    assert f"figures/study_{stem}.png" in shown
    assert results.provenance in shown
    for words in ("numpy", "python", " s on 20"):
        assert words in results.provenance


def test_every_study_of_the_catalogue_is_kept():
    names = {study.file_name(protocol) for study in STUDIES.values() for protocol in study.protocols}
    assert names == {f"{stem}.csv" for stem in KEPT}


def test_matched_conditions_hold_and_lower_errors_by_the_measured_factors():
    found = [
        s
        for s in summarise(page.results_of("matching")[1].records)
        if s["size"] is None and s["rtol"] is None
    ]
    assert {s["case"] for s in found} == {"sheet", "copper", "silicon"}
    for s in found:
        assert s["geometry"] >= 5.0
        assert s["formation"] >= 10.0
        assert s["violation"] < 1e-9
        assert s["slope"] >= 1.9


def test_pictures_of_the_pages_exist():
    for path in page.PAGES:
        for picture in re.findall(r"!\[.*?\]\((.*?)\)", path.read_text(encoding="utf-8")):
            assert (page.DOCS / picture).is_file(), picture
