"""The site of documentation: the pages as they are read in the repository, and the reference, made from the code.

`python tasks.py site` builds it into `build/site`. Pages, notebooks and the files that they link to keep their places,
so that every link means the same here and there; that is why the source is the repository itself.
"""

import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "site"))

from diadem import Node, Package, __version__

project = "DIADEM"
author = "The DIADEM founders"
version = release = __version__
extensions = [
    "numpydoc",
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_copybutton",
    "command_reference",
]
root_doc = "docs/index"
include_patterns = [
    "docs/*.md",
    "docs/**/*.md",
    "docs/**/*.rst",
    "notebooks/*.ipynb",
    "benchmarks/README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "THREATS.md",
]
exclude_patterns = ["docs/site/**"]
templates_path = [str(Path(__file__).parent / "site/templates")]

# Everything is on this machine: a build asks no other one, nor does who reads it.
smartquotes = False  # two hyphens begin an option
nb_execution_mode = "off"  # tests run the notebooks
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4
suppress_warnings = ["myst.header", "misc.highlighting_failure"]
autodoc_typehints = "none"  # numpydoc's sections say them
#: Names that other rooms call; completion does not offer them either.
_INTERNAL = {"again", *Node._internal, *Package._internal}  # noqa: SLF001
autodoc_default_options = {"member-order": "bysource", "exclude-members": ", ".join(sorted(_INTERNAL))}
numpydoc_show_class_members = False  # they stand below, in full

html_theme = "pydata_sphinx_theme"
html_title = "DIADEM"
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "navigation_with_keys": True,
    "show_prev_next": True,
    "show_toc_level": 2,
    "secondary_sidebar_items": {"[!n]**": ["page-toc"]},  # notebooks need the width
    "logo": {"text": "DIADEM", "alt_text": "DIADEM"},
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_static_path = ["site/static"]
html_css_files = ["wide.css"]
html_additional_pages = {"index": "entrance.html"}


def _signature(*about):
    """Leave out how a class is made that no reader makes: its docstring has no parameters."""
    _, kind, _, thing, *_ = about
    return ("", None) if kind == "class" and "Parameters\n" not in (thing.__doc__ or "") else None


def setup(app):
    """Hide those signatures, and let pages of packages stand beside the gallery, as a browser opens them."""
    app.connect("autodoc-process-signature", _signature)
    previews = Path(__file__).parent / "previews"
    app.connect(
        "build-finished", lambda *_: shutil.copytree(previews, app.outdir / "docs/previews", dirs_exist_ok=True)
    )
