"""Solutions and code as <details>: they open and fold without a script.

Also removes the ids that sphinx-exercise and sphinx-proof repeat on every page.
"""

from html import escape

from docutils import nodes
from myst_nb.sphinx_ import HideCodeCellNode
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.writers.html5 import HTML5Translator
from sphinx_exercise.nodes import solution_node


class FoldCode(SphinxPostTransform):
    """Let all code be folded; what an author has folded, MyST-NB folds."""

    default_priority = 198
    formats = ("html",)

    def run(self, **options: object) -> None:
        prompt = self.config.nb_code_prompt_show
        for cell in list(self.document.findall(nodes.container)):
            is_code = cell.get("nb_element") == "cell_code_source"
            if is_code and not cell.parent.get("hide_mode"):
                fold = HideCodeCellNode(classes=["fold"], prompt_show=prompt)
                cell.parent[cell.parent.index(cell)] = fold
                fold += cell


def visit_solution(translator: HTML5Translator, node: solution_node) -> None:
    translator.body.append(translator.starttag(node, "details", CLASS="solution"))
    title = node.next_node(nodes.title)
    translator.body.append("<summary>")
    for child in title.children:
        child.walkabout(translator)
    translator.body.append("</summary>\n")
    node.remove(title)


def visit_code(translator: HTML5Translator, node: HideCodeCellNode) -> None:
    shown = {"open": "open"} if "fold" in node["classes"] else {}
    translator.body.append(translator.starttag(node, "details", CLASS="code", **shown))
    translator.body.append(f"<summary>{escape(node['prompt_show'])}</summary>\n")


def depart(translator: HTML5Translator, node: nodes.Element) -> None:
    translator.body.append("</details>\n")


def tidy(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    repeated = {"exercise-content", "solution-content", "proof-content", "proof"}
    for node in doctree.findall(nodes.Element):
        if repeated & set(node.get("ids", [])):
            node["ids"] = [i for i in node["ids"] if i not in repeated]
    for node in doctree.findall(solution_node):
        node["classes"] = [c for c in node["classes"] if c != "dropdown"]


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_node(solution_node, override=True, html=(visit_solution, depart))
    app.add_node(HideCodeCellNode, override=True, html=(visit_code, depart))
    app.add_post_transform(FoldCode)
    app.connect("doctree-resolved", tidy, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
