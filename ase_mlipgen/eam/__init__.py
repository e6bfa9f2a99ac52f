"""Embedded-atom functions, and energies and derivatives of lists of pairs under them.

`analytic` and `tables` provide the functions (the protocol of `functions`), `energy`, `tangents` and `hessian` what
follows from them; the files `lane_*` are compiled code with an atom in each lane of a vector. No ASE; no state but
memory kept for the next call.
"""
