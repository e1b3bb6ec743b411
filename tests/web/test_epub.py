"""The edition for e-readers of a few pages, written and read back."""

import posixpath
from datetime import UTC, datetime
from urllib.parse import unquote
from zipfile import ZIP_STORED, ZipFile

import pytest
from bs4 import BeautifulSoup
from lxml import etree, html

import edition
import epub
from tests.web.book import CONFIG, HTML

PAGES = ["chapters/dropout/index", "chapters/dropout/dropout", "bibliography"]
CHAPTER = {"file": PAGES[0], "sections": [{"file": PAGES[1]}]}
TOC = {
    "root": "cite",
    "parts": [
        {"caption": "Chapters", "chapters": [CHAPTER]},
        {"caption": "Back & more", "chapters": [{"file": PAGES[2]}]},
    ],
}
NAMES = [entry.name for entry in edition.entries(TOC)]
DATE = datetime(2026, 1, 2, 3, 4, 6, tzinfo=UTC)
SPACES = {
    "h": "http://www.w3.org/1999/xhtml",
    "m": "http://www.w3.org/1998/Math/MathML",
    "o": "http://www.idpf.org/2007/opf",
    "n": "http://www.daisy.org/z3986/2005/ncx/",
}


def find(tree, path):
    return tree.xpath(path, namespaces=SPACES)


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    path = tmp_path_factory.mktemp("epub") / "book.epub"
    epub.write(epub.assemble(CONFIG, TOC, HTML, DATE), DATE, path)
    with ZipFile(path) as files:
        yield files


@pytest.fixture(scope="module")
def files(archive):
    """Content by path below the folder of the package file."""
    return {posixpath.relpath(n, "EPUB"): archive.read(n) for n in archive.namelist()}


@pytest.fixture(scope="module")
def package(files):
    return etree.fromstring(files["content.opf"])


@pytest.fixture(scope="module")
def documents(files):
    """Every XHTML file; one that is not XML is an error."""
    return {
        name: etree.fromstring(content)
        for name, content in files.items()
        if name.endswith(".xhtml")
    }


@pytest.fixture(scope="module")
def built():
    """The pages as built."""
    return {n: html.parse(HTML / f"{n}.html").find(".//article") for n in NAMES}


@pytest.fixture(scope="module")
def pairs(built, documents):
    """Each page as built and as it is in the EPUB."""
    return [(built[name], documents[epub.file_of(name)]) for name in NAMES]


def test_every_page_is_in_the_spine_in_reading_order(package):
    hrefs = {item.get("id"): item.get("href") for item in find(package, "//o:item")}
    spine = [hrefs[ref] for ref in find(package, "//o:itemref/@idref")]
    assert spine == ["title.xhtml", *map(epub.file_of, NAMES)]


def test_the_manifest_names_every_file_once_and_what_is_special(package, files):
    items = find(package, "//o:item")
    hrefs = [item.get("href") for item in items]
    outside = {"../mimetype", "../META-INF/container.xml", "content.opf"}
    assert sorted(hrefs) == sorted(files.keys() - outside)
    marked = {i.get("href"): i.get("properties") for i in items if i.get("properties")}
    assert marked == {"cover.png": "cover-image", "nav.xhtml": "nav"} | {
        n: "mathml" for n, c in files.items() if b"<math" in c
    }
    assert len(marked) > 2


def test_the_first_file_says_what_it_is(archive):
    first = archive.infolist()[0]
    assert (first.filename, first.compress_type) == ("mimetype", ZIP_STORED)
    assert archive.read(first) == b"application/epub+zip"


