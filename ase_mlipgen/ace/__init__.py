"""The atomic cluster expansion: counting, radial functions, harmonics, coupling, plans and kernels.

Pure functions of numbers; nothing here knows ASE. The way through: `specification.blocks` -> `plan.build_plan`
-> `kernels.evaluate` or `kernels.design`; `reference.site` is the readable counterpart.
"""
