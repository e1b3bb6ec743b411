"""Elements that a screen reader can announce, where docutils writes others.

An empty cell in the head of a table is no heading, and a bibliography is a list.
"""

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator


def visit_entry(translator: HTML5Translator, node: nodes.entry) -> None:
    if isinstance(node.parent.parent, nodes.thead) and not node.astext().strip():
        node.parent.column += 1
        translator.body.append(translator.starttag(node, "td"))
        translator.context.append("</td>\n")
    else:
        HTML5Translator.visit_entry(translator, node)


def depart_entry(translator: HTML5Translator, node: nodes.entry) -> None:
    translator.body.append(translator.context.pop())


def visit_citation(translator: HTML5Translator, node: nodes.citation) -> None:
    if not isinstance(node.previous_sibling(), nodes.citation):
        translator.body.append('<div role="list" class="citation-list">\n')
    translator.body.append(
        translator.starttag(node, "div", CLASS="citation", role="listitem")
    )


def depart_citation(translator: HTML5Translator, node: nodes.citation) -> None:
    translator.body.append("</div>\n")
    if not isinstance(node.next_node(siblings=True, descend=False), nodes.citation):
        translator.body.append("</div>\n")


def setup(app: Sphinx) -> dict[str, bool]:
    entry, citation = (visit_entry, depart_entry), (visit_citation, depart_citation)
    app.add_node(nodes.entry, override=True, html=entry)
    app.add_node(nodes.citation, override=True, html=citation)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
