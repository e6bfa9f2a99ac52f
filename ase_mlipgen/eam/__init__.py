"""Embedded-atom functions, and energies and derivatives of lists of pairs under them.

`analytic` and `tables` provide the functions (the protocol of `functions`), `energy` and `hessian` what
follows from them. No ASE, no state.
"""
