"""The atomic cluster expansion: counting, radial functions, harmonics, coupling, plans and kernels.

Pure functions of numbers; nothing here knows ASE. The way through: `specification.blocks` -> `plan.build_plan`, then

- rows of a fit: `design_plan.build_design_plan` -> `design.design_columns`, exact derivatives of rows included;
- a model: `lane_plan.build_lane_plan` -> `lanes.bind` -> `evaluation.evaluate` (energies, forces, virial) and
  `second_derivatives` (Hessian, Hessian-vector products).

Kernels work on W atoms side by side (files `lane_*`, vectors of the room `simd`); `kernels.evaluate` is scalar,
for models of orders above 4. `reference.site` is the readable counterpart of all.
"""
