"""The ledger: each verified equation, its code, and what its cell printed."""

from pathlib import Path

from docutils import nodes
from links import link, row, table, uri
from reference import implementations
from sphinx.application import Sphinx
from sphinx.util import logging
from verified import checks, printed

log = logging.getLogger(__name__)


def ledger(app: Sphinx, at: str) -> list[nodes.Node]:
    """A sentence with the totals, then a table for each page in reading order."""
    env, root = app.env, Path(app.srcdir)
    equations = env.get_domain("math").equations
    code, as_printed = implementations(root), printed(root)
    if unknown := checks(env).keys() - equations.keys():
        log.warning("verified, but no equation: %s", ", ".join(sorted(unknown)))
    for label in code.keys() - equations.keys():
        log.warning("%s names no equation: %s", ", ".join(code[label]), label)
    total, both = len(checks(env)), len(as_printed & checks(env).keys())
    text = f"{total} equations are verified by a cell; {both} of them also as printed."
    result: list[nodes.Node] = [nodes.paragraph("", text)]
    for page in env.found_docs_in_order:
        lines = {label: line for label, (p, line) in checks(env).items() if p == page}
        numbers = {label: number(app, page, label) for label in lines}
        rows = [
            row(
                link(
                    f"({dotted(numbers[label])})",
                    uri(app, at, page, f"equation-{label}"),
                ),
                name_and_code(app, at, label, code.get(label, [])),
                nodes.Text("✓✓" if label in as_printed else "✓"),
                link(lines[label], uri(app, at, page, f"check-{label}")),
            )
            for label in sorted(lines, key=numbers.get)
        ]
        if rows:
            heads = "equation", "name, and code in lib", "mark", "what its cell printed"
            title = link(env.titles[page].astext(), uri(app, at, page))
            result += [
                nodes.rubric("", "", title),
                table("ledger", heads, (8, 34, 8, 50), rows),
            ]
    return result


def number(app: Sphinx, page: str, label: str) -> tuple[int, ...]:
    numbers = app.env.toc_fignumbers.get(page, {}).get("displaymath", {})
    return numbers.get(f"equation-{label}", (0,))


def dotted(number: tuple[int, ...]) -> str:
    return ".".join(map(str, number))


def name_and_code(app: Sphinx, at: str, label: str, names: list[str]) -> nodes.inline:
    """The label, and what computes the equation, linked to the reference."""
    objects = app.env.get_domain("py").objects
    result = nodes.inline("", "", nodes.literal("", label))
    for name in names:
        code: nodes.Node = nodes.literal("", name)
        if name in objects:
            found = objects[name]
            address = uri(app, at, found.docname, found.node_id)
            code = nodes.reference("", "", code, internal=True, refuri=address)
        result += [nodes.Text(" "), code]
    return result
