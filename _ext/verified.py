"""Marks beside checked equations, each a link to its cell.

``verify`` prints a line "eq-name  ✓  ..." which the notebook stores. This extension
finds those lines, gives the cell an anchor and marks the equation. An equation without
such a line is a warning.
"""

import functools
import re
from collections.abc import Iterator
from pathlib import Path

from docutils import nodes
from links import uri
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging

CHECK = re.compile(r"^(eq-[\w-]+)  ✓  (.+)$", re.M)
PRINTED = re.compile(r'^\s+"(eq-[\w-]+)": ', re.M)
log = logging.getLogger(__name__)


def checks(env: BuildEnvironment) -> dict[str, tuple[str, str]]:
    """Label of an equation -> page and the printed line of its check."""
    if not hasattr(env, "verified_checks"):
        env.verified_checks = {}
    return env.verified_checks


def has_type(node: nodes.Node, element: str) -> bool:
    return isinstance(node, nodes.container) and node.get("nb_element") == element


def cells(page: nodes.Node) -> Iterator[nodes.Node]:
    return page.findall(lambda n: has_type(n, "cell_code"))


def collect(app: Sphinx, doctree: nodes.document) -> None:
    """Give each cell that verified something an anchor, and remember its line."""
    for cell in cells(doctree):
        for output in cell.findall(lambda n: has_type(n, "cell_code_output")):
            for label, line in CHECK.findall(output.astext()):
                if label not in checks(app.env):  # the first of several
                    cell["ids"].append(f"check-{label}")
                    checks(app.env)[label] = app.env.docname, line


@functools.cache
def printed(root: Path) -> set[str]:
    """Labels whose TeX the tests parse and evaluate (the keys of FORMS)."""
    texts = (path.read_text("utf-8") for path in root.glob("tests/printed/*.py"))
    return {label for text in texts for label in PRINTED.findall(text)}


def mark(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Tell the mathematics which equations carry a mark."""
    as_printed = printed(Path(app.srcdir))
    for node in doctree.findall(nodes.math_block):
        label = node.get("label") or ""
        if not label.startswith("eq-"):
            continue
        if label not in checks(app.env):
            log.warning("equation %s is not verified", label, location=node)
            continue
        page, line = checks(app.env)[label]
        also = "; evaluated as printed, too" if label in as_printed else ""
        node["verified"] = {
            "uri": uri(app, docname, page, f"check-{label}"),
            "sign": "✓✓" if label in as_printed else "✓",
            "title": f"checked: {line}{also}",
        }


def reading_order(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Remember the pages in the order of the table of contents."""
    order, stack = [], [env.config.root_doc]
    while stack:
        page = stack.pop()
        order.append(page)
        stack += reversed(env.toctree_includes.get(page, []))
    env.found_docs_in_order = order
    return []


def forget(app: Sphinx, env: BuildEnvironment, docname: str) -> None:
    for label in [k for k, (page, _) in checks(env).items() if page == docname]:
        del checks(env)[label]


def merge(
    app: Sphinx, env: BuildEnvironment, docnames: set[str], other: BuildEnvironment
) -> None:
    checks(env).update({k: v for k, v in checks(other).items() if v[0] in docnames})


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("doctree-read", collect)
    app.connect("env-updated", reading_order)
    app.connect("doctree-resolved", mark)
    app.connect("env-purge-doc", forget)
    app.connect("env-merge-info", merge)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
