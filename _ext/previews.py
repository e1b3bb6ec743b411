"""Previews of what a link leads to, shown by static/previews.js on hover and on focus.

For each page a script is written that holds what other places refer to: equations,
theorems, exercises, figures, terms and references. A browser loads it when a link to
that page is hovered, as a script, since that is what it also loads from a file.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urldefrag, urljoin

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx_exercise.nodes import solution_node

STATIC = Path(__file__).parent / "static"
KINDS = nodes.math_block, nodes.figure, nodes.citation, nodes.Admonition, nodes.term


class Previews:
    """What could be shown, by page and anchor, and what a link really leads to."""

    def __init__(self) -> None:
        self.found: dict[str, dict[str, str]] = {}
        self.wanted: set[tuple[str, str]] = set()

    def collect(
        self, app: Sphinx, page: str, template: str, context: dict, doctree: object
    ) -> None:
        """While a page is written, when its numbers and its pictures are known."""
        if doctree is None:
            return
        uri = app.builder.get_target_uri(page)
        self.found[uri] = {
            anchor: render(app, doctree, node)
            for node in doctree.findall(is_shown)
            for anchor in node["ids"][:1]
        }
        self.wanted.update(urldefrag(urljoin(uri, link)) for link in links(doctree))

    def write(self, app: Sphinx, exception: Exception | None) -> None:
        for uri, found in self.found.items():
            kept = {k: v for k, v in found.items() if (uri, k) in self.wanted}
            path = Path(app.outdir, "_previews", f"{uri}.js")
            path.parent.mkdir(parents=True, exist_ok=True)
            content = json.dumps(kept, ensure_ascii=False, indent=0)
            path.write_text(f"previews.add({json.dumps(uri)}, {content});\n", "utf-8")


def is_shown(node: nodes.Node) -> bool:
    return isinstance(node, KINDS) and not isinstance(node, solution_node)


def render(app: Sphinx, doctree: nodes.document, node: nodes.Element) -> str:
    """As on its page; a term with what it means."""
    translator = app.builder.create_translator(doctree, app.builder)
    whole = node.parent if isinstance(node, nodes.term) else node
    whole.walkabout(translator)
    return "".join(translator.body)


def links(doctree: nodes.document) -> Iterator[str]:
    for node in doctree.findall(nodes.reference):
        if node.get("internal"):
            yield node.get("refuri") or f"#{node['refid']}"


def add_static_files(app: Sphinx, config: Config) -> None:
    # Here and not in _config.yml: Jupyter Book would link every file it finds there.
    config.html_static_path.append(str(STATIC))


def setup(app: Sphinx) -> dict[str, bool]:
    previews = Previews()
    app.add_js_file("previews.js", loading_method="defer")
    app.connect("config-inited", add_static_files)
    app.connect("html-page-context", previews.collect)
    app.connect("build-finished", previews.write)
    return {"parallel_read_safe": True, "parallel_write_safe": False}  # one memory
