"""How far predicted errors were from true ones: factors measured by the study of certificates, by size of cell.

Enter at `interval`.
"""

SOURCE = (
    "factors within which 90 % of the fits of `mlipgen study certificate` were, by the width of the cells that cores "
    "were transplanted into: 160 fits of 2D tungsten (EAM), two vacancies in the sheet of 60 r0, cells one size larger "
    "than trained (the narrowest: as trained); in three dimensions a factor of 3, which held for 97 % of 36 fits of "
    "copper, silicon and tungsten"
)

FACTORS = {
    "geometry": ((3.9, 2.1), (4.9, 1.5), (5.9, 1.2), (6.9, 1.1)),
    "relaxation": ((3.9, 2.8), (6.9, 2.2)),
    "formation": ((3.9, 3.0),),
}
"""Pairs of a width in nearest-neighbour distances and the factor from there on."""

NARROW = 5.0
"""Factor of cells narrower than any that was studied."""


def interval(kind: str, value: float, width: float, planar: bool) -> tuple[float, float]:
    """Give the magnitudes between which the true error lies.

    Parameters
    ----------
    kind : "geometry", "relaxation" or "formation"
    value : the predicted error
    width : of the training cell, in nearest-neighbour distances
    planar : whether the crystal is planar; in 3D factors are those of the widest studied cell or more
    """
    factor = NARROW
    for least, measured in FACTORS[kind]:
        if width >= least:
            factor = measured
    if not planar:
        factor = max(factor, 3.0)
    return abs(value) / factor, abs(value) * factor
