"""All studies, by name. Enter at `STUDIES`."""

from ase_mlipgen.studies import certificate, matching, table1, table2
from ase_mlipgen.studies.study import Study

STUDIES: dict[str, Study] = {
    study.name: study for study in (table1.STUDY, table2.STUDY, matching.STUDY, certificate.STUDY)
}
