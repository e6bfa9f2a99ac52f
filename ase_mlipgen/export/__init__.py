"""Files of LAMMPS: `.yace` files of ML-PACE, written and read exactly, and inputs that use them.

The format is described in `contents`, as numbers. Writing goes `assemble` (a basis and its coefficients become
contents) -> `spelling` (text) -> `lammps` (files, and a check of what was written). Reading goes `reading` (text becomes
checked contents) -> `projecting` (functions become coefficients of invariants) -> `imported` (a basis).
`direct` evaluates contents by the letter, in NumPy, independent of the kernels; the radial functions are in `bonds`.
Enter at `lammps.write_model` and `imported.read_model`.
"""
