"""The symmetry of a cell with defects, found once and used to split large problems into small exact ones.

Enter at `operations.find_operations` (the group, as rotations and permutations of the atoms) and, for a perfect
supercell, `operations.reduce_by_translations` (its primitive cell and the k-points that fold to Gamma).
`irreps.irreps` gives the matrices by which functions on the atoms are adapted; `structures` symmetrises
forces, positions and tensors.
"""
