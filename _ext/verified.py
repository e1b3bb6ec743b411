"""Marks beside checked equations, each a link to its cell; and the ledger of them all.

``verify`` prints a line "eq-name  ✓  ..." which the notebook stores. This extension
finds those lines, gives the cell an anchor, marks the equation, and lists everything
where a page says ``{ledger}``. An equation without such a line is a warning.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from docutils import nodes
from reference import implementations
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

CHECK = re.compile(r"^(eq-[\w-]+)  ✓  (.+)$", re.M)
PRINTED = re.compile(r'^\s+"(eq-[\w-]+)": ', re.M)
log = logging.getLogger(__name__)


class LedgerNode(nodes.General, nodes.Element):
    """Where the ledger will stand once every page has been read."""


class Ledger(SphinxDirective):
    def run(self) -> list[nodes.Node]:
        self.env.note_reread()
        return [LedgerNode()]


def checks(env: BuildEnvironment) -> dict[str, tuple[str, str]]:
    """Label of an equation -> page and the printed line of its check."""
    if not hasattr(env, "verified_checks"):
        env.verified_checks = {}
    return env.verified_checks


def has_type(node: nodes.Node, element: str) -> bool:
    return isinstance(node, nodes.container) and node.get("nb_element") == element


def collect(app: Sphinx, doctree: nodes.document) -> None:
    """Give each cell that verified something an anchor, and remember its line."""
    for cell in doctree.findall(lambda n: has_type(n, "cell_code")):
        for output in cell.findall(lambda n: has_type(n, "cell_code_output")):
            for label, line in CHECK.findall(output.astext()):
                if label not in checks(app.env):  # the first of several
                    cell["ids"].append(f"check-{label}")
                    checks(app.env)[label] = app.env.docname, line


def printed(app: Sphinx) -> set[str]:
    """Labels whose TeX the tests parse and evaluate (the keys of FORMS)."""
    folder = Path(app.srcdir) / "tests" / "printed"
    texts = (path.read_text("utf-8") for path in sorted(folder.glob("*.py")))
    return {label for text in texts for label in PRINTED.findall(text)}


def mark(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Tell the mathematics which equations carry a mark, and fill the ledger."""
    as_printed = printed(app)
    for node in doctree.findall(nodes.math_block):
        label = node.get("label") or ""
        if not label.startswith("eq-"):
            continue
        if label not in checks(app.env):
            log.warning("equation %s is not verified", label, location=node)
            continue
        page, line = checks(app.env)[label]
        uri = "" if page == docname else app.builder.get_relative_uri(docname, page)
        also = "; evaluated as printed, too" if label in as_printed else ""
        node["verified"] = {
            "uri": f"{uri}#check-{label}",
            "sign": "✓✓" if label in as_printed else "✓",
            "title": f"checked: {line}{also}",
        }
    for place in list(doctree.findall(LedgerNode)):
        place.replace_self(ledger(app, docname, as_printed))


def ledger(app: Sphinx, docname: str, as_printed: set[str]) -> list[nodes.Node]:
    """A sentence with the totals, then a table for each page in reading order."""
    env, domain = app.env, app.env.get_domain("math")
    rows: dict[str, list[tuple[str, str, str]]] = {}
    for label, (page, line) in checks(env).items():
        rows.setdefault(page, []).append(
            (equation_number(app, page, label), label, line)
        )
    total = len(checks(env))
    both = len(as_printed & set(checks(env)))
    unknown = [label for label in checks(env) if label not in domain.equations]
    if unknown:
        log.warning("verified, but no equation: %s", ", ".join(sorted(unknown)))
    text = f"{total} equations are verified by a cell; {both} of them also as printed."
    result: list[nodes.Node] = [nodes.paragraph("", text)]
    code = implementations(Path(app.srcdir))
    for label in code.keys() - domain.equations.keys():
        log.warning("%s names no equation: %s", ", ".join(code[label]), label)
    for page in [p for p in env.found_docs_in_order if p in rows]:
        uri = app.builder.get_relative_uri(docname, page)
        title = nodes.rubric("", "", link(env.titles[page].astext(), uri))
        body = [
            row(
                link(f"({number})", f"{uri}#equation-{label}"),
                name_and_code(app, docname, label, code.get(label, [])),
                nodes.Text("✓✓" if label in as_printed else "✓"),
                link(line, f"{uri}#check-{label}"),
            )
            for number, label, line in sorted(rows[page], key=order)
        ]
        heads = "equation", "name, and code in lib", "mark", "what its cell printed"
        result += [title, table("ledger", heads, (8, 34, 8, 50), body)]
    return result


def order(row: tuple[str, str, str]) -> list[int]:
    return [int(n) for n in row[0].split(".")]


def equation_number(app: Sphinx, page: str, label: str) -> str:
    numbers = app.env.toc_fignumbers.get(page, {}).get("displaymath", {})
    return ".".join(map(str, numbers.get(f"equation-{label}", (0,))))


def link(text: str, uri: str) -> nodes.reference:
    return nodes.reference("", text, internal=True, refuri=uri)


def name_and_code(
    app: Sphinx, docname: str, label: str, names: list[str]
) -> nodes.inline:
    """The label, and what computes the equation, linked to the reference."""
    objects = app.env.get_domain("py").objects
    result = nodes.inline("", "", nodes.literal("", label))
    for name in names:
        code: nodes.Node = nodes.literal("", name)
        if name in objects:
            found = objects[name]
            page = app.builder.get_relative_uri(docname, found.docname)
            uri = f"{page}#{found.node_id}"
            code = nodes.reference("", "", code, internal=True, refuri=uri)
        result += [nodes.Text(" "), code]
    return result


def table(
    kind: str, heads: Sequence[str], widths: Sequence[int], rows: list[nodes.row]
) -> nodes.table:
    group = nodes.tgroup(cols=len(heads))
    group += [nodes.colspec(colwidth=w) for w in widths]
    group += nodes.thead("", row(*(nodes.Text(h) for h in heads)))
    group += nodes.tbody("", *rows)
    return nodes.table("", group, classes=[kind])


def row(*cells: nodes.Node) -> nodes.row:
    return nodes.row("", *(nodes.entry("", nodes.paragraph("", "", c)) for c in cells))


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
    app.add_node(LedgerNode)
    app.add_directive("ledger", Ledger)
    app.connect("doctree-read", collect)
    app.connect("env-updated", reading_order)
    app.connect("doctree-resolved", mark)
    app.connect("env-purge-doc", forget)
    app.connect("env-merge-info", merge)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
