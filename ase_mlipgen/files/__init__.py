"""Files as others may have left them: read whole, within bounds, as data only; anything else is a `DamagedError`.

Nothing in a file is executed, and nothing large is allocated on the word of a header. `read_text` decodes, `json_of`
parses, `arrays_of` reads npz. The readers of the package put the remedy of their own format to what is said here.
"""

from ase_mlipgen.files.arrays import arrays_of
from ase_mlipgen.files.content import DamagedError, json_of, read_text

__all__ = ["DamagedError", "arrays_of", "json_of", "read_text"]
