"""What to cite: the papers behind the method, the models and the libraries that a run used. Enter at `citations`."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Citation:
    """One publication.

    Attributes
    ----------
    key : BibTeX key
    kind : BibTeX entry type
    fields : BibTeX fields, names and texts
    reason : what it is cited for
    """

    key: str
    kind: str
    fields: dict[str, str]
    reason: str

    def bibtex(self) -> str:
        """Return the BibTeX entry."""
        width = max(map(len, self.fields))
        lines = [f"  {name.ljust(width)} = {{{text}}}," for name, text in self.fields.items()]
        return "\n".join([f"@{self.kind}{{{self.key},", *lines, "}"])

    def plain(self) -> str:
        """Return one line of text."""
        f = self.fields
        where = f.get("journal") or f.get("booktitle") or f.get("publisher", "")
        numbers = " ".join(filter(None, (f.get("volume"), f.get("pages"))))
        doi = f" doi:{f['doi']}" if "doi" in f else ""
        text = f"{f['author'].replace(' and ', '; ')}: {f['title']}. {where} {numbers} ({f['year']}).{doi}"
        return " ".join(text.replace("{", "").replace("}", "").replace("---", ": ").split())


def _article(
    key: str, reason: str, author: str, title: str, journal: str, volume: str, pages: str, year: str, doi: str
) -> Citation:
    names = ("author", "title", "journal", "volume", "pages", "year", "doi")
    fields = dict(zip(names, (author, title, journal, volume, pages, year, doi), strict=True))
    return Citation(key, "article", fields, reason)


ALWAYS = (
    _article(
        "OrtnerWang2023", "the framework: matching conditions, norms, generalisation errors",
        "Ortner, Christoph and Wang, Yangshuai",
        "A framework for a generalisation analysis of machine-learned interatomic potentials",
        "Multiscale Modeling & Simulation", "21", "1053-1080", "2023", "10.1137/22M152267X",
    ),
    _article(
        "Drautz2019", "the atomic cluster expansion", "Drautz, Ralf",
        "Atomic cluster expansion for accurate and transferable interatomic potentials",
        "Physical Review B", "99", "014104", "2019", "10.1103/PhysRevB.99.014104",
    ),
    _article(
        "Dusson2022", "its linear basis",
        "Dusson, Geneviève and Bachmayr, Markus and Csányi, Gábor and Drautz, Ralf and Etter, Simon and "
        "van der Oord, Cas and Ortner, Christoph",
        "Atomic cluster expansion: Completeness, efficiency and stability",
        "Journal of Computational Physics", "454", "110946", "2022", "10.1016/j.jcp.2022.110946",
    ),
    _article(
        "Packwood2016", "preconditioned relaxation",
        "Packwood, David and Kermode, James and Mones, Letif and Bernstein, Noam and Woolley, John and "
        "Gould, Nicholas and Ortner, Christoph and Csányi, Gábor",
        "A universal preconditioner for simulating condensed phase materials",
        "The Journal of Chemical Physics", "144", "164109", "2016", "10.1063/1.4947024",
    ),
    _article(
        "Larsen2017", "ASE: atoms, calculators, optimisers",
        "Larsen, Ask Hjorth and Mortensen, Jens Jørgen and others",
        "The atomic simulation environment---a {Python} library for working with atoms",
        "Journal of Physics: Condensed Matter", "29", "273002", "2017", "10.1088/1361-648X/aa680e",
    ),
    _article(
        "Grigorev2024", "matscipy: neighbour lists, calculators", "Grigorev, Petr and Frérot, Lucas and others",
        "matscipy: materials science at the atomic scale with {Python}",
        "Journal of Open Source Software", "9(93)", "5668", "2024", "10.21105/joss.05668",
    ),
    Citation(
        "Lam2015", "inproceedings",
        {
            "author": "Lam, Siu Kwan and Pitrou, Antoine and Seibert, Stanley",
            "title": "Numba: a {LLVM}-based {Python} {JIT} compiler",
            "booktitle": "Proceedings of the Second Workshop on the LLVM Compiler Infrastructure in HPC",
            "pages": "1-6", "year": "2015", "doi": "10.1145/2833157.2833162",
        },
        "Numba: compiled kernels",
    ),
    _article(
        "Togo2024", "spglib: crystal symmetry", "Togo, Atsushi and Shinohara, Kohei and Tanaka, Isao",
        "Spglib: a software library for crystal symmetry search",
        "Science and Technology of Advanced Materials: Methods", "4", "2384822", "2024",
        "10.1080/27660400.2024.2384822",
    ),
)  # fmt: skip

SOMETIMES = {
    "zhou": _article(
        "Zhou2004", "the embedded EAM tungsten", "Zhou, X. W. and Johnson, R. A. and Wadley, H. N. G.",
        "Misfit-energy-increasing dislocations in vapor-deposited {CoFe/NiFe} multilayers",
        "Physical Review B", "69", "144113", "2004", "10.1103/PhysRevB.69.144113",
    ),
    "emt": _article(
        "Jacobsen1996", "the EMT reference", "Jacobsen, K. W. and Stoltze, P. and Nørskov, J. K.",
        "A semi-empirical effective medium theory for metals and alloys",
        "Surface Science", "366", "394-402", "1996", "10.1016/0039-6028(96)00816-3",
    ),
    "nrl": _article(
        "Cohen1994", "the tight-binding reference", "Cohen, R. E. and Mehl, M. J. and Papaconstantopoulos, D. A.",
        "Tight-binding total-energy method for transition and noble metals",
        "Physical Review B", "50", "14694", "1994", "10.1103/PhysRevB.50.14694",
    ),
    "nrl-forms": _article(
        "Mehl1996", "the forms of its integrals and its parameters", "Mehl, M. J. and Papaconstantopoulos, D. A.",
        "Applications of a tight-binding total-energy method for transition and noble metals: Elastic constants, "
        "vacancies, and surfaces of monatomic metals",
        "Physical Review B", "54", "4519", "1996", "10.1103/PhysRevB.54.4519",
    ),
    "nrl-silicon": _article(
        "Bernstein2000", "its silicon",
        "Bernstein, N. and Mehl, M. J. and Papaconstantopoulos, D. A. and Papanicolaou, N. I. and Bazant, M. Z. and "
        "Kaxiras, E.",
        "Energetic, vibrational, and electronic properties of silicon using a nonorthogonal tight-binding model",
        "Physical Review B", "62", "4477", "2000", "10.1103/PhysRevB.62.4477",
    ),
    "zbl": Citation(
        "Ziegler1985", "book",
        {
            "author": "Ziegler, J. F. and Biersack, J. P. and Littmark, U.",
            "title": "The Stopping and Range of Ions in Solids", "publisher": "Pergamon", "year": "1985",
        },
        "the repulsive core",
    ),
}  # fmt: skip


def citations(extra: Iterable[str] = ()) -> list[Citation]:
    """Return what every run uses, and the `extra` ones, by their names in `SOMETIMES`.

    Raises
    ------
    KeyError
        An unknown name.
    """
    return [*ALWAYS, *(SOMETIMES[name] for name in dict.fromkeys(extra))]


def bibtex(found: Iterable[Citation]) -> str:
    """Return a BibTeX file."""
    return "\n\n".join(f"% {c.reason}\n{c.bibtex()}" for c in found) + "\n"
