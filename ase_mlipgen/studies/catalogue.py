"""All studies, by name. Enter at `STUDIES`."""

from ase_mlipgen.studies import cells, certificate, matching, table1, theorem21
from ase_mlipgen.studies.study import Study

STUDIES: dict[str, Study] = {
    study.name: study
    for study in (cells.STUDY, theorem21.STUDY, table1.STUDY, matching.STUDY, certificate.STUDY)
}
