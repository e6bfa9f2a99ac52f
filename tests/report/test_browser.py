"""The report in a real browser, on a phone, a screen and paper, light and dark: headless Chromium."""

import re

import matplotlib.image
import numpy as np
import pytest

from tests.report.browser import CHROMIUM, printed, screenshot, seen

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: on Debian, apt install chromium")


@pytest.fixture(scope="module")
def page(result, comparison, tmp_path_factory):
    from ase_mlipgen.report.citations import citations
    from ase_mlipgen.report.write import write_report

    folder = tmp_path_factory.mktemp("browser")
    return write_report(
        folder,
        result,
        comparison,
        title="Report",
        citations=citations(["zhou"]),
        configuration="x = 1\n" * 40,
    )


@pytest.mark.parametrize(("width", "dark"), [(390, False), (1280, True)])
def test_fits_the_screen_and_can_be_read(page, tmp_path, width, dark):
    """Nothing runs out of the screen, pictures load, letters are large and dark enough, nothing is fetched."""
    found = seen(page, tmp_path, width, dark)
    assert found["content"] <= found["width"], found["wide"]
    assert found["wide"] == []
    assert all(found["pictures"])
    assert len(found["pictures"]) == 8
    assert found["smallest"] >= 11.5
    assert found["contrast"] >= 4.5, "WCAG 2.2, contrast of text"
    assert found["asked"] == []
    bright = sum(map(int, re.findall(r"\d+", found["paper"])[:3])) > 3 * 128
    assert bright is not dark


def test_a_phone_shows_tables_without_scrolling(page, tmp_path):
    """Two columns of numbers beside their names: those of test and training cells, of the budget, of the large cell."""
    assert seen(page, tmp_path, 390)["scrolled"] <= 1, "the table that has a column for each defect may"


@pytest.mark.parametrize("dark", [False, True])
def test_pictures_of_it_are_kept(page, tmp_path, dark):
    picture = matplotlib.image.imread(screenshot(page, tmp_path / "report.png", 1280, 1600, dark))[..., :3]
    corner = picture[5, 5]
    assert bool(corner.mean() < 0.3) is dark
    assert np.abs(picture - corner).max(axis=-1).astype(bool).mean() > 0.02, "the page is not empty"


def test_it_prints_on_a_few_pages(page, tmp_path):
    content = printed(page, tmp_path / "report.pdf").read_bytes()
    assert content.startswith(b"%PDF")
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", content)) <= 9
