"""The built book, read as files: complete, self-contained, described.

Comes after `make book`; what a browser sees better is in tests/web/. Nothing is
skipped: without a book the first test fails.
"""

import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import pytest
from PIL import Image

import stamp
from tests.test_equations import cases
from tests.web.book import CONFIG, PREFIX

ROOT = Path(__file__).parents[1]
HTML = ROOT / "_build" / "html"
# Elements that make a browser fetch something when a page is read.
FETCHING = {
    "script": "src", "img": "src", "iframe": "src", "source": "src", "audio": "src",
    "video": "src", "embed": "src", "object": "data", "input": "src",
}  # fmt: skip
SILENT = {"icon", "apple-touch-icon", "manifest", "preconnect", "dns-prefetch"}


class Page(HTMLParser):
    """What a page contains: tags with attributes, text but for code, and scripts."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path, self.tags, self.scripts, self.text = path, [], [], []
        self.inside: list[str] = []
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, {k: v or "" for k, v in attrs}))
        if tag in ("script", "pre", "code"):
            self.inside.append(tag)

    def handle_endtag(self, tag):
        if self.inside[-1:] == [tag]:
            self.inside.pop()

    def handle_data(self, data):
        if self.inside[-1:] == ["script"]:
            self.scripts.append(data)
        elif not self.inside:
            self.text.append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]

    def ids(self):
        return [attrs["id"] for _, attrs in self.tags if "id" in attrs]


def read_pages() -> dict[Path, Page]:
    paths = sorted(HTML.rglob("*.html"))
    return {p: Page(p) for p in paths if HTML / "_static" not in p.parents}


PAGES = read_pages()
every_page = pytest.mark.parametrize(
    "page", PAGES.values(), ids=lambda p: str(p.path.relative_to(HTML))
)
chapter_pages = pytest.mark.parametrize(
    "path",
    [HTML / p.relative_to(ROOT).with_suffix(".html") for p in stamp.notebooks()],
    ids=lambda p: p.stem,
)


def test_there_is_a_book():
    names = {str(p.relative_to(HTML)) for p in PAGES}
    assert {"index.html", "intro.html", "ledger.html"} <= names, "first: make book"


@chapter_pages
def test_every_notebook_is_a_page(path):
    assert path in PAGES


def remote(address: str) -> bool:
    return address.startswith(("http:", "https:", "//"))


@every_page
def test_icons_and_connections_are_of_this_host(page):
    """A browser asks for these without saying so to tests/web/."""
    links = [a for a in page.all("link") if SILENT & set(a["rel"].split())]
    assert [a["href"] for a in links if remote(a["href"])] == []


def test_style_sheets_ask_nothing_of_another_host():
    """Nor where a rule waits for a press, for print, for the dark."""
    for path in HTML.glob("_static/**/*.css"):
        css = path.read_text("utf-8")
        assert not re.search(r"(url\(|@import)\s*['\"]?(https?:)?//", css), path


def target(page: Page, file: str) -> Path:
    """The file that an address names; 404.html has addresses from the server's root."""
    if file.startswith(PREFIX):
        return HTML / file.removeprefix(PREFIX)
    return (page.path.parent / file).resolve()


@every_page
def test_links_within_the_book_lead_somewhere(page):
    broken = []
    for attrs in page.all("a"):
        address = attrs.get("href", "")
        parts = urlsplit(address)
        if not address or parts.scheme or parts.netloc:
            continue
        file, fragment = urldefrag(unquote(address))
        path = target(page, file) if file else page.path
        if path in PAGES:
            if fragment and fragment not in PAGES[path].ids():
                broken.append(address)
        elif not path.exists():
            broken.append(address)
    assert broken == []


@every_page
def test_files_of_a_page_exist(page):
    for tag, attrs in page.tags:
        address = attrs.get(FETCHING.get(tag, ""), "")
        if tag == "link" and attrs.get("rel") == "stylesheet":
            address = attrs["href"]
        if address and not address.startswith("data:"):
            assert target(page, unquote(urlsplit(address).path)).exists(), address


@every_page
def test_ids_are_unique(page):
    ids = page.ids()
    assert [i for i in set(ids) if ids.count(i) > 1] == []


@every_page
def test_pictures_are_described(page):
    for attrs in page.all("img"):
        if "/_static/images/" not in attrs["src"]:  # the theme's own
            assert len(attrs.get("alt", "")) > 20, f"alt text: {attrs['src'][:60]}"
            assert "_images/" not in attrs["alt"]


