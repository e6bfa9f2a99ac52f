"""``python -m ase_mlipgen.testing "module:Calculator" --element Cu``: the table, and exit code 4 on a failure."""

import argparse
import importlib
import importlib.util
import json
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ase import Atoms
from ase.build import bulk
from ase.io import read

from ase_mlipgen.testing.contract import check_calculator

USAGE, BROKEN = 2, 4
"""Exit codes: a call that makes no sense, and promises that are broken."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = _parser()
    given = parser.parse_args(arguments)
    try:
        make, atoms = _factory(given.calculator, given.arguments), _atoms(given)
        report = check_calculator(
            make, atoms, checks=given.checks, skip=given.skip, raise_on_failure=False, seed=given.seed, long=given.long,
            loosen={name: float(factor) for name, _, factor in (text.partition("=") for text in given.loosen)},
        )  # fmt: skip
    except (ImportError, AttributeError, OSError, TypeError, ValueError, KeyError) as error:
        print(f"error: {error}", file=sys.stderr)
        return USAGE
    print(report)
    if given.json:
        Path(given.json).write_text(
            json.dumps(report.todict(), indent=1, ensure_ascii=False), encoding="utf-8"
        )
    for row in report.failed:
        print(f"{row.number} {row.name}: {row.promise}. Remedy: {row.remedy}.", file=sys.stderr)
    return 0 if report.passed else BROKEN


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ase_mlipgen.testing",
        description="Check what a calculator owes to those who use it through ASE.",
        epilog="Exit codes: 0 all promises are kept, 2 the call makes no sense, 4 a promise is broken.",
    )
    add = parser.add_argument
    add(
        "calculator", help="module:name or file.py:name of a calculator class or of a function that makes one"
    )
    add("--element", help="take ASE's crystal of this element (repeated if it has one atom)")
    add("--structure", help="or a file that ASE reads")
    add(
        "--set",
        dest="arguments",
        action="append",
        default=[],
        metavar="NAME=JSON",
        help="arguments of the calculator",
    )
    add("--checks", action="append", metavar="NAME", help="names, numbers or topics; by default all")
    add("--skip", action="append", default=[], metavar="NAME")
    add("--loosen", action="append", default=[], metavar="NAME=FACTOR", help="factors on tolerances")
    add("--seed", type=int, default=0)
    add("--long", action="store_true", help="4 ps of dynamics, 10,000 calls")
    add("--json", metavar="FILE", help="write the report there")
    return parser


def _factory(name: str, arguments: Sequence[str]) -> Any:
    """Return what makes the calculator: a class or function, with arguments if there are any."""
    module_name, colon, attribute = name.rpartition(":")
    if not colon:
        raise ValueError(f"{name!r}: expected module:name, such as ase.calculators.emt:EMT, or file.py:name")
    if module_name.endswith(".py"):
        spec = importlib.util.spec_from_file_location(Path(module_name).stem, module_name)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    else:
        module = importlib.import_module(module_name)
    made = getattr(module, attribute)
    return partial(made, **dict(map(_argument, arguments))) if arguments else made


def _argument(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


def _atoms(given: argparse.Namespace) -> Atoms:
    if (given.element is None) == (given.structure is None):
        raise ValueError("expected either --element, such as Cu, or --structure FILE")
    atoms = read(given.structure) if given.structure else bulk(given.element)
    return atoms.repeat((2, 1, 1)) if len(atoms) == 1 else atoms


if __name__ == "__main__":
    sys.exit(main())
