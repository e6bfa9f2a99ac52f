"""What a run looks like: figures, one HTML page, metrics, citations. matplotlib is used here and nowhere else.

Enter at `write.write_report`; the figures are `figures.cells_figure` and its neighbours.
"""
