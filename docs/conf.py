"""How Sphinx builds these pages: `pip install ".[docs]"`, then `sphinx-build -b html docs docs/_build/html`.

Nothing is fetched, neither by the build nor by the pages. The programs of examples/ run in the build.
"""

import os
import sys
from importlib.metadata import version as version_of
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))  # for the extensions below, docs.building

project = "ase-mlipgen"
author = "The ase-mlipgen developers"
release = version = version_of("ase-mlipgen")

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "myst_nb",
    "docs.building.docstrings",
    "docs.building.mathml",
    "docs.building.titles",
    "docs.building.examples",
]
highlight_language = "text"  # of blocks that name none
smartquotes_action = "De"  # dashes, not quotes: "word" is what has to be typed
exclude_patterns = ["_build", "results", "building", "reference"]
default_role = "py:obj"  # what docstrings put in single backquotes: a link where it is a documented name
suppress_warnings = ["ref.python"]  # `energy` may be the attribute of several classes; then it is no link

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # numpydoc sections say types, with shapes and units
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True

myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 4
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_in_temp = True
nb_execution_timeout = 600
nb_output_stderr = "remove"  # progress
nb_merge_streams = True
# Kernels of the build inherit these: pictures are shown, whatever the shell says, and BLAS does not fight for cores.
os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

html_theme = "pydata_sphinx_theme"
html_math_renderer = "mathml"
html_title = "ase-mlipgen"
templates_path = ["_templates"]
html_sidebars = {"**": ["site-nav"]}
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_favicon = html_logo = "_static/logo.svg"
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "logo": {"text": "ase-mlipgen"},
    "navbar_center": [],
    "show_toc_level": 2,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "tango",
}
copyright = "The ase-mlipgen developers. MIT License"