def test_the_navigation_nests_parts_chapters_pages(documents, built, files):
    def nested(items):
        for item in items:
            title = item.find("h:a", SPACES)
            yield title.text, title.get("href"), list(nested(find(item, "h:ol/h:li")))

    def entry(name, *inside):
        heading = built[name].find(".//h1")
        heading.find("a[@class='headerlink']").drop_tree()
        return heading.text_content().strip(), epub.file_of(name), list(inside)

    chapter = entry(PAGES[0], entry(PAGES[1]))
    expected = [
        entry("cite"),
        ("Chapters", chapter[1], [chapter]),
        ("Back & more", epub.file_of(PAGES[2]), [entry(PAGES[2])]),
    ]
    assert list(nested(find(documents["nav.xhtml"], "//h:nav/h:ol/h:li"))) == expected
    assert chapter[2][0][0] == "5.1. Dropout"
    places = find(etree.fromstring(files["toc.ncx"]), "//n:content/@src")
    assert places == find(documents["nav.xhtml"], "//h:nav//h:a/@href")


def test_every_link_inside_leads_to_what_exists(documents):
    places = {f"{n}#{i}" for n, d in documents.items() for i in find(d, "//@id")}
    links = {unquote(h) for d in documents.values() for h in find(d, "//h:a/@href")}
    inside = {link for link in links if "://" not in link}
    assert inside <= places | documents.keys()
    assert len(inside) > 30
    assert CONFIG["html"]["baseurl"] + "chapters/dropout/with-batchnorm.html" in {
        link.partition("#")[0] for link in links - inside
    }


def test_a_link_to_no_place_is_refused(tmp_path):
    page = '<article class="bd-article"><h1>T</h1><a href="#lost">x</a></article>'
    (tmp_path / "cite.html").write_text(page)
    with pytest.raises(SystemExit, match=r"lead nowhere: cite\.xhtml#lost"):
        epub.assemble(CONFIG, {"root": "cite", "parts": []}, tmp_path, DATE)


def test_every_formula_is_there_as_mathml_with_its_number(pairs):
    formulas = numbered = 0
    for page, found in pairs:
        maths = find(found, "//m:math")
        tex = [" ".join(t.split()) for t in page.xpath("//annotation/text()")]
        assert [math.get("alttext") for math in maths] == tex
        signs = [
            "".join(f.xpath(".//span[@class='sign']/text()"))
            for f in page.xpath("//span[@class='katex']")
        ]
        assert [math.tail or "" for math in maths] == signs
        numbers = [n.text for n in page.xpath("//span[@class='eqno']")]
        assert find(found, "//h:span[@class='eqno']/text()") == numbers
        formulas, numbered = formulas + len(maths), numbered + len(numbers)
    assert formulas > 100
    assert numbered > 10


def test_formulas_are_what_engines_agree_on(documents):
    for page in documents.values():
        assert set(find(page, "//@mathvariant")) <= {"normal"}
        for element in find(page, "//m:msub | //m:msup | //m:mfrac | //m:mover"):
            assert len(element) == 2
        for leaf in find(page, "//m:mo | //m:mi | //m:mn"):
            assert len(leaf) == 0


@pytest.mark.parametrize(
    ("katex", "expected"),
    [
        ("<mi mathvariant='bold'>x</mi>", "<mi>𝐱</mi>"),
        (
            "<mo>)</mo><mo>−</mo><mn>1</mn><mo>(</mo><mo>−</mo>",
            '<mo>)</mo><mo>−</mo><mn>1</mn><mo>(</mo><mo form="prefix">−</mo>',
        ),
        (
            '<mtable columnalign="right left"><mtr><mtd>a</mtd><mtd>b</mtd></mtr>'
            "</mtable>",
            '<mtable columnalign="right left"><mtr><mtd class="right">a</mtd>'
            '<mtd class="left">b</mtd></mtr></mtable>',
        ),
    ],
    ids=["style", "sign", "columns"],
)
def test_what_katex_writes_otherwise_is_mended(katex, expected):
    page = BeautifulSoup(katex, "html.parser")
    epub.simplify(page)
    assert str(page) == expected


