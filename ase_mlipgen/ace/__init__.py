"""The atomic cluster expansion: counting, radial functions, harmonics, coupling, plans and kernels.

Pure functions of numbers; nothing here knows ASE. The way through: `specification.blocks` -> `plan.build_plan`, then
`design_plan.build_design_plan` -> `design.design_columns` for rows of a fit, or `lane_plan.build_lane_plan` ->
`lanes.bind` -> `lanes.evaluate` for energies and gradients of a model (W atoms side by side; `kernels.evaluate` is the
scalar form, for orders above 4). `reference.site` is the readable counterpart of both.
"""
