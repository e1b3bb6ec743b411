"""Pages about the book: its size, its pages, the claims and the results it settles.

All of it is gathered from the pages themselves when the book is built.
"""

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin

from docutils import nodes
from docutils.utils import new_document
from ledger import ledger
from links import link, row, table, uri
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective, SphinxRole
from sphinx.util.osutil import relative_uri
from sphinx_exercise.nodes import exercise_enumerable_node
from verified import cells, checks, printed

TIMES = re.compile(r"Reading: about (\d+) minutes.*running: about (\d+) seconds")
VERDICT = "What holds."
log = logging.getLogger(__name__)


class Gathered(nodes.General, nodes.Element):
    """Where a list or a number will stand once every page has been read."""


class Gather(SphinxDirective):
    """``{misconceptions}``, ``{reproductions}``, ``{pages}`` or ``{ledger}``."""

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()
        return [Gathered(what=self.name)]


class Count(SphinxRole):
    """A number of the book, such as ``{count}`equations```."""

    def run(self) -> tuple[list[nodes.Node], list]:
        self.env.note_reread()
        return [nodes.inline("", "", Gathered(what="count", of=self.text))], []


class Book:
    """The notebooks of a build, in reading order, and what is found in them."""

    def __init__(self, app: Sphinx) -> None:
        self.app, self.env = app, app.env
        self.pages = {
            name: self.env.get_doctree(name)
            for name in self.env.found_docs_in_order
            if self.env.doc2path(name).endswith(".ipynb")
        }

    def number_of(self, name: str) -> int:
        pages, root = self.pages.values(), Path(self.app.srcdir)
        return {
            "pages": lambda: len(pages),
            "equations": lambda: len(checks(self.env)),
            "as-printed": lambda: len(printed(root) & checks(self.env).keys()),
            "cells": lambda: sum(len(list(cells(page))) for page in pages),
            "exercises": lambda: sum(len(exercises(page)) for page in pages),
            "misconceptions": lambda: sum(len(list(claims(page))) for page in pages),
            "tests": lambda: count_tests(root / "tests"),
            "hours": lambda: round(sum(times(page)[0] for page in pages) / 60),
        }[name]()

    def uri(self, at: str, page: str, anchor: str = "") -> str:
        return uri(self.app, at, page, anchor)

    def copy(self, at: str, page: str, content: list[nodes.Node]) -> list[nodes.Node]:
        """Content of a page, with references that lead from ``at`` where they led."""
        builder, copied = self.app.builder, new_document(page)
        copied += [node.deepcopy() for node in content]
        self.env.resolve_references(copied, page, builder)
        here, there = builder.get_target_uri(at), builder.get_target_uri(page)
        for node in copied.findall(nodes.Element):
            node["ids"] = []  # an id stands once, where the content comes from
        for node in copied.findall(nodes.reference):
            if node.get("internal"):
                uri = urljoin(there, node.get("refuri") or f"#{node['refid']}")
                _, _, fragment = uri.partition("#")
                node["refuri"] = f"{relative_uri(here, uri)}#{fragment}".rstrip("#")
                node.attributes.pop("refid", None)
        return copied.children

    def link(self, at: str, page: str) -> nodes.reference:
        return link(self.env.titles[page].astext(), self.uri(at, page))


@functools.cache
def gathered(app: Sphinx) -> Book:
    """Read once for all pages about the book."""
    return Book(app)


def exercises(page: nodes.Node) -> list[nodes.Node]:
    return list(page.findall(exercise_enumerable_node))


def times(page: nodes.Node) -> tuple[int, int]:
    """Minutes of reading, seconds of running, as the page states them."""
    found = TIMES.search(page.astext())
    return (int(found[1]), int(found[2])) if found else (0, 0)


def count_tests(folder: Path) -> int:
    trees = (ast.parse(p.read_text("utf-8")) for p in folder.glob("test_*.py"))
    return sum(
        isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
        for tree in trees
        for node in ast.walk(tree)
    )


def claims(page: nodes.Node) -> Iterator[tuple[nodes.section, nodes.paragraph | None]]:
    """The claims that a page puts to the test, each with what holds instead."""
    for section in page.findall(nodes.section):
        if section[0].astext() == "Misconceptions":
            for claim in section.findall(nodes.section):
                if claim is not section:
                    verdicts = (p for p in claim.findall(nodes.paragraph))
                    yield claim, next(filter(is_verdict, verdicts), None)


