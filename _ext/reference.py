"""The library's reference from its docstrings, with links to equations and back.

A docstring names the equations that its function computes, ``eq-name``; a comment in
the code names the one that its line computes.
"""

import ast
import re
from pathlib import Path

from sphinx.application import Sphinx

LABEL = re.compile(r"\b(?:eq|def)-[a-z0-9-]+\b")


def link(app: Sphinx, what, name, obj, options, lines: list[str]) -> None:
    """Make ``eq-name`` the number of that equation, and a link to it."""
    label = re.compile(rf"``({LABEL.pattern})``")
    lines[:] = [label.sub(r":eq:`\1`", line) for line in lines]


def implementations(root: Path) -> dict[str, list[str]]:
    """Label of an equation -> the public functions, or else modules, that name it."""
    found: dict[str, dict[str, bool]] = {}
    for path in sorted((root / "lib").glob("[a-z]*.py")):
        text = path.read_text("utf-8")
        module = f"lib.{path.stem}"
        for node in ast.parse(text).body:
            if not isinstance(node, ast.FunctionDef | ast.ClassDef):
                continue
            public = not node.name.startswith("_")
            name = f"{module}.{node.name}" if public else module
            for label in LABEL.findall(ast.get_source_segment(text, node)):
                found.setdefault(label, {})[name] = True
    return {
        label: [n for n in names if n.count(".") == 2] or list(names)
        for label, names in found.items()
    }


def setup(app: Sphinx) -> dict[str, bool]:
    app.setup_extension("sphinx.ext.autodoc")
    app.setup_extension("sphinx.ext.napoleon")
    app.connect("autodoc-process-docstring", link)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
