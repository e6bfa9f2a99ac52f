"""Links that are called by their file, as code hosts show them well, get the title of the page here."""

import posixpath
import re

from docutils import nodes


def setup(app):
    """Change links when all pages are read."""
    app.connect("doctree-resolved", rename)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def rename(app, doctree, page):
    """Replace the text NAME.md of every link to a page by its title."""
    for link in doctree.findall(nodes.reference):
        text = link.astext()
        if not link.get("internal") or not re.fullmatch(r"[\w/-]+\.md", text):
            continue
        target = posixpath.normpath(posixpath.join(posixpath.dirname(page), text.removesuffix(".md")))
        if target in app.env.titles:
            link.children = [nodes.inline("", app.env.titles[target].astext())]
