"""NRL tight binding: parameters, Slater-Koster blocks, occupations, eigensolvers, k-points; numbers only."""
