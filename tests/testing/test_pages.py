"""docs/how-to-testing.md and docs/how-to-ase.md: programs run, tables are those of docs/tables/contract.csv."""

import re
from pathlib import Path

import pytest

from ase_mlipgen.testing import CHECKS
from tests.testing.calculators import OTHERS, OURS
from tests.testing.record import PAGE, rows, tables

PROGRAMS = [
    pytest.param(
        "\n".join(re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.S)),
        id=page.stem,
    )
    for page in (PAGE, Path(PAGE).with_name("how-to-ase.md"))
]


@pytest.mark.parametrize("code", PROGRAMS)
def test_programs_run(code, capsys):
    code = code.replace(
        "raise_on_failure=False", "raise_on_failure=False, checks=['physics'], skip=['continuity']"
    )
    exec(compile(code, "page", "exec"), {})
    assert capsys.readouterr().out


def test_tables_are_those_of_the_rows():
    text = PAGE.read_text(encoding="utf-8")
    for name, table in tables().items():
        inside = text.split(f"<!-- {name} -->\n")[1].split(f"\n<!-- end of {name} -->")[0]
        assert inside == table


def test_rows_are_complete_and_ours_keep_all():
    kept = {(row["calculator"], row["name"]): row["verdict"] for row in rows()}
    assert set(kept) == {(name, check.name) for name in (*OURS, *OTHERS) for check in CHECKS}
    assert {verdict for (name, _), verdict in kept.items() if name in OURS} == {"passed", "not applicable"}
    for name in OURS:
        assert sum(verdict == "not applicable" for (n, _), verdict in kept.items() if n == name) <= 2
