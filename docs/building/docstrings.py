"""Docstrings as Sphinx reads them: bars around a number are its norm, not a substitution of reStructuredText."""

import re


def setup(app):
    """Change docstrings before they are parsed."""
    app.connect("autodoc-process-docstring", escape)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def escape(app, what, name, obj, options, lines):
    """Escape bars outside of code."""
    lines[:] = [re.sub(r"(``?[^`]+``?)|(\|)", lambda found: found[1] or r"\|", line) for line in lines]
