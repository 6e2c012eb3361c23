"""Configuration of the site: `make docs` builds docs/_build/index.html with Sphinx."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import enhance_np  # noqa: E402, after the path of the extensions

project = "enhance_np"
author = "The enhance_np developers"
copyright = author
release = version = enhance_np.__version__

extensions = [
    "myst_nb",  # myst_parser, and notebooks as pages
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx-mathjax-offline",  # pages with equations need no other server
    "extensions.tree",
    "extensions.sources",
    "extensions.commands",
    "extensions.docstrings",
]
exclude_patterns = ["_build", "jupyter_execute", "models"]  # the second: of the notebooks
root_doc = "index"
highlight_language = "none"  # of indented blocks, which are commands; Python is marked as such

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # docs/learn/notebooks/build.py runs them

autodoc_typehints = "none"  # docstrings give shapes and units
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True

html_theme = "pydata_sphinx_theme"
html_title = "enhance_np"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_context = {"default_mode": "auto"}  # otherwise the theme logs an error in the browser
html_copy_source = False
html_theme_options = {
    "navbar_align": "left",
    "show_toc_level": 2,
    "footer_start": ["copyright"],
    "footer_end": ["sphinx-version"],
}
html_sidebars = {"index": []}
