"""docs/studies.md has the measured tables, whole, and its pictures."""

import re

import pytest

from docs import studies as page

TEXT = page.PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize(("study", "least"), [("matching", 10), ("rates", 8)])
def test_page_has_the_table_of_a_study(study, least):
    (block,) = re.findall(
        rf"<!-- {study}: written by .*? -->\n(.*?)<!-- end of {study} -->", TEXT, flags=re.S
    )
    rows = [line.count("|") for line in block.splitlines() if line.startswith("|")]
    assert len(rows) >= least
    assert len(set(rows)) == 1
    assert "seeds 0, 1, 2" in block


def test_matched_conditions_hold_and_lower_errors_by_the_measured_factors():
    rows = [
        [c.strip() for c in line.split("|")[1:-1]] for line in TEXT.splitlines() if "| all | all |" in line
    ]
    assert {row[0] for row in rows} == {"sheet", "copper", "silicon"}
    for row in rows:
        assert float(row[4]) >= 5.0
        assert float(row[6]) >= 10.0
        assert float(row[7]) < 1e-9
        assert float(row[8]) >= 1.9


def test_pictures_of_the_page_exist():
    for picture in re.findall(r"!\[.*?\]\((.*?)\)", TEXT):
        assert (page.PAGE.parent / picture).is_file()
