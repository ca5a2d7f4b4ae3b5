"""How Sphinx builds the documentation; ``make docs`` runs it."""

import argparse
import importlib
import os
import re
import shutil
import sys
import warnings
from pathlib import Path

from matplotlib.figure import Figure
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx_gallery.scrapers import figure_rst

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
GENERATED = DOCS / "_generated"
sys.path.insert(0, str(ROOT))

import encoding  # noqa: E402
from encoding.cli import build_parser  # noqa: E402

# Packages of the API page, in the order of an analysis.
PACKAGES = {
    "encoding": "What everything else is made of",
    "encoding.simulate": "Studies with planted truth",
    "encoding.collection": "Judgments of models and people",
    "encoding.embedding": "Feature spaces",
    "encoding.loading": "Responses, and features on their clock",
    "encoding.fitting": "Encoding models",
    "encoding.comparison": "Scores, tests, similarity",
    "encoding.mapping": "Maps and reports",
    "encoding.config": "Configurations",
    "encoding.pipeline": "All stages together",
}

project = "brain-encoding"
author = "The brain-encoding developers"
copyright = author  # noqa: A001
release = version = encoding.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "_gallery/*.ipynb", "_gallery/*.py", "**/*.md5"]
templates_path: list[str] = []
html_static_path = ["_static"]
suppress_warnings = ["config.cache"]

html_theme = "pydata_sphinx_theme"
html_title = project
html_show_sourcelink = False
html_show_search_summary = False  # summaries are read over the network, which pages from a disk cannot do
html_copy_source = False
html_css_files = ["site.css"]
html_context = {"default_mode": "auto"}  # without one, the theme complains in the console of every page
html_theme_options = {
    "navbar_end": ["theme-switcher"],
    "secondary_sidebar_items": {"**": ["page-toc"], "settings": [], "bad_inputs": []},  # wide tables need the room
    "show_prev_next": False,
    "navigation_with_keys": True,
    "footer_start": ["copyright"],
    "footer_end": [],
}
# Loaded from the site itself: make docs takes it from npm and leaves it in docs/_static/mathjax.
mathjax_path = "mathjax/tex-mml-chtml.js"

myst_enable_extensions = ["deflist", "dollarmath", "fieldlist"]
myst_heading_anchors = 3
autosummary_generate = True
autodoc_typehints = "none"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False


def drawn_figures(_block: tuple, block_vars: dict, _conf: dict) -> str:
    """Show figures that drawing functions of the package return, which pyplot does not know."""
    shown = block_vars["example_globals"].setdefault("__shown__", set())
    images = []
    for value in list(block_vars["example_globals"].values()):
        if isinstance(value, Figure) and id(value) not in shown and getattr(value, "number", None) is None:
            shown.add(id(value))
            images.append(next(block_vars["image_path_iterator"]))
            value.savefig(images[-1], dpi=110)
    return figure_rst(images, str(DOCS))


sphinx_gallery_conf = {
    "examples_dirs": [str(ROOT / "examples")],
    "gallery_dirs": ["_gallery"],
    # ENCODING_DOCS=quick does not run the pages that simulate and analyse whole studies.
    "filename_pattern": os.sep + ("plot_(?!02|04|12|14)" if os.environ.get("ENCODING_DOCS") == "quick" else "plot_"),
    "ignore_pattern": r"__init__|plugins",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_signature": False,
    "remove_config_comments": True,
    "write_computation_times": False,
    "within_subsection_order": "FileNameSortKey",
    "image_scrapers": ("matplotlib", drawn_figures),
    "reset_modules": ("matplotlib",),
}
warnings.filterwarnings("ignore", message="FigureCanvasAgg is non-interactive")


def commands_page() -> str:
    """Describe every command, from the parser itself."""
    lines = [
        "# Command line",
        "",
        "Look up the options of every command here; `encoding COMMAND --help` prints the same.",
        "",
    ]
    for name, parser in _parsers(build_parser()):
        lines += [f"## `{name}`", "", parser.description or "", "", "```text", parser.format_help().strip(), "```", ""]
    return "\n".join(lines)


