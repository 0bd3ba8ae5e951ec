"""How Sphinx builds the site: ``python -m sphinx -W -b html docs docs/_build/html``.

It builds offline: no intersphinx, no fonts or scripts of others. Pages are Markdown (MyST), the API
comes from the docstrings (numpydoc), the gallery from ``docs/examples`` (sphinx-gallery);
``-D plot_gallery=0`` leaves the examples unrun.
"""

import re

import matplotlib
from docutils import nodes

import fastlogreg

matplotlib.use("agg")

project = "fastlogreg"
author = "fastlogreg developers"
project_copyright = author
version = release = fastlogreg.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_gallery.gen_gallery",
]
root_doc = "index"
source_suffix = {".rst": "restructuredtext", ".md": "markdown"}
exclude_patterns = ["_build", "examples", "benchmarks/*.json"]
templates_path = ["_templates"]
default_role = "code"

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autosummary_generate = True
autodoc_typehints = "none"  # the docstrings say it, with shapes
autodoc_member_order = "bysource"
numpydoc_show_class_members = False  # the template lists them
numpydoc_xref_param_type = False

# what belongs to others cannot be looked up offline
nitpick_ignore_regex = [
    (r"py:.*", r"(sklearn|scipy|numpy|matplotlib|pandas|np|plt)(\..*)?"),
]

sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"\.py$",
    "subsection_order": [
        f"examples/{name}" for name in ("lecture", "models", "penalties", "tables", "large")
    ],
    "within_subsection_order": "FileNameSortKey",
    "capture_repr": (),
    "show_memory": False,
    "write_computation_times": False,  # its page asks the network for scripts
    "show_signature": False,
    "download_all_examples": False,
    "abort_on_example_error": True,
    "backreferences_dir": "api/backreferences",
    "doc_module": ("fastlogreg",),
    "matplotlib_animations": False,
}

html_theme = "pydata_sphinx_theme"
html_title = f"fastlogreg {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "logo": {"text": "fastlogreg"},
    "navbar_align": "left",
    "header_links_before_dropdown": 7,
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "search_as_you_type": True,
    "navigation_with_keys": False,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
html_context = {"default_mode": "auto"}
# pages without others beside them
_alone = ("index", "getting_started", "how_it_works", "benchmarks", "decisions", "changelog")
html_sidebars = {page: [] for page in _alone}
toc_object_entries_show_parents = "hide"


def mark_sentences(app, doctree):
    """Name the printed blocks whose lines are sentences and not a table; site.css breaks them."""
    for block in doctree.findall(nodes.literal_block):
        if block.get("language") in ("text", "none"):
            lines = block.astext().splitlines()
            if max(map(len, lines)) > 88 and not re.search(r"[-=─]{9}", block.astext()):
                block["classes"].append("sentences")


def setup(app):
    """Sphinx calls this."""
    app.connect("doctree-read", mark_sentences)
