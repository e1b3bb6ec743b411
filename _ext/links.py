"""References and tables that are built by hand, not written on a page."""

from collections.abc import Sequence

from docutils import nodes
from sphinx.application import Sphinx


def uri(app: Sphinx, at: str, page: str, anchor: str = "") -> str:
    """Address of a place on ``page`` as seen from the page ``at``."""
    there = "" if page == at else app.builder.get_relative_uri(at, page)
    return f"{there}#{anchor}" if anchor else there


def link(text: str, uri: str) -> nodes.reference:
    return nodes.reference("", text, internal=True, refuri=uri)


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