def test_pictures_are_quantised():
    for path in HTML.glob("_images/*.png"):
        with Image.open(path) as image:
            assert image.mode == "P", path.name


@every_page
def test_no_residue(page):
    """Nothing of the sources' markup is left to be read."""
    text = "".join(page.text)
    for residue in (r"\{(eq|ref|numref|cite|prf|doc)[:}]", r"\$\$", r"```", r":::"):
        assert not re.search(residue, text), residue
    assert "Traceback (most recent call last)" not in text
    classes = " ".join(attrs.get("class", "") for _, attrs in page.tags)
    assert "katex-error" not in classes
    assert "system-message" not in classes


def test_the_first_page_has_the_title_of_the_book_once():
    title = CONFIG["title"]
    assert f"<title>{title}</title>" in (HTML / "intro.html").read_text("utf-8")
    notation = (HTML / "notation.html").read_text("utf-8")
    assert re.search(f"<title>Notation .{{1,9}} {title}</title>", notation)


@chapter_pages
def test_a_number_and_what_belongs_to_it_stay_on_one_line(path):
    html = path.read_text("utf-8")
    article = html[html.index("<article") : html.index("</article>")]
    formulas, code = "<math.*?</math>", "<(pre|code|script).*?</\\1>"
    titles = '<span class="caption-number">.*?</span>'  # begin a line
    text = re.sub(f"{formulas}|{titles}|{code}|<[^>]*>", "", article, flags=re.S)
    assert re.findall(r"\d [%×]|× \d|(?:Fig\.|Theorem|Exercise) \d+\.\d", text) == []


def formulas(path: Path) -> int:
    """Displayed formulas in a page's notebook."""
    notebook = (ROOT / path.relative_to(HTML)).with_suffix(".ipynb")
    return len(re.findall(r"\$\$ \((?:eq|def)-", notebook.read_text("utf-8")))


@chapter_pages
def test_mathematics_is_drawn_numbered_and_marked(path):
    html = path.read_text("utf-8")
    blocks = re.findall(r'<div class="math.*?</div>', html, re.S)
    assert len(blocks) == formulas(path)
    assert html.count("<math ") == html.count('class="katex-mathml"') > 100
    assert "MathJax" not in html
    marks = re.findall(r'class="verified" href="#check-(eq-[\w-]+)"', html)
    labels = re.findall(r'id="equation-(eq-[\w-]+)"', html)
    assert sorted(marks) == sorted(labels)


PARTS = dict.fromkeys(("msub", "msup", "mfrac", "mover", "munder"), 2)
PARTS |= dict.fromkeys(("msubsup", "munderover"), 3)


@chapter_pages
def test_mathml_has_the_parts_that_it_must(path):
    for formula in re.findall(r"<math .*?</math>", path.read_text("utf-8"), re.S):
        for element in ET.fromstring(formula).iter():
            kind = element.tag.partition("}")[2]
            assert len(element) == PARTS.get(kind, len(element)), formula
            assert kind not in {"mo", "mi", "mn"} or not len(element), formula


@chapter_pages
def test_equations_are_numbered_by_chapter(path):
    numbers = re.findall(r'class="eqno">\(([\d.]+)\)', path.read_text("utf-8"))
    assert len(numbers) == formulas(path)
    assert all(re.fullmatch(r"\d+\.\d+", n) for n in numbers)


def test_the_ledger_lists_every_equation():
    ledger = (HTML / "ledger.html").read_text("utf-8")
    for notebook in stamp.notebooks():
        path = HTML / notebook.relative_to(ROOT).with_suffix(".html")
        for label in re.findall(r'id="equation-(eq-[\w-]+)"', path.read_text("utf-8")):
            assert ledger.count(f'#equation-{label}"') == 1, label
            assert ledger.count(f'#check-{label}"') == 1, label
    total = int(re.search(r"(\d+) equations are verified", ledger)[1])
    assert total == ledger.count("#equation-eq-")


def test_the_ledger_and_the_tests_agree_on_what_is_evaluated_as_printed():
    ledger = (HTML / "ledger.html").read_text("utf-8")
    both = int(re.search(r"verified by a cell; (\d+) of them", ledger)[1])
    assert both == len(cases()) == ledger.count("<p>✓✓</p>")


def test_only_files_that_a_page_can_use_are_fonts_of_mathematics():
    fonts = list((HTML / "_static" / "katex" / "fonts").iterdir())
    assert fonts
    assert {f.suffix for f in fonts} == {".woff2"}
