"""All studies, by name. Enter at `STUDIES`."""

from ase_mlipgen.studies import certificate, interstitials, matching, silicon, table1, vacancies
from ase_mlipgen.studies.study import Study

STUDIES: dict[str, Study] = {
    study.name: study
    for study in (
        vacancies.FIG3, vacancies.FIG4, interstitials.FIG6, interstitials.FIG7,
        silicon.FIG8, silicon.FIG9,
        table1.STUDY, matching.STUDY, certificate.STUDY,
    )
}  # fmt: skip
