"""A page's content, as Sphinx has resolved it, in the Markdown that every tool renders.

Numbers, links and citations are those of the HTML page. What has no form here is a
warning that names page and cell, so that no construct of MyST is left unresolved.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from functools import singledispatchmethod
from operator import attrgetter
from string import ascii_lowercase
from typing import NamedTuple
from urllib.parse import urldefrag, urljoin

from docutils import nodes
from sphinx import addnodes
from sphinx.builders import Builder
from sphinx.util import logging
from sphinx_exercise.nodes import exercise_enumerable_node, solution_node
from sphinx_proof.nodes import NODE_TYPES, proof_node
from sphinxcontrib.bibtex.domain import Citation

MARKUP = re.compile(r"([\\`*_<$|~])")
ALIGNED = {"text-right": "--:", "text-center": ":-:"}
log = logging.getLogger(__name__)


def cell_of(node: nodes.Node) -> int:
    """The cell that a node is from; MyST-NB numbers lines cell * 10000 + line."""
    lines = (getattr(n, "line", None) for n in node.findall())
    return next(filter(None, lines), 0) // 10000


class Source(NamedTuple):
    """A cited work; works of one year by the same authors differ in a letter."""

    authors: str
    year: str
    key: str

    def __str__(self) -> str:
        return f"{self.authors}, {self.year}"


def sources(citations: Iterable[Citation]) -> dict[str, Source]:
    """Name of the citation's anchor in the bibliography -> the work."""
    found, same = {}, defaultdict(list)
    for citation in sorted(citations, key=attrgetter("key")):
        people = citation.entry.persons.get("author", [])
        parts = (p.rich_prelast_names + p.rich_last_names for p in people)
        names = [" ".join(map(str, part)) for part in parts] or [citation.key]
        who = " and ".join(names) if len(names) < 3 else f"{names[0]} et al."
        year = citation.entry.fields.get("year", "undated")
        same[who, year].append(citation)
    for (who, year), works in same.items():
        for letter, work in zip(ascii_lowercase, works, strict=False):
            exact = f"{year}{letter}" if len(works) > 1 else year
            found[work.citation_id] = Source(who, exact, work.key)
    return found


def anchor(name: str) -> str:
    """In Colab a link finds the name, in JupyterLab the id."""
    return f'<a name="{name}" id="{name}"></a>'


def escaped(text: str) -> str:
    return MARKUP.sub(r"\\\1", text.replace("\n", " "))


def one_line(text: str) -> str:
    return " ".join(text.split())


def paragraphs(texts: Iterable[str]) -> str:
    return "\n\n".join(filter(None, texts))


def indented(text: str, first: str, rest: str) -> str:
    lines = text.split("\n")
    return "\n".join(f"{rest if i else first}{s}".rstrip() for i, s in enumerate(lines))


def within(node: nodes.Node, kind: type[nodes.Node]) -> bool:
    while (node := node.parent) is not None:
        if isinstance(node, kind):
            return True
    return False


