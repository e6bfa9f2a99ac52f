"""Files of LAMMPS: `.yace` files of ML-PACE, written and read exactly, and inputs that use them.

The format is described in `contents`, as numbers. Writing: `assemble` turns a basis and its coefficients into entries,
`spelling` these into text; `lammps` writes the files and checks what was written. Reading: `reading` turns text into
checked contents (`checks`, `entries`), `projecting` functions into coefficients of invariants, `models` all of it
into a basis with coefficients, where need be one of `imported` (`layout`: its tables). `direct` evaluates contents by
the letter, in NumPy, independent of the kernels; the radial functions are in `bonds`. `embedded` writes embedded-atom
tables.
Enter at `lammps.write_model`, `models.read_model` and `embedded.write_tables`.
"""