def is_verdict(node: nodes.paragraph) -> bool:
    return node.astext().startswith(VERDICT) and bool(node.next_node(nodes.strong))


def anchor(app: Sphinx, page: nodes.document) -> None:
    """Let the first cell below a claim be linked to."""
    for claim, verdict in claims(page):
        if verdict is None:
            log.warning("a claim without a paragraph **%s**", VERDICT, location=claim)
        for cell in list(cells(claim))[:1]:
            cell["ids"].append(f"cell-{claim['ids'][0]}")


def misconceptions(book: Book, at: str) -> list[nodes.Node]:
    """Each claim, what holds instead, and a link to the cell that settles it."""
    result: list[nodes.Node] = []
    for page, doctree in book.pages.items():
        items = nodes.bullet_list()
        for claim, verdict in claims(doctree):
            name = claim["ids"][0]
            line = nodes.paragraph()
            line += link(claim[0].astext(), book.uri(at, page, name))
            if verdict is not None:
                rest = verdict[verdict.index(verdict.next_node(nodes.strong)) + 1 :]
                line += book.copy(at, page, rest)
            if any(cells(claim)):
                uri = book.uri(at, page, f"cell-{name}")
                line += [nodes.Text(" "), link("Its cell.", uri)]
            items += nodes.list_item("", line)
        if items.children:
            result += [nodes.rubric("", "", book.link(at, page)), items]
    return result


def reproductions(book: Book, at: str) -> list[nodes.Node]:
    """Tables with a column "ours", each below a link to the section it comes from."""
    result: list[nodes.Node] = []
    for page, doctree in book.pages.items():
        for found in filter(has_ours, doctree.findall(nodes.table)):
            section = found.parent
            while not isinstance(section, nodes.section):
                section = section.parent
            heading = f"{book.env.titles[page].astext()}: {section[0].astext()}"
            uri = book.uri(at, page, section["ids"][0])
            title = nodes.rubric("", "", link(heading, uri))
            result += [title, *book.copy(at, page, [found])]
    return result


def has_ours(table: nodes.table) -> bool:
    heads = (
        e for head in table.findall(nodes.thead) for e in head.findall(nodes.entry)
    )
    return any(entry.astext() == "ours" for entry in heads)


def pages(book: Book, at: str) -> list[nodes.Node]:
    """A table: what each page takes, and whose equations it uses."""
    home = {
        label: page
        for page, doctree in book.pages.items()
        for label in (n.get("label") for n in doctree.findall(nodes.math_block))
        if label
    }
    rows, names = [], list(book.pages)
    for number, page in enumerate(names):
        minutes, seconds = times(book.pages[page])
        used = {home.get(label) for label in cited(book.pages[page])}
        needs = nodes.inline()
        for name in (name for name in names[:number] if name in used):
            needs += [nodes.Text(", ")] if needs.children else []
            needs += book.link(at, name)
        rows.append(
            row(
                book.link(at, page),
                nodes.Text(f"{minutes} min"),
                nodes.Text(f"{seconds} s"),
                nodes.Text(str(sum(p == page for p, _ in checks(book.env).values()))),
                needs,
            )
        )
    heads = "page", "reading", "running", "equations", "uses equations of"
    return [table("pages", heads, (34, 12, 12, 12, 30), rows)]


def cited(page: nodes.Node) -> set[str]:
    """Labels of the equations that a page refers to."""
    found = page.findall(pending_xref)
    return {node["reftarget"] for node in found if node["reftype"] == "eq"}


GATHER = {f.__name__: f for f in (misconceptions, reproductions, pages)}
GATHER["ledger"] = lambda book, at: ledger(book.app, at)


def fill(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    for place in list(doctree.findall(Gathered)):
        book = gathered(app)
        if place["what"] == "count":
            place.replace_self(nodes.Text(f"{book.number_of(place['of']):,}"))
        else:
            place.replace_self(GATHER[place["what"]](book, docname))


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_node(Gathered)
    for name in GATHER:
        app.add_directive(name, Gather)
    app.add_role("count", Count())
    app.connect("doctree-read", anchor)
    app.connect("doctree-resolved", fill)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