class Writer:
    """Writes nodes of one page; ``cited`` gathers the entries that they refer to."""

    def __init__(self, builder: Builder, docname: str, doctree: nodes.document) -> None:
        env = builder.env
        self.docname = docname
        self.address = urljoin(
            builder.config.html_baseurl, builder.get_target_uri(docname)
        )
        self.numbers = {
            name: ".".join(map(str, number))
            for kind in env.toc_fignumbers.get(docname, {}).values()
            for name, number in kind.items()
        }
        self.linked = {n.get("refid") for n in doctree.findall(nodes.reference)}
        self.sources = sources(env.get_domain("cite").citations)
        self.cited: dict[Source, str] = {}

    def all(self, node: nodes.Element) -> list[str]:
        return [self.write(child) for child in node.children]

    def inline(self, node: nodes.Element) -> str:
        return "".join(self.all(node))

    def anchors(self, node: nodes.Element) -> str:
        return "".join(map(anchor, node["ids"]))

    @singledispatchmethod
    def write(self, node: nodes.Node) -> str:
        place = f"{self.docname}, cell {cell_of(node) or cell_of(node.parent)}"
        kind = type(node).__name__
        log.warning("%s: no plain Markdown for %s", place, kind, type="colab")
        return node.astext()

    # text

    @write.register
    def text(self, node: nodes.Text) -> str:
        return escaped(node.astext())

    @write.register
    def emphasis(self, node: nodes.emphasis) -> str:
        return f"*{self.inline(node)}*"

    @write.register
    def strong(self, node: nodes.strong) -> str:
        return f"**{self.inline(node)}**"

    @write.register
    def literal(self, node: nodes.literal) -> str:
        text = node.astext()
        ticks = "``" if "`" in text else "`"
        if within(node, nodes.entry):
            text = text.replace("|", r"\|")
        return f"{ticks} {text} {ticks}" if "`" in text else f"`{text}`"

    @write.register
    def span(self, node: nodes.inline) -> str:
        return self.inline(node)

    @write.register
    def math(self, node: nodes.math) -> str:
        tex = node.astext()
        if within(node, nodes.entry):  # where a bar would end the table's cell
            tex = tex.replace(r"\|", r"\Vert ").replace("|", r"\vert ")
        return f"${one_line(tex)}$"

    @write.register
    def reference(self, node: nodes.reference) -> str:
        address = urljoin(self.address, node.get("refuri") or f"#{node['refid']}")
        page, fragment = urldefrag(address)
        if "bibtex-citation" in node.parent.get("classes", []):
            return self.citation(node, fragment)
        here = page == self.address
        return f"[{self.inline(node)}]({f'#{fragment}' if here else address})"

    def citation(self, node: nodes.reference, name: str) -> str:
        """Authors and year, or the year where the authors are named before it."""
        source = self.sources[name]
        self.cited[source] = node["reftitle"]
        named = not node.parent.astext().startswith("[")
        return f"[{source.year if named else source}](#cite-{source.key})"

    # blocks

    @write.register
    def paragraph(self, node: nodes.paragraph) -> str:
        return self.inline(node)

    @write.register
    def title(self, node: nodes.title) -> str:
        level, section = 0, node.parent
        linked = [i for i in section["ids"] if i in self.linked]
        anchors = "".join(map(anchor, linked))
        while isinstance(section, nodes.section):
            level, section = level + 1, section.parent
        return paragraphs([anchors, f"{'#' * level} {self.inline(node)}"])

    @write.register
    def math_block(self, node: nodes.math_block) -> str:
        tex = one_line(node.astext())  # so that it can be quoted
        number = self.numbers.get(next(iter(node["ids"]), ""))
        tag = rf" \tag{{{number}}}" if number else ""
        return paragraphs([self.anchors(node), f"$$ {tex}{tag} $$"])

    @write.register
    def bullet_list(self, node: nodes.bullet_list) -> str:
        return self.items(node, ["- "] * len(node))

    @write.register
    def enumerated_list(self, node: nodes.enumerated_list) -> str:
        start = node.get("start", 1)
        return self.items(node, [f"{start + i}. " for i in range(len(node))])

    def items(self, node: nodes.Element, marks: list[str]) -> str:
        texts = [paragraphs(self.all(item)) for item in node]
        gap = "\n\n" if any("\n" in text for text in texts) else "\n"
        return gap.join(
            indented(text, mark, " " * len(mark))
            for text, mark in zip(texts, marks, strict=True)
        )

    @write.register
    def table(self, node: nodes.table) -> str:
        rows = [
            [" ".join(self.all(entry)) for entry in row]
            for row in node.findall(nodes.row)
        ]
        first = next(node.findall(nodes.row))
        rule = [ALIGNED.get(" ".join(entry["classes"]), "---") for entry in first]
        return "\n".join(f"| {' | '.join(row)} |" for row in [rows[0], rule, *rows[1:]])

    @write.register
    def quote(self, node: nodes.block_quote) -> str:
        return indented(paragraphs(self.all(node)), "> ", "> ")

    @write.register
    def literal_block(self, node: nodes.literal_block) -> str:
        return f"```{node.get('language', '')}\n{node.astext().rstrip()}\n```"

    @write.register
    def transition(self, node: nodes.transition) -> str:
        return "---"

    @write.register(nodes.comment)
    @write.register(nodes.target)
    @write.register(addnodes.index)
    def nothing(self, node: nodes.Node) -> str:
        return ""

    @write.register
    def raw(self, node: nodes.raw) -> str:
        return node.astext() if node.line else ""  # the theme's scripts have no line

    # boxes

    @write.register
    def section(self, node: nodes.section) -> str:
        return paragraphs(self.all(node))  # the content of a box

    @write.register
    def proof(self, node: proof_node) -> str:
        return self.quote(node.children[0])  # it begins with the word

    @write.register
    def box(self, node: nodes.Admonition) -> str:
        """Admonitions, theorems, exercises: a quote with a title."""
        content, title = list(node.children), type(node).__name__.capitalize()
        if content and isinstance(content[0], nodes.title):
            title = self.inline(content.pop(0))
        if isinstance(node, exercise_enumerable_node):
            title = f"Exercise {self.number(node)}{title}"
        elif isinstance(node, tuple(NODE_TYPES.values())):
            title = f"{node['realtype'].title()} {self.number(node)}{title}"
        head = f"{self.anchors(node)}**{title}**"
        return indented(paragraphs([head, *map(self.write, content)]), "> ", "> ")

    def number(self, node: nodes.Element) -> str:
        return next(self.numbers[name] for name in node["ids"] if name in self.numbers)

    def solution(self, node: solution_node, text: str, more: bool) -> str:
        """Part of a solution, folded; code cells stand between the parts."""
        to = self.numbers.get(node["target_label"], "")
        title = f"Solution to Exercise {to}{', continued' if more else ''}"
        head = f"<details>\n<summary>{title}</summary>"
        anchors = "" if more else self.anchors(node)
        return paragraphs([anchors, head, text, "</details>"])

    def caption(self, node: nodes.figure) -> str:
        text = self.inline(node.next_node(nodes.caption))
        return f"{self.anchors(node)}**Fig. {self.number(node)}** {text}"

    def checked(self, names: Iterable[str]) -> str:
        """The numbers of equations that a cell has verified by their names."""
        links = ", ".join(
            f"[({self.numbers[f'equation-{name}']})](#equation-{name}) `{name}`"
            for name in names
        )
        return f"*Checked above: {links}.*" if links else ""

    def references(self) -> str:
        entries = [
            f"- {anchor(f'cite-{source.key}')}{source}: {escaped(text)}"
            for source, text in sorted(self.cited.items())
        ]
        return paragraphs(["## References", "\n".join(entries)]) if entries else ""
