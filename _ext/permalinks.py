"""A permanent link at the title of each theorem and exercise.

Sphinx writes them at headings, figures, tables and equations.
"""

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator


def depart_title(translator: HTML5Translator, node: nodes.title) -> None:
    box = node.parent
    if isinstance(box, nodes.Admonition) and box["ids"]:
        translator.add_permalink_ref(box, "Link to this box")
    HTML5Translator.depart_title(translator, node)


def setup(app: Sphinx) -> dict[str, bool]:
    title = HTML5Translator.visit_title, depart_title
    app.add_node(nodes.title, override=True, html=title)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
