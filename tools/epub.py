"""The edition for e-readers: the built book as one EPUB, its formulas as MathML.

python tools/epub.py    after `make book`: writes _build/deep-learning-derived.epub

It is dated by the last commit, or by SOURCE_DATE_EPOCH, and has the same bytes again.
"""

import os
import subprocess
import unicodedata
from collections.abc import Container, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import sha256
from html import escape
from io import BytesIO
from mimetypes import guess_extension
from pathlib import Path
from urllib.error import URLError
from urllib.parse import quote, unquote, urljoin
from urllib.request import urlopen
from zipfile import ZipFile

from bs4 import Tag
from ebooklib import epub

from edition import BUILD, ROOT, destination, entries, front, load, readable

EPUB = BUILD / "deep-learning-derived.epub"
STYLE = Path(__file__).with_suffix(".css")
ENDS = ")", "]", "}", "⟩", "⌋", "⌉", "!", "⋯", "…"  # of a term: − behind it is binary
ACCESS = {
    "accessMode": ["textual", "visual"],
    "accessModeSufficient": ["textual"],
    "accessibilityFeature": ["MathML", "alternativeText", "tableOfContents"],
    "accessibilityHazard": ["none"],
    "accessibilitySummary": ["Formulas are MathML, and every picture is described."],
}


def uid(name: str) -> str:
    return name.replace("/", "-")


def file_of(name: str) -> str:
    return f"{uid(name)}.xhtml"


def styled(sign: str, variant: str) -> str:
    """A letter as Unicode has it in a style: few readers know ``mathvariant``."""
    words = unicodedata.name(sign).split()
    plain = " ".join(w for w in words if w not in {"LATIN", "GREEK", "LETTER"})
    style = variant.upper().replace("BOLD-", "BOLD ")
    for name in f"MATHEMATICAL {style} {plain}", f"{style} {plain}":
        with suppress(KeyError):
            return unicodedata.lookup(name)
    raise SystemExit(f"epub: Unicode has no {variant} {sign}")


def simplify(page: Tag) -> None:
    """Leave of each formula its MathML, written as readers' engines agree on."""
    for formula in page.select(".katex"):
        math, sign = formula.math, formula.select_one(".sign")
        math["alttext"] = " ".join(math.annotation.extract().get_text().split())
        math.semantics.unwrap()
        formula.replace_with(math, sign.get_text() if sign else "")
    for sign in page.select("mo + mo"):
        before = sign.find_previous_sibling("mo").get_text()
        if sign.get_text() in "+−±" and before not in ENDS:
            sign["form"] = "prefix"
    for element in page.select("[mathvariant]:not([mathvariant=normal])"):
        variant = element.attrs.pop("mathvariant")
        element.string = "".join(styled(s, variant) for s in element.get_text())
    for table in page.select("mtable"):
        sides = table["columnalign"].split()
        for row in table.select("mtr"):
            for i, cell in enumerate(row.find_all("mtd", recursive=False)):
                cell["class"] = sides[min(i, len(sides) - 1)]


def article(html: str, name: str, book: Container[str], site: str) -> Tag:
    """The text of a built page, fit to be a file of an EPUB."""
    page = readable(html)
    simplify(page)
    for cell in page.select("details.code"):
        cell.summary.decompose()
        cell.name = "div"
        del cell["open"]
    for explorer in page.select(".book-explorer"):
        explorer.unwrap()
    for link in page.select("a[href]"):
        other, place = destination(name, link["href"], book, site)
        at = f"#{quote(place)}" if place else ""
        link["href"] = file_of(other) + at if other else place
    return page


def pictures(page: Tag, source: Path) -> Iterator[epub.EpubItem]:
    """What a page shows; each is named after its bytes, and so is there once."""
    for image in page.select("img"):
        address = urljoin(source.as_uri(), image["src"])  # a file's, or data
        try:
            with urlopen(address) as file:
                content, kind = file.read(), file.headers.get_content_type()
        except URLError:
            raise SystemExit(f"epub: the book lacks {address}") from None
        name = f"picture-{sha256(content).hexdigest()[:16]}"
        image["src"] = f"{name}{guess_extension(kind)}"
        yield epub.EpubItem(name, image["src"], kind, content)


