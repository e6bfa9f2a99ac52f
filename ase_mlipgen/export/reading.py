"""From a `.yace` file to checked contents. Nothing of it is executed, nothing is allocated before it is checked.

Enter at `read`.
"""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from ase_mlipgen.export.checks import Entry, array, integer, integers, sequence
from ase_mlipgen.export.contents import Contents, Floats, Function, YaceError
from ase_mlipgen.export.entries import MOST_L, MOST_N, Head
from ase_mlipgen.files import read_text

MOST_BYTES = 2**25
MOST_FACTORS = 6
REFERENCES = re.compile(r"(?:^|[\s\[{,:])[&*]\S", re.MULTILINE)


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The safe loader, with pairs such as [0, 1] for keys, and without keys that come twice."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """Return a mapping."""
        found: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = self.construct_object(key_node, deep=True)
            key = tuple(key) if isinstance(key, list) else key
            if isinstance(key, dict) or key in found:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} comes twice", key_node.start_mark
                )
            found[key] = self.construct_object(value_node, deep=True)
        return found


def read(path: str | Path) -> Contents:
    """Return the contents of a file, and of the files beside it that it says are summed with it.

    Raises
    ------
    FileNotFoundError
    YaceError
        Not a complete file of a linear potential; file and key are named.
    """
    path = Path(path)
    main, names = _read_one(path)
    terms, heads = list(main.pair_terms), list(main.heads)
    for name in names:
        if Path(name).name != name or not path.with_name(name).is_file():
            raise YaceError(
                f"{path}: summed_with: there is no {name!r} beside it; the model needs all its files"
            )
        part, _ = _read_one(path.with_name(name))
        if part.elements != main.elements or any(part.functions):
            raise YaceError(f"{path}: summed_with: {name} is of another model")
        terms += part.pair_terms
        heads += part.heads
    return replace(main, pair_terms=tuple(terms), heads=tuple(heads))


def _read_one(path: Path) -> tuple[Contents, list[str]]:
    """Return the contents of one file and the names of those that are summed with it."""
    document = _document(path)
    try:
        top = Entry(document, "")
        head = Head.checked(document)
        functions = _functions(top, head)
        metadata = _metadata(document.get("metadata", {}))
        names = [str(one) for one in sequence(document.get("summed_with", []), None, "summed_with")]
    except YaceError as error:
        raise YaceError(f"{path}: {error}") from None
    heads = (head.kept,)
    return Contents(head.elements, head.E0, head.bonds, functions, head.pair_terms, metadata, heads), names


def _document(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}: expected a .yace potential")
    try:
        text = read_text(path, MOST_BYTES, old=True)
        if REFERENCES.search(text):
            raise YaceError(f"{path} has anchors or aliases (& or *), which .yace files do not use")
        document = yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, TypeError, ValueError) as error:
        if isinstance(error, YaceError):
            raise
        said = " ".join(str(error).split())[:200]
        raise YaceError(
            f"{path} is not a complete YAML file ({said}): it is truncated or of another kind"
        ) from error
    if not isinstance(document, dict) or not {"elements", "functions", "bonds"} <= set(document):
        raise YaceError(
            f"{path} is not a .yace file: expected the entries elements, bonds and functions. A .yaml of pacemaker "
            "becomes one by `pace_yaml2yace`"
        )
    return document


def _functions(top: Entry, head: Head) -> tuple[tuple[Function, ...], ...]:
    """Return the functions of each centre element, densities summed into one."""
    own = top.entry("functions")
    found = []
    for a in range(len(head.elements)):
        place = f"functions {a}"
        listed = sequence(own.get(a) or [], None, place)
        found.append(
            tuple(_function(Entry(f, f"{place}, number {k}"), a, head) for k, f in enumerate(listed))
        )
    return tuple(found)


def _function(entry: Entry, a: int, head: Head) -> Function:
    n = entry.integer("rank", 1, MOST_FACTORS)
    n_elements = len(head.elements)
    if "mu0" in entry and entry.integer("mu0", 0, n_elements - 1) != a:
        raise YaceError(f"{entry.place}: mu0 = {entry.get('mu0')}, but it is listed under element {a}")
    place = entry.place
    mus = integers(entry.get("mus"), n, 0, n_elements - 1, f"{place}: mus")
    ns = integers(entry.get("ns"), n, 1, MOST_N, f"{place}: ns")
    ls = integers(entry.get("ls"), n, 0, MOST_L, f"{place}: ls")
    n_terms = entry.integer("num_ms_combs", 1, 10**6)
    ms = integers(entry.get("ms_combs"), n * n_terms, -MOST_L, MOST_L, f"{place}: ms_combs")
    n_densities = len(head.weights[a])
    if "ndensity" in entry:
        entry.integer("ndensity", n_densities, n_densities)
    values = array(entry.get("ctildes"), (n_terms * n_densities,), f"{place}: ctildes")
    summed: Floats = values.reshape(n_terms, n_densities) @ head.weights[a]
    terms = tuple(ms[k * n : (k + 1) * n] for k in range(n_terms))
    for term in terms:
        if any(abs(m) > l for m, l in zip(term, ls, strict=True)):
            raise YaceError(f"{place}: ms_combs: {list(term)} does not belong to ls = {list(ls)}")
    _check_range(head, a, mus, ns, ls, place)
    return Function(mus, ns, ls, terms, tuple(summed.tolist()))


def _check_range(head: Head, a: int, mus: Any, ns: Any, ls: Any, place: str) -> None:
    """Refuse radial functions that no bond has; ML-PACE would read beyond its arrays."""
    for mu, n, l in zip(mus, ns, ls, strict=True):
        rows = getattr(head.bonds[a, mu], "rows", None)
        if rows is not None:
            n_max, lmax = len(rows), head.lmax
        else:
            n_max, lmax, n_base = head.bonds[a, mu].crad.shape  # type: ignore[attr-defined]
            n_max, lmax = (n_base, 0) if len(mus) == 1 else (n_max, lmax - 1)
        integer(n, 1, n_max, f"{place}: ns, of the bond {[a, mu]}")
        integer(l, 0, lmax, f"{place}: ls, of the bond {[a, mu]}")


def _metadata(value: Any) -> dict[str, str]:
    return {str(k): str(v) for k, v in value.items()} if isinstance(value, dict) else {}