@pytest.mark.parametrize(
    ("letter", "variant", "expected"),
    [
        ("x", "bold", "𝐱"),
        ("Λ", "bold", "𝚲"),
        ("1", "bold", "𝟏"),
        ("δ", "bold-italic", "𝜹"),
        ("N", "script", "𝒩"),
        ("B", "script", "ℬ"),
        ("E", "double-struck", "𝔼"),
        ("R", "double-struck", "ℝ"),
    ],
)
def test_letters_in_a_style_are_those_of_unicode(letter, variant, expected):
    assert epub.styled(letter, variant) == expected


def test_every_picture_is_there_with_its_description(pairs, files):
    kinds = set()
    for page, found in pairs:
        shown = page.xpath("//img[not(preceding-sibling::img)]")
        for image, source in zip(find(found, "//h:img"), shown, strict=True):
            name, original = image.get("src"), source.get("src")
            assert image.get("alt") == source.get("alt")
            assert image.get("alt")
            if original.startswith("data:"):
                assert etree.fromstring(files[name]).tag.endswith("}svg")
            else:
                path = HTML / "_images" / posixpath.basename(original)
                assert files[name] == path.read_bytes()
            kinds.add(posixpath.splitext(name)[1])
    assert kinds == {".png", ".svg"}
    assert files["cover.png"] == (HTML / "_static" / "cover.png").read_bytes()


def test_a_missing_picture_is_named(tmp_path):
    page = '<article class="bd-article"><h1>T</h1><img src="no.png"/></article>'
    (tmp_path / "cite.html").write_text(page)
    with pytest.raises(SystemExit, match=r"the book lacks .*no\.png"):
        epub.assemble(CONFIG, {"root": "cite", "parts": []}, tmp_path, DATE)


def test_nothing_serves_at_a_screen_only_or_is_loaded_from_elsewhere(documents, files):
    for page in documents.values():
        assert not find(page, "//h:script | //h:button | //h:style")
        assert not find(page, "//*[contains(@class, 'headerlink')]")
        assert not find(page, "//*[contains(@class, 'tag_setup')]")
        assert not find(page, "//h:details[not(@open) or contains(@class, 'code')]")
        assert not find(page, "//h:*[contains(local-name(), '-')]")
        loaded = find(page, "//@src | //h:link/@href | //@srcset | //@poster")
        assert set(loaded) <= files.keys()
    assert b"url(" not in files["epub.css"]
    assert b"@import" not in files["epub.css"]


def test_it_says_whose_it_is_and_when_it_was_changed(package):
    def metadata(name):
        return find(package, f"//*[local-name() = '{name}']/text()")

    assert metadata("title") == [CONFIG["title"]]
    assert metadata("creator") == [CONFIG["author"]]
    assert metadata("language") == ["en"]
    assert metadata("identifier") == [CONFIG["html"]["baseurl"]]
    assert metadata("date") == ["2026-01-02"]
    [modified] = find(package, "//o:meta[@property='dcterms:modified']/text()")
    assert modified == "2026-01-02T03:04:06Z"


def test_the_same_pages_give_the_same_bytes(tmp_path):
    toc = {"root": "cite", "parts": []}
    for name in "once", "again":
        book = epub.assemble(CONFIG, toc, HTML, DATE)
        epub.write(book, DATE, tmp_path / name)
    assert (tmp_path / "once").read_bytes() == (tmp_path / "again").read_bytes()
    with ZipFile(tmp_path / "once") as files:
        assert {info.date_time[0] for info in files.infolist()} == {1980}


def test_the_date_is_that_of_the_commit_or_as_told(tmp_path, monkeypatch):
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    assert epub.changed() > datetime(2025, 1, 1, tzinfo=UTC)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1767323046")
    assert epub.changed() == DATE
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "today")
    with pytest.raises(SystemExit, match="a number of seconds, got 'today'"):
        epub.changed()
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    monkeypatch.setattr(epub, "ROOT", tmp_path)
    with pytest.raises(SystemExit, match="no commit dates the book"):
        epub.changed()


def test_without_a_book_it_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(epub, "BUILD", tmp_path)
    with pytest.raises(SystemExit, match="epub: there is no built book; `make book`"):
        epub.main()
