"""How the print edition is put together, on small pages; printed: tests/web."""

import pytest
from bs4 import BeautifulSoup

import pdf

SITE = "https://book.example/"
TOC = {
    "root": "intro",
    "parts": [
        {"caption": "Front", "chapters": [{"file": "notation"}]},
        {
            "caption": "Chapters & more",
            "chapters": [{"file": "a/index", "sections": [{"file": "a/one"}]}],
        },
        {"caption": "Back", "chapters": [{"file": "genindex"}]},
    ],
}
CONFIG = {
    "title": "A & B",
    "author": "C",
    "copyright": 2026,
    "html": {"baseurl": SITE},
}
ORDER = list(pdf.entries(TOC))
NAMES = pdf.Names(entry.name for entry in ORDER)


def article(text, entry=ORDER[3]):
    html = f'<nav id="n">menu</nav><article class="bd-article">{text}</article>'
    return pdf.article(html, entry, NAMES, SITE)


def test_pages_are_in_reading_order():
    assert [entry.name for entry in ORDER] == [
        "intro", "notation", "a/index", "a/one", "genindex"
    ]  # fmt: skip
    assert [entry.depth for entry in ORDER] == [0, 0, 0, 1, 0]
    assert ORDER[2].part == ORDER[3].part == "Chapters & more"


@pytest.mark.parametrize(
    ("href", "target"),
    [
        ("#x", "#page-3:x"),
        ("index.html", "#page-2"),
        ("../notation.html#symbols", "#page-1:symbols"),
        ("../notation.html#%CE%BC", "#page-1:%CE%BC"),
        ("", "#page-3"),
        ("https://arxiv.org/abs/1", "https://arxiv.org/abs/1"),
        ("//arxiv.org/abs/1", "https://arxiv.org/abs/1"),
        ("mailto:a@b.example", "mailto:a@b.example"),
        ("../_sources/a/one.ipynb", f"{SITE}_sources/a/one.ipynb"),
        ("../search.html?q=x#y", f"{SITE}search.html?q=x#y"),
    ],
)
def test_links_lead_inside_the_document_or_out_of_it(href, target):
    assert NAMES.target("a/one", href, SITE) == target


def test_ids_are_those_of_the_page():
    page = article('<h1 id="t">T</h1><p id="μ">x</p>')
    assert page["id"] == "page-3"
    assert [e["id"] for e in page.find_all(id=True)] == ["page-3:t", "page-3:μ"]


def test_what_serves_at_a_screen_only_is_left_out():
    page = article(
        '<h1>T<a class="headerlink" href="#t">#</a></h1><script>s()</script>'
        '<button>Copy</button><div class="cell tag_setup">install</div>'
        '<p class="noprint">run</p><div class="genindex-jumpbox">A</div><p>text</p>'
    )
    assert page.get_text() == "Ttext"


def test_details_are_open_and_pictures_loaded():
    page = article(
        '<h1>T</h1><details class="solution"><summary>S</summary></details>'
        '<a class="reference image-reference" href="../_images/f.png">'
        '<img src="../_images/f.png" alt="A." loading="lazy" width="2"></a>'
        '<img src="data:image/png;base64,AA=="/>'
    )
    assert page.details.has_attr("open")
    first, second = page.find_all("img")
    assert first.attrs == {"src": "html/_images/f.png", "alt": "A.", "width": "2"}
    assert second["src"] == "data:image/png;base64,AA=="
    assert not page.find("a")


def test_explorers_are_their_static_picture():
    page = article(
        '<h1>T</h1><x-explorer class="book-explorer"><img src="data:," alt="A.">'
        "<p>has controls</p></x-explorer><script>define()</script><p>after</p>"
    )
    assert page.find("img")["alt"] == "A."
    assert page.get_text() == "Tafter"


@pytest.mark.parametrize(("entry", "levels"), [(2, [1, 2, 3]), (3, [2, 3, 4])])
def test_headings_of_a_page_nest_below_those_of_its_chapter(entry, levels):
    page = article("<h1>T</h1><h2>U</h2><h3>V</h3>", ORDER[entry])
    found = page.find_all(["h1", "h2", "h3"])
    assert [int(h["aria-level"]) for h in found] == levels
    assert [h.name for h in found] == ["h1", "h2", "h3"]


def test_contents_name_each_part_once_and_each_page():
    book = {e: article(f"<h1>{e.name} <i>x</i></h1>", e) for e in ORDER}
    assert "Chapters &amp; more" in pdf.contents(book)
    found = BeautifulSoup(pdf.contents(book), "html.parser")
    assert [p.get_text() for p in found.select(".part")] == [
        "Front", "Chapters & more", "Back"
    ]  # fmt: skip
    assert [a["href"] for a in found.select("a")] == [f"#page-{i}" for i in range(5)]
    assert found.select_one(".depth-1 a").decode_contents() == "a/one <i>x</i>"
    places = [s["data-sheet-of"] for s in found.select(".sheet")]
    assert places == [f"page-{i}" for i in range(5)]


def test_entries_of_the_index_are_followed_by_their_sheet():
    page = article(
        '<h1>T</h1><a href="#A">A</a><table><tr><td>'
        '<a href="a/one.html#term-%CE%BC">mean</a></td></tr></table>',
        ORDER[4],
    )
    pdf.number(page)
    assert [s["data-sheet-of"] for s in page.select(".sheet")] == ["page-3:term-μ"]
    assert page.td.get_text() == "mean 000"


def test_a_title_at_the_foot_is_a_string_of_css():
    rule = pdf.foot(article(r'<h1><span>1. </span>A "b" \c</h1>'))
    assert rule == r'@page page-3 { @bottom-left { content: "1. A \"b\" \\c"; } }'


def test_style_sheets_are_those_of_the_book():
    html = (
        '<link rel="stylesheet" href="../_static/a.css?v=1"/>'
        '<link rel="next" href="a.html"/>'
    )
    [link] = BeautifulSoup(pdf.styles(html, "a/one"), "html.parser").find_all("link")
    assert link.attrs == {"rel": ["stylesheet"], "href": "html/_static/a.css?v=1"}


def test_the_document_holds_every_page_once_and_ids_are_unique(tmp_path):
    for entry in ORDER:
        path = tmp_path / f"{entry.name}.html"
        path.parent.mkdir(exist_ok=True)
        path.write_text(
            f'<article class="bd-article"><h1 id="t">{entry.name}</h1>'
            '<a href="#t">x</a></article>'
        )
    found = BeautifulSoup(pdf.document(CONFIG, TOC, tmp_path), "html.parser")
    assert [a.h1.get_text() for a in found.select("article")] == [e.name for e in ORDER]
    ids = [e["id"] for e in found.find_all(id=True)]
    assert len(ids) == len(set(ids))
    assert {a["href"][1:] for a in found.select("article a, nav a")} <= set(ids)
    assert found.title.get_text() == "A & B"


def test_without_a_book_it_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(pdf, "BUILD", tmp_path)
    with pytest.raises(SystemExit, match="no built book; `make book` builds it"):
        pdf.main()