def _parsers(parser: argparse.ArgumentParser) -> list[tuple[str, argparse.ArgumentParser]]:
    actions = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    children = [child for action in actions for child in action.choices.values()]
    return [pair for child in children for pair in (_parsers(child) or [])] if children else [(parser.prog, parser)]


def api_page() -> str:
    """List all public names, package by package."""
    lines = [
        "API",
        "===",
        "",
        "Look up every public function and class here, each with an example that runs. Examples share some names,",
        "such as ``job``, ``result`` and ``judgments``, which these lines make:",
    ]
    lines += ["", ".. literalinclude:: ../api_setup.py", "   :language: python", ""]
    seen: set[int] = set()
    for name, title in PACKAGES.items():
        module = importlib.import_module(name)
        public = [public for public in module.__all__ if id(getattr(module, public)) not in seen]
        seen |= {id(getattr(module, public)) for public in public}
        lines += [f"{title}: ``{name}``", "-" * (len(title) + len(name) + 6), "", f".. currentmodule:: {name}", ""]
        lines += [".. autosummary::", "   :toctree: api", "   :nosignatures:", "", *(f"   {p}" for p in public), ""]
    return "\n".join(lines)


def prepare(_app: Sphinx, _config: Config) -> None:
    """Write the pages that are made from the package, and those that live elsewhere in the repository."""
    (GENERATED / "results").mkdir(parents=True, exist_ok=True)
    shutil.rmtree(GENERATED / "api", ignore_errors=True)  # names move
    pages = {"commands.md": commands_page(), "api.rst": api_page()}
    pages |= {f"results/{path.name}": path.read_text(encoding="utf-8") for path in RESULTS}
    pages |= {f"{name}.md": (ROOT / path).read_text(encoding="utf-8") for name, path in ELSEWHERE.items()}
    for picture in (ROOT / "benchmarks" / "results").glob("*.[ps][nv]g"):
        shutil.copy(picture, GENERATED / "results" / picture.name)
    for name, text in pages.items():
        path = GENERATED / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:  # an unchanged page is not built again
            path.write_text(text, encoding="utf-8")


RESULTS = sorted((ROOT / "benchmarks" / "results").glob("*.md"))
ELSEWHERE = {"changelog": "CHANGELOG.md", "contributing": "CONTRIBUTING.md", "roi_atlases": "roi_atlases/README.md"}
SOURCES = {ROOT / path: GENERATED / f"{name}.md" for name, path in ELSEWHERE.items()}
SOURCES |= {ROOT / "README.md": DOCS / "index.md", ROOT / "examples": DOCS / "_gallery" / "index.rst"}
SOURCES |= {path: GENERATED / "results" / path.name for path in RESULTS}
LINK = re.compile(r"(?<!!)\[(?P<text>[^\]]*)\]\((?P<path>[^)\s#:]+)(?P<anchor>#[^)]*)?\)")


def follow(_app: Sphinx, name: str, source: list[str]) -> None:
    """Point links between files of the repository to the pages of the site; what has no page keeps its text only."""
    page = DOCS / f"{name}.md"
    if not page.exists():
        return
    # Links of a copied page are relative to the file that it was copied from.
    origin = next((path for path, copy in SOURCES.items() if copy == page and GENERATED in copy.parents), page)

    def replaced(link: re.Match) -> str:
        target = (origin.parent / link["path"]).resolve()
        target = SOURCES.get(target, target)
        if target.is_relative_to(DOCS) and target.exists():
            return f"[{link['text']}]({os.path.relpath(target, page.parent)}{link['anchor'] or ''})"
        return link["text"]

    source[0] = LINK.sub(replaced, source[0])


def setup(app: Sphinx) -> None:
    """Register the steps above."""
    app.connect("config-inited", prepare)  # before autosummary looks for pages
    app.connect("source-read", follow)
