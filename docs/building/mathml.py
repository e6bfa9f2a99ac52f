"""Formulas as MathML, which browsers draw themselves: no script from elsewhere, so the pages read without a network."""

from docutils.nodes import SkipNode
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.errors import ExtensionError


def setup(app):
    """Register the renderer, html_math_renderer = "mathml"."""
    app.add_html_math_renderer("mathml", inline_renderers=(inline, None), block_renderers=(block, None))
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def inline(translator, node):
    """Draw a formula within a line."""
    write(translator, node, as_block=False)


def block(translator, node):
    """Draw a formula of its own line."""
    write(translator, node, as_block=True)


def write(translator, node, as_block):
    """Write the formula, or end the build with what is wrong in it; the node has no other content."""
    try:
        formula = tex2mathml(node.astext(), as_block=as_block)
    except MathError as error:
        raise ExtensionError(f"formula {node.astext()!r}: {error}") from error
    translator.body.append(f'<div class="formula">{formula}</div>' if as_block else formula)
    raise SkipNode
