"""Solutions as <details>: they open without a script, by a link into them, in print.

Also removes the ids that sphinx-exercise and sphinx-proof repeat on every page.
"""

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator
from sphinx_exercise.nodes import solution_node


def visit(translator: HTML5Translator, node: solution_node) -> None:
    translator.body.append(translator.starttag(node, "details", CLASS="solution"))
    title = node.next_node(nodes.title)
    translator.body.append("<summary>")
    for child in title.children:
        child.walkabout(translator)
    translator.body.append("</summary>\n")
    node.remove(title)


def depart(translator: HTML5Translator, node: solution_node) -> None:
    translator.body.append("</details>\n")


def tidy(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    repeated = {"exercise-content", "solution-content", "proof-content", "proof"}
    for node in doctree.findall(nodes.Element):
        if repeated & set(node.get("ids", [])):
            node["ids"] = [i for i in node["ids"] if i not in repeated]
    for node in doctree.findall(solution_node):
        node["classes"] = [c for c in node["classes"] if c != "dropdown"]


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_node(solution_node, override=True, html=(visit, depart))
    app.connect("doctree-resolved", tidy, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
