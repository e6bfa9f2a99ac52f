"""All studies, by name. Enter at `STUDIES`."""

from ase_mlipgen.studies import (
    cells,
    certificate,
    interstitials,
    matching,
    silicon,
    table1,
    table2,
    theorem21,
    vacancies,
)
from ase_mlipgen.studies.study import Study

STUDIES: dict[str, Study] = {
    study.name: study
    for study in (
        cells.STUDY, theorem21.STUDY, table1.STUDY, table2.STUDY,
        vacancies.FIG3, vacancies.FIG4, interstitials.FIG6, interstitials.FIG7,
        silicon.FIG8, silicon.FIG9,
        matching.STUDY, certificate.STUDY,
    )
}  # fmt: skip
