"""The Colab edition of every page: it runs as the source does and reads as the HTML."""

import re
from functools import cached_property
from html import escape
from itertools import pairwise
from pathlib import Path
from urllib.parse import urldefrag, urlsplit

import nbformat
import pytest
from bs4 import BeautifulSoup
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin

import stamp
from tests.extensions import extension
from tests.web.book import CONFIG, HTML, ROOT

EDITION = HTML / "colab"
RESIDUE = {
    "a role": r"\{[\w:+-]+\}`",
    "a directive": r"^[>\s]*(`{3,}|:{3,}|~{3,})\s*\{",
    "a colon fence": r":::",
    "an option": r"^[>\s]*:[\w-]+:",
    "a target": r"^[>\s]*\([\w-]+\)=",
    "a label": r"\$\$\s*\([\w-]+\)",
    "a comment": r"^[>\s]*%",
    "a substitution": r"\{\{",
    "a placeholder": r"%s",
}
NOTED = re.compile(r"^\*Checked above: .*\.\*$", re.M)
NUMBERED = re.compile(r"\[\(([\d.]+)\)\]\(#equation-([\w-]+)\) `([\w-]+)`")
NOTHING = nbformat.v4.new_markdown_cell()
mathematics = extension("mathematics")


def tex(text: str, options: dict) -> str:
    return f"<span>{escape(text)}</span>"


# As strict as the strictest of the tools about what is mathematics.
READER = (
    MarkdownIt("commonmark", {"html": True})
    .enable("table")
    .use(dollarmath_plugin, allow_space=False, allow_digits=False, renderer=tex)
)


class Page:
    """A notebook, its edition, and its page in HTML."""

    def __init__(self, path: Path) -> None:
        self.name = str(path.relative_to(ROOT).with_suffix(""))
        self.source = nbformat.read(path, as_version=4)

    @cached_property
    def edition(self) -> nbformat.NotebookNode:
        return nbformat.read(EDITION / f"{self.name}.ipynb", as_version=4)

    @cached_property
    def html(self) -> str:
        return (HTML / f"{self.name}.html").read_text("utf-8")

    @cached_property
    def equations(self) -> dict[str, str]:
        """Label -> number, from the HTML page."""
        equation = r'id="equation-([\w-]+)">.*?class="eqno">\(([\d.]+)\)'
        return dict(re.findall(equation, self.html, re.S))

    @cached_property
    def texts(self) -> list[str]:
        return [c.source for c in self.edition.cells if c.cell_type == "markdown"]

    @cached_property
    def rendered(self) -> BeautifulSoup:
        return BeautifulSoup("\n".join(map(READER.render, self.texts)), "html.parser")


PAGES = [Page(path) for path in stamp.notebooks()]
every_page = pytest.mark.parametrize("chapter", PAGES, ids=lambda p: p.name)


def test_there_is_an_edition_of_each_notebook():
    found = {str(p.relative_to(EDITION)) for p in EDITION.rglob("*.ipynb")}
    assert found == {f"{chapter.name}.ipynb" for chapter in PAGES}, "first: make book"


@every_page
def test_it_is_a_notebook_with_the_cells_of_the_source(chapter):
    nbformat.validate(chapter.edition)
    ids = [cell.id for cell in chapter.edition.cells]
    assert len(ids) == len(set(ids))
    kept = [cell.id for cell in chapter.source.cells if cell.id in set(ids)]
    added = [name for name in ids if name.endswith("-note") or name == "references"]
    assert [name for name in ids if name not in added] == kept
    for cell in chapter.source.cells:
        if cell.id not in ids:
            assert re.fullmatch(r"```\{solution-(start|end)\}[^`]*```\s*", cell.source)


@every_page
def test_code_cells_and_outputs_are_those_of_the_source(chapter):
    def code(notebook):
        return [cell for cell in notebook.cells if cell.cell_type == "code"]

    assert code(chapter.edition) == code(chapter.source)
    assert chapter.edition.metadata == chapter.source.metadata


@every_page
def test_no_myst_is_left(chapter):
    for text in chapter.texts:
        assert text.strip()
        prose = re.sub(r"(`+).+?\1", "", text)  # code may say anything
        for kind, pattern in RESIDUE.items():
            where = prose if kind != "a role" else text
            assert not re.search(pattern, where, re.M), (kind, text)
        assert "{" not in re.sub(r"\$+[^$]+\$+", "", prose), text  # TeX in a name


