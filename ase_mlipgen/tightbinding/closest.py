"""How close atoms may come before the published parameters attract without end.

The total energy of NRL tight binding is a sum of levels, without a pair term that repels. Below some distance the
overlap of two atoms approaches one, levels fall to minus infinity, and the energy falls by tens of electronvolts before
the overlap matrix ceases to be positive definite. Measured for each set (an atom of the perfect crystal at ASE's
lattice constant, moved towards its nearest neighbour in steps of a hundredth of the bond, kT 0.1 and 0.025 eV): the
distance at which the energy ceases to rise, plus one step. Where that is within a sixth of the bond,
so that thermal motion comes there (Si_spd, Pb_sp), the distance at which the energy is back at the crystal's.
"""

CLOSEST = {
    "Si_sp": 1.83,
    "Si_spd": 1.99,
    "C_sp": 0.97,
    "Al_spd": 2.29,
    "Cu_spd": 1.66,
    "Cu_spd_99": 1.51,
    "Mo_spd": 1.80,
    "W_spd": 2.05,
    "W_spd_new": 1.97,
    "Fe_spd_para": 1.74,
    "Pb_sp": 3.15,
}
"""Å, by the name of the parameter set."""
