"""Labels that a user has already: extended XYZ under whatever names, sorted, judged and made ready for a fit.

Enter through `read_data` (files in, `DataSet` out), which `DataTrainer` fits without asking a reference; or through
`take_census`, which says what files hold and what is doubtful about it. Nothing is guessed where the files allow two
readings: `AmbiguousDataError` names both, and the line of a configuration that settles it.
"""

from ase_mlipgen.data.census import DataCensus, Kind, take_census
from ase_mlipgen.data.dataset import DataSet, read_data
from ase_mlipgen.data.frames import Frame, read_frames
from ase_mlipgen.data.keys import AmbiguousDataError, Keys, choose_keys

__all__ = [
    "AmbiguousDataError",
    "DataCensus",
    "DataSet",
    "Frame",
    "Keys",
    "Kind",
    "choose_keys",
    "read_data",
    "read_frames",
    "take_census",
]
