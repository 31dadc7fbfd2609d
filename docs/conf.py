"""How Sphinx builds these pages: ``make docs``. Nothing is fetched, and every warning is an error."""

from __future__ import annotations

import re
from pathlib import Path

from sphinx.application import Sphinx

from loadgen import __version__

project = "loadgen"
version = release = __version__
author = copyright = "the authors of loadgen"

extensions = ["myst_parser"]
root_doc = "index"
exclude_patterns = ["README.md"]  # the index has it in it
nitpicky = True

myst_heading_anchors = 3

html_theme = "furo"
html_title = "loadgen"
html_copy_source = False
html_show_sphinx = False

_LIST = "\n```{toctree}\n:glob:\n\n[0-9]*\n```\n"
_LINK = re.compile(r"\[([^\]]*)\]\(((?:\.\./)+[^)#]+)[^)]*\)")


def setup(app: Sphinx) -> None:
    """See Sphinx."""
    app.connect("source-read", _as_a_site)


def _as_a_site(app: Sphinx, page: str, source: list[str]) -> None:
    """Do what the repository does by itself where the files are read there.

    Its directory lists the decisions, and a link out of docs/ leads to a file.
    """
    if page == "decisions/README":
        source[0] += _LIST
    root, directory = Path(app.srcdir), (Path(app.srcdir) / page).parent

    def inside(link: re.Match[str]) -> str:
        path = (directory / link[2]).resolve()
        if path.is_relative_to(root):
            return link[0]
        name = f"`{path.relative_to(root.parent)}`"
        return name if link[1] == name.strip("`") else f"{link[1]} ({name})"

    source[0] = _LINK.sub(inside, source[0])
