"""Sphinx configuration: one API page for each module that exists, written anew at every build."""

import importlib
import pkgutil
import shutil
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from docutils.nodes import Element, TextElement
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.ext.autodoc import FunctionDocumenter

from tt_foundation import __version__
from tt_foundation.primitive import Primitive, Procedure

project = "TinyTorch"
author = "The TinyTorch developers"
copyright = "2026, The TinyTorch developers"
release = version = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.doctest",
    "sphinx.ext.intersphinx",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
]
html_theme = "furo"
html_title = "TinyTorch"
exclude_patterns = ["_build"]
myst_enable_extensions = ["dollarmath"]
autodoc_typehints = "none"
autodoc_default_options = {"members": True}
nitpick_ignore_regex = [("py:class", r"(numpy|np|collections|typing)\..*")]
suppress_warnings = ["myst.header"]

PACKAGES = ["tt_foundation", "tt_architectures", "tt_course", "tt_capstone"]


INVENTORIES = {"python": "https://docs.python.org/3", "numpy": "https://numpy.org/doc/stable"}


def is_reachable(site: str) -> bool:
    try:
        with urllib.request.urlopen(f"{site}/objects.inv", timeout=5):
            return True
    except (urllib.error.URLError, TimeoutError):
        return False


# Without a network the pages are the same but for links out of them.
intersphinx_mapping = {name: (site, None) for name, site in INVENTORIES.items() if is_reachable(site)}


class OperationDocumenter(FunctionDocumenter):
    """Documents primitives and procedures, which are objects that are called, as the functions they are."""

    objtype = "operation"
    directivetype = "function"
    priority = FunctionDocumenter.priority + 10

    @classmethod
    def can_document_member(cls, member: Any, membername: str, isattr: bool, parent: Any) -> bool:
        return isinstance(member, Primitive | Procedure)


def write_api_pages(app: Sphinx) -> None:
    """One page a module, for every public module of the packages."""
    folder = Path(app.srcdir, "api")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    names = []
    for package in PACKAGES:
        for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
            if not module.name.rpartition(".")[2].startswith("_"):
                names.append(module.name)
    for name in names:
        title = f"``{name}``"
        text = f"{title}\n{'=' * len(title)}\n\n.. automodule:: {name}\n"
        Path(folder, f"{name}.rst").write_text(text)
    entries = "\n".join(f"   {name}" for name in names)
    Path(folder, "index.rst").write_text(f"API\n===\n\n.. toctree::\n   :maxdepth: 1\n\n{entries}\n")


def resolve_public_name(
    app: Sphinx, environment: BuildEnvironment, node: pending_xref, content: TextElement
) -> Element | None:
    """Link a bare name of a package's root, as docstrings write it, to the module that defines it."""
    roots = [importlib.import_module(package) for package in PACKAGES] if node["refdomain"] == "py" else []
    found = [getattr(root, node["reftarget"]) for root in roots if hasattr(root, node["reftarget"])]
    module = getattr(found[0], "__module__", None) if found else None
    if module is None:
        return None
    name = f"{module}.{node['reftarget']}"
    python = environment.domains["py"]
    return python.resolve_xref(environment, node["refdoc"], app.builder, node["reftype"], name, node, content)


def setup(app: Sphinx) -> None:
    app.add_autodocumenter(OperationDocumenter)
    app.connect("builder-inited", write_api_pages)
    app.connect("missing-reference", resolve_public_name)
