"""A page for every program in examples/, which the build runs: its text, what it prints, the pictures it draws."""

import ast
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"
HEADER = """---
file_format: mystnb
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

```{code-cell}
:tags: [remove-cell]
get_ipython().ast_node_interactivity = "none"
```

"""
"""A program prints what it prints: the value of its last line is not shown."""


def setup(app):
    """Write the pages before Sphinx looks for its sources."""
    app.connect("config-inited", lambda app, config: write(Path(app.srcdir) / "examples"))
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def write(folder):
    """Write one page for each program; pages of programs that are gone are removed."""
    folder.mkdir(exist_ok=True)
    pages = {f"{path.stem}.md": page(path) for path in sorted(EXAMPLES.glob("*.py"))}
    for old in folder.glob("*.md"):
        if old.name not in pages:
            old.unlink()
    for name, text in pages.items():
        (folder / name).write_text(text, encoding="utf-8")


def page(path):
    """Return the page of one program: its docstring is title and first line, the rest one cell."""
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    about = ast.get_docstring(tree)
    code = "".join(text.splitlines(keepends=True)[tree.body[0].end_lineno :]).strip()
    title = path.stem.replace("_", " ").capitalize()
    return f"{HEADER}# {title}\n\n{about}\n\nThe program is `examples/{path.name}`.\n\n```{{code-cell}}\n{code}\n```\n"
