"""docs/how-to-phonons-elasticity.md and how-to-defect-physics.md: their programs print the numbers that they quote."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PHONONS, DEFECTS = (ROOT / "docs" / f"how-to-{name}.md" for name in ("phonons-elasticity", "defect-physics"))
PROGRAM = re.compile(r"```python\n(.*?)```\n\n```text\n(.*?)```", flags=re.S)


@pytest.mark.parametrize("k", range(2))
def test_programs_print_what_the_page_says(k, capsys):
    code, text = PROGRAM.findall(PHONONS.read_text(encoding="utf-8"))[k]
    if "phonopy" in code:
        pytest.importorskip("phonopy", reason="phonopy is not installed: pip install '.[oracles]'")
    exec(compile(code, PHONONS.name, "exec"), {})
    number = r"-?\d+\.?\d*"
    printed = capsys.readouterr().out
    assert re.sub(number, "", printed) == re.sub(number, "", text)
    found, quoted = ([float(x) for x in re.findall(number, words)] for words in (printed, text))
    assert found == pytest.approx(quoted, rel=2e-3)


def test_examples_of_the_pages_exist():
    named = [re.findall(r"examples/\w+\.py", page.read_text(encoding="utf-8")) for page in (PHONONS, DEFECTS)]
    for path in [*named[0], *named[1]]:
        assert (ROOT / path).is_file(), path
    assert len(set(named[1])) >= 4
    for page in (PHONONS, DEFECTS):
        for picture in re.findall(r"!\[.*?\]\((.*?)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / picture).stat().st_size < 150_000, picture
