"""The print edition of a few pages, printed and read back."""

import re
from itertools import pairwise
from urllib.parse import unquote

import pytest
from bs4 import BeautifulSoup
from pypdf import PdfReader

import pdf
from tests.web.book import CONFIG, HTML

PAGE = "chapters/dropout/with-batchnorm"
CHAPTER = {"file": "chapters/dropout/index", "sections": [{"file": PAGE}]}
CHAPTERS = [CHAPTER, {"file": "genindex"}]
TOC = {
    "root": "chapters/normal/index",
    "parts": [{"caption": "Chapters", "chapters": CHAPTERS}],
}
NAMES = pdf.Names(entry.name for entry in pdf.entries(TOC))


def squeeze(text: str) -> str:
    """Text without spaces, which a PDF may lose or add."""
    return re.sub(r"\s", "", text)


def words(element) -> list[str]:
    """The pieces of text between formulas, code and links."""
    return [squeeze(t) for t in element.find_all(string=True) if t.parent.name == "p"]


@pytest.fixture(scope="module")
def printed(browser, tmp_path_factory):
    path = tmp_path_factory.mktemp("pdf") / "book.pdf"
    pdf.print_book(browser, CONFIG, TOC, HTML, path)
    with PdfReader(path) as reader:
        yield reader


@pytest.fixture(scope="module")
def texts(printed):
    return [squeeze(sheet.extract_text()) for sheet in printed.pages]


@pytest.fixture(scope="module")
def articles():
    html = {name: (HTML / f"{name}.html").read_text("utf-8") for name in NAMES}
    return {name: BeautifulSoup(html[name], "html.parser").article for name in NAMES}


@pytest.fixture(scope="module")
def sheets(printed):
    """The sheet, counted from 0, of each place to which a link leads."""
    targets = printed.named_destinations.items()
    return {
        name.removeprefix("/"): printed.get_destination_page_number(place)
        for name, place in targets
    }


def outline(reader, items=None, depth=0):
    for item in reader.outline if items is None else items:
        if isinstance(item, list):
            yield from outline(reader, item, depth + 1)
        else:
            yield depth, item.title, reader.get_destination_page_number(item)


def titles(article):
    """Depth and text of the headings of a page, from its HTML."""
    for heading in article.select("h1, h2, h3, h4"):
        for twin in heading.select(".katex-mathml, .headerlink"):
            twin.decompose()
        yield int(heading.name[1]) - 1, heading.get_text().strip()


def annotations(reader, key):
    for sheet in reader.pages:
        for found in sheet.get("/Annots", []):
            action = found.get_object().get("/A", found.get_object())
            if key in action:
                yield action[key]


def test_the_outline_nests_chapter_page_section(printed, articles):
    expected = [(0, "Contents")]
    for entry in pdf.entries(TOC):
        expected += [(d + entry.depth, t) for d, t in titles(articles[entry.name])]
    assert [(depth, title) for depth, title, _ in outline(printed)] == expected
    assert {depth for depth, *_ in outline(printed)} >= {0, 1, 2}


def test_headings_stand_where_the_outline_says(printed, texts):
    found = list(outline(printed))
    assert all(squeeze(title) in texts[sheet] for _, title, sheet in found)
    assert all(a[2] <= b[2] for a, b in pairwise(found))


def test_the_contents_name_the_sheet_of_each_page(texts, articles, sheets):
    for name, article in articles.items():
        sheet = sheets[NAMES[name]]
        title = squeeze(next(titles(article))[1])
        assert f"{title}{sheet + 1}" in texts[1]
        assert texts[sheet].count(title) == 2  # at the head, and at the foot


def test_every_sheet_but_the_cover_has_number_and_title_at_its_foot(
    texts, articles, sheets
):
    assert texts[0].startswith(squeeze(CONFIG["title"]))
    assert texts[1].startswith("2Contents")
    for number, text in enumerate(texts[2:], 3):
        name = max(
            (p for p in NAMES if sheets[NAMES[p]] < number), key=list(NAMES).index
        )
        title = squeeze(next(titles(articles[name]))[1])
        assert text.startswith(f"{number}{title}")


def test_every_link_inside_leads_somewhere(printed, sheets):
    document = BeautifulSoup(pdf.document(CONFIG, TOC, HTML), "html.parser")
    hrefs = (link["href"] for link in document.select("a[href^='#']"))
    wanted = {str(place).removeprefix("/") for place in annotations(printed, "/Dest")}
    assert wanted == {unquote(href[1:]) for href in hrefs}
    assert wanted <= set(sheets)
    assert len(wanted) > 10


def test_a_link_to_an_equation_leads_to_its_sheet(texts, articles, sheets):
    links = articles[PAGE].select('p a[href^="#equation-"]')
    assert len(links) > 3
    for link in links:
        sheet = sheets[NAMES.anchor(PAGE, link["href"][1:])]
        assert link.get_text() in texts[sheet]


def test_links_out_are_kept_and_nothing_leads_to_a_file(printed):
    addresses = {str(address) for address in annotations(printed, "/URI")}
    assert CONFIG["html"]["baseurl"] + "bibliography.html" in {
        address.partition("#")[0] for address in addresses
    }
    assert all(address.startswith(("https:", "http:")) for address in addresses)


def test_solutions_are_open(texts, articles):
    solutions = articles[PAGE].select("details.solution")
    assert solutions
    whole = "".join(texts)
    for solution in solutions:
        assert max(words(solution), key=len) in whole


def test_figures_are_there(printed, articles):
    pictures = sum(len(a.select('img[src$=".png"]')) for a in articles.values())
    drawn = [
        image
        for sheet in printed.pages
        for image in sheet["/Resources"].get("/XObject", {}).values()
        if image.get_object()["/Subtype"] == "/Image"
    ]
    assert pictures
    assert len(drawn) == pictures + 1  # the cover


def test_it_says_what_it_is(printed):
    assert printed.metadata.title == CONFIG["title"]
    assert printed.metadata.author == CONFIG["author"]
    assert printed.root_object["/Lang"] == "en"
    assert printed.root_object["/MarkInfo"]["/Marked"]