def astray(book: dict[str, Tag]) -> list[str]:
    """Links inside the book that lead to no place in it."""
    files = {file_of(name): page for name, page in book.items()}
    ids = {f"{f}#{e['id']}" for f, page in files.items() for e in page.select("[id]")}
    links = {a["href"] for page in book.values() for a in page.select("a[href]")}
    return sorted(h for h in links if ":" not in h and unquote(h) not in ids | {*files})


def item(name: str, title: str, body: str) -> epub.EpubItem:
    text = f"""<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE html>
<html xmlns="http://www.w3.org/1999/xhtml" lang="en" xml:lang="en">
<head>
<title>{escape(title)}</title>
<link rel="stylesheet" href="{STYLE.name}"/>
</head>
<body>
{body}
</body>
</html>"""
    made = epub.EpubItem(uid(name), file_of(name), "", text.encode())
    made.properties = ["mathml"] if "<math" in body else []
    return made


def navigation(toc: dict, titles: dict[str, str]) -> list:
    """Parts, chapters and pages, nested as EbookLib takes them."""

    def link(entry: dict) -> epub.Link:
        name = entry["file"]
        return epub.Link(file_of(name), titles[name], uid(name))

    def nested(entry: dict) -> epub.Link | tuple:
        pages = [link(page) for page in entry.get("sections", [])]
        return (link(entry), pages) if pages else link(entry)

    def part(entry: dict) -> tuple:
        chapters = entry["chapters"]
        section = epub.Section(entry["caption"], file_of(chapters[0]["file"]))
        return section, [nested(chapter) for chapter in chapters]

    return [link({"file": toc["root"]}), *map(part, toc["parts"])]


def changed() -> datetime:
    command = "git", "log", "-1", "--format=%ct"
    told = os.environ.get("SOURCE_DATE_EPOCH")
    try:
        seconds = told or subprocess.check_output(command, cwd=ROOT)
        return datetime.fromtimestamp(int(seconds), UTC)
    except (OSError, OverflowError, ValueError, subprocess.CalledProcessError):
        raise SystemExit(
            "epub: no commit dates the book; set SOURCE_DATE_EPOCH to a number of"
            f" seconds, got {told!r}"
        ) from None


def assemble(config: dict, toc: dict, html: Path, date: datetime) -> epub.EpubBook:
    site = config["html"]["baseurl"]
    sources = {entry.name: html / f"{entry.name}.html" for entry in entries(toc)}
    pages = {
        name: article(source.read_text("utf-8"), name, sources, site)
        for name, source in sources.items()
    }
    if lost := astray(pages):
        raise SystemExit(f"epub: these links lead nowhere: {', '.join(lost)}")
    titles = {name: page.h1.get_text().strip() for name, page in pages.items()}
    shown = {i.id: i for n, page in pages.items() for i in pictures(page, sources[n])}
    first = item("title", config["title"], front(config, "cover.png"))
    texts = [first, *(item(name, titles[name], str(pages[name])) for name in pages)]

    book = epub.EpubBook()
    book.set_identifier(site)
    book.set_title(config["title"])
    book.set_language("en")
    book.add_author(config["author"])
    book.add_metadata("DC", "date", date.date().isoformat())
    for name, values in ACCESS.items():
        for value in values:
            book.add_metadata(None, "meta", value, {"property": f"schema:{name}"})
    book.set_cover("cover.png", (html / "_static/cover.png").read_bytes(), False)
    style = epub.EpubItem("style", STYLE.name, "text/css", STYLE.read_bytes())
    nav = epub.EpubNav(title="Contents")
    for part in (nav, epub.EpubNcx(), style, *texts, *shown.values()):
        book.add_item(part)
    book.spine, book.toc = texts, navigation(toc, titles)
    return book


def write(book: epub.EpubBook, date: datetime, path: Path) -> None:
    """Write the EPUB; the time that its files have in the archive says nothing."""
    options = {"mtime": date, "epub3_pages": False, "raise_exceptions": True}
    epub.write_epub(made := BytesIO(), book, options)
    with ZipFile(made) as files, ZipFile(path, "w") as archive:
        for info in files.infolist():
            content = files.read(info)
            info.date_time = 1980, 1, 1, 0, 0, 0
            archive.writestr(info, content)


def main() -> None:
    config, toc, html = load(BUILD, "epub")
    date = changed()
    write(assemble(config, toc, html, date), date, EPUB)
    print(f"epub: {EPUB}, {EPUB.stat().st_size / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