@every_page
def test_equations_have_the_labels_and_numbers_of_the_html(chapter):
    ours = re.findall(
        r' id="equation-([\w-]+)"></a>\n[> ]*\n[> ]*\$\$.*\\tag\{([\d.]+)\} \$\$$',
        "\n".join(chapter.texts),
        re.M,
    )
    assert ours == list(chapter.equations.items())
    assert len(ours) == "\n".join(chapter.texts).count(r"\tag{") > 0


@every_page
def test_a_note_under_a_check_has_the_numbers_of_its_equations(chapter):
    for cell, below in pairwise([*chapter.edition.cells, NOTHING]):
        if cell.cell_type == "code":
            printed = "".join(output.get("text", "") for output in cell.outputs)
            names = dict.fromkeys(re.findall(r"^(eq-[\w-]+)  ✓", printed, re.M))
            numbers = [chapter.equations[name] for name in names]
            noted = NOTED.search(below.source)
            assert (noted is not None) == bool(names)
            links = NUMBERED.findall(noted[0]) if noted else []
            assert links == [(n, k, k) for n, k in zip(numbers, names, strict=True)]


@every_page
def test_links_within_a_notebook_lead_to_an_anchor(chapter):
    anchors = [a["id"] for a in chapter.rendered.find_all(id=True)]
    assert anchors == [
        a["name"] for a in chapter.rendered.find_all("a", {"name": True})
    ]
    assert len(anchors) == len(set(anchors))
    links = [a["href"] for a in chapter.rendered.find_all("a", href=True)]
    assert {u.removeprefix("#") for u in links if u.startswith("#")} <= set(anchors)
    assert [u for u in links if not u.startswith(("#", "https://"))] == []


@every_page
def test_links_to_the_book_lead_to_a_page_and_an_id(chapter):
    home = CONFIG["html"]["baseurl"]
    links = [a["href"] for a in chapter.rendered.find_all("a", href=True)]
    ours = [link.removeprefix(home) for link in links if link.startswith(home)]
    assert f"{chapter.name}.html" == ours[0]
    for link in ours:
        file, fragment = urldefrag(link)
        html = (HTML / file).read_text("utf-8")
        assert not fragment or f'id="{fragment}"' in html, link


@every_page
def test_mathematics_can_be_drawn(chapter):
    def draw(tokens):
        for token in tokens:
            if token.type.startswith("math"):
                display = token.type != "math_inline"
                drawn = mathematics.render(token.content.strip(), display)
                assert "error" not in drawn, (token.content, drawn)
            draw(token.children or [])

    for text in chapter.texts:
        draw(READER.parse(text))


def words(page: BeautifulSoup, *left_out: str) -> str:
    for selector in left_out:
        for element in page.select(selector):
            element.decompose()
    return re.sub(r"\s|\\tag\{[\d.]+\}", "", page.get_text())


@every_page
def test_it_says_what_the_html_page_says(chapter):
    """Every word, number and formula, in the same order."""
    html = BeautifulSoup(chapter.html, "html.parser").select_one("article.bd-article")
    for formula in html.select(".katex"):
        sign = "".join(s.get_text() for s in formula.select(".sign"))
        formula.replace_with(formula.find("annotation").get_text() + sign)
    for caption in html.select("figcaption"):
        caption.find_parent(class_="cell").insert_after(caption)
    book = words(
        html, ".cell", ".eqno", ".headerlink", ".verified", "summary", "script",
        ".section-number", ".bibtex-citation a",
    )  # fmt: skip
    edition = BeautifulSoup(str(chapter.rendered), "html.parser")
    edition.p.decompose()  # says where the page is in the book
    for note in edition.find_all("em"):
        if note.get_text().startswith("Checked above: "):
            note.decompose()
    if references := edition.find("h2", string="References"):
        references.find_next_sibling("ul").decompose()
        references.decompose()
    assert words(edition, "summary", '[href^="#cite-"]') == book


@every_page
def test_the_buttons_of_the_page_open_the_edition(chapter):
    links = re.findall(r'<a [^>]*href="([^"]+\.ipynb)"', chapter.html)
    (colab,) = (u for u in links if "//colab.research.google.com/" in u)
    repository = urlsplit(CONFIG["repository"]["url"]).path
    assert f"{repository}/blob/colab/{chapter.name}.ipynb" in colab
    (download,) = (u for u in links if not urlsplit(u).netloc)
    folder = (HTML / chapter.name).parent
    assert (folder / download).resolve() == EDITION / f"{chapter.name}.ipynb"
