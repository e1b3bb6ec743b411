"""The print edition: the built book as one PDF, printed by Chromium.

python tools/pdf.py    after `make book`: writes _build/deep-learning-derived.pdf

All pages are put into one document, so that links lead from page to page. It is printed
twice: blank, to learn on which sheet each place falls, then with these numbers.
"""

from collections.abc import Iterable, Iterator
from html import escape
from io import BytesIO
from pathlib import Path
from urllib.parse import quote, unquote, urljoin

from bs4 import BeautifulSoup, Tag

from edition import BUILD, Entry, destination, entries, front, load, only, readable

PDF = BUILD / "deep-learning-derived.pdf"
STYLE = Path(__file__).with_suffix(".css")
WIDTH = 642  # of the text in pixels, as pdf.css has it

# Shrink what would scroll on a screen; return what is still wider than the sheet.
FIT = """() => {
  const boxes = document.querySelectorAll(".katex-display, .pst-scrollable-table-container");
  // all are measured before one is changed: each change lays the whole book out again
  const ratios = [...boxes].map(box => box.clientWidth / box.scrollWidth);
  boxes.forEach((box, i) => {
    if (ratios[i] < 1) box.firstElementChild.style.zoom = 0.99 * ratios[i];
  });
  return [...document.querySelectorAll("p, pre, table, img, dt, .katex-html > .base")]
    .filter(e => e.getBoundingClientRect().right > innerWidth + 1
                 || e.matches("pre") && e.scrollWidth > e.clientWidth + 1)
    .map(e => e.textContent.slice(0, 60));
}"""  # noqa: E501
NUMBER = """numbers => {
  for (const place of document.querySelectorAll("[data-sheet-of]"))
    place.textContent = numbers[place.dataset.sheetOf];
}"""
# A title's line breaks and formulas confuse the outline that Chromium writes.
TITLES = """() => [...document.querySelectorAll("h1, h2, h3, h4, h5, h6")].map(h => {
  const title = h.cloneNode(true);
  for (const twin of title.querySelectorAll(".katex-mathml")) twin.remove();
  return title.textContent.trim();
})"""


class Names(dict[str, str]):
    """Short names of the pages: a name in a PDF has at most 127 bytes."""

    def __init__(self, pages: Iterable[str]) -> None:
        super().__init__((page, f"page-{i}") for i, page in enumerate(pages))

    def anchor(self, page: str, fragment: str = "") -> str:
        """Name, in the whole book, of a place on a page."""
        return f"{self[page]}:{fragment}" if fragment else self[page]

    def target(self, page: str, href: str, site: str) -> str:
        """Where a link on a page leads: inside the document, or out of it."""
        name, place = destination(page, href, self, site)
        return f"#{quote(self.anchor(name, place), safe=':')}" if name else place


def article(html: str, entry: Entry, names: Names, site: str) -> Tag:
    """The text of a built page, fit to stand in one document with all the others."""
    page = readable(html)
    for element in page.find_all(id=True):
        element["id"] = names.anchor(entry.name, element["id"])
    for link in page.select("a[href]"):
        link["href"] = names.target(entry.name, link["href"], site)
    for image in page.select("img"):
        image["src"] = urljoin(f"html/{entry.name}.html", image["src"])
    for heading in page.select("h1, h2, h3, h4, h5, h6"):
        heading["aria-level"] = int(heading.name[1]) + entry.depth
    page["id"] = names[entry.name]
    page["style"] = f"page: {names[entry.name]}"
    return page


def sheet(place: str) -> str:
    """Where the number of the sheet on which a place stands will be written."""
    return f'<span class="sheet" data-sheet-of="{escape(place)}">000</span>'


def contents(book: dict[Entry, Tag]) -> str:
    lines, part = [], ""
    for entry, page in book.items():
        if entry.part != part:
            part = entry.part
            lines.append(f'<p class="part">{escape(part)}</p>')
        title, name = page.h1.decode_contents().strip(), page["id"]
        lines.append(
            f'<p class="depth-{entry.depth}"><a href="#{name}">{title}</a>'
            f"{sheet(name)}</p>"
        )
    return "\n".join(lines)


def number(index: Tag) -> None:
    """Leave room in the index for the sheet of each entry."""
    for link in index.select("td a[href^='#']"):
        place = BeautifulSoup(sheet(unquote(link["href"][1:])), "html.parser")
        link.insert_after(" ", place)


def foot(page: Tag) -> str:
    """The rule that names a page of the book at the foot of its sheets."""
    title = page.h1.get_text().strip().replace("\\", "\\\\").replace('"', '\\"')
    return f'@page {page["id"]} {{ @bottom-left {{ content: "{title}"; }} }}'


def styles(html: str, name: str) -> str:
    """The style sheets of a page, as seen from beside the folder ``html``."""
    links = only(html, "link").select("link[rel=stylesheet]")
    for link in links:
        link["href"] = urljoin(f"html/{name}.html", link["href"])
    return "\n".join(map(str, links))


def document(config: dict, toc: dict, html: Path) -> str:
    """The whole book as one page, which is to lie beside the folder ``html``."""
    site = config["html"]["baseurl"]
    order = list(entries(toc))
    names = Names(entry.name for entry in order)
    texts = {e: (html / f"{e.name}.html").read_text("utf-8") for e in order}
    book = {e: article(text, e, names, site) for e, text in texts.items()}
    for entry, page in book.items():
        if entry.name == "genindex":
            number(page)
    feet = "\n".join(map(foot, book.values()))
    return f"""<!DOCTYPE html>
<html lang="en" data-theme="light" data-mode="light">
<head>
<meta charset="utf-8">
<title>{escape(config["title"])}</title>
{styles(texts[order[0]], order[0].name)}
<style>{STYLE.read_text("utf-8")}{feet}</style>
</head>
<body>
{front(config, "html/_static/cover.png")}
<nav><h1>Contents</h1>
{contents(book)}
</nav>
<main class="bd-content"><div class="bd-article-container">
{"".join(map(str, book.values()))}
</div></main>
</body>
</html>"""


def places(pdf: bytes) -> dict[str, int]:
    """The sheet on which each place stands to which a link leads."""
    from pikepdf import Pdf

    with Pdf.open(BytesIO(pdf)) as book:
        sheets = {page.objgen: count for count, page in enumerate(book.pages, 1)}
        targets = book.Root.Dests.items()
        return {name.removeprefix("/"): sheets[to[0].objgen] for name, to in targets}


def typeset(chromium, source: Path) -> tuple[bytes, list[str]]:
    """The document at a path as a PDF, and the titles of its headings."""
    page = chromium.new_page(viewport={"width": WIDTH, "height": 1000})
    page.set_default_timeout(900_000)
    page.emulate_media(media="print")
    missing = []
    page.on("requestfailed", lambda request: missing.append(request.url))
    page.goto(source.as_uri())
    if missing:
        raise SystemExit(f"pdf: the book lacks {', '.join(missing)}")
    if wide := page.evaluate(FIT):
        raise SystemExit("pdf: wider than the sheet:\n" + "\n".join(wide))
    blank = page.add_style_tag(content="body { visibility: hidden; }")
    found = places(page.pdf(prefer_css_page_size=True))
    blank.evaluate("style => style.remove()")
    page.evaluate(NUMBER, found)
    pdf = page.pdf(prefer_css_page_size=True, outline=True, tagged=True)
    moved = [name for name, count in places(pdf).items() if found.get(name) != count]
    if moved:
        raise SystemExit(f"pdf: the numbers of these are wrong: {', '.join(moved)}")
    titles = page.evaluate(TITLES)
    page.close()
    return pdf, titles


def bind(pdf: bytes, titles: list[str], author: str, path: Path) -> None:
    """Write the PDF, compressed, with an outline that shows the chapters first."""
    from pikepdf import Name, ObjectStreamMode, Pdf

    def walk(items: list) -> Iterator:
        for item in items:
            yield item
            yield from walk(item.children)

    with Pdf.open(BytesIO(pdf)) as book:
        with book.open_outline() as outline:
            for item, title in zip(walk(outline.root), titles, strict=True):
                item.title, item.is_closed = title, True
        book.docinfo["/Author"] = author
        book.Root.PageMode = Name.UseOutlines
        book.save(path, object_stream_mode=ObjectStreamMode.generate)


def print_book(chromium, config: dict, toc: dict, html: Path, path: Path) -> None:
    source = html.with_name(f"{path.stem}.html")
    source.write_text(document(config, toc, html), "utf-8")
    pdf, titles = typeset(chromium, source)
    bind(pdf, titles, config["author"], path)
    source.unlink()


def main() -> None:
    config, toc, html = load(BUILD, "pdf")
    from playwright.sync_api import sync_playwright

    import browser

    options = {"executable_path": browser.find(), "args": browser.ARGS}
    with sync_playwright() as play, play.chromium.launch(**options) as chromium:
        print_book(chromium, config, toc, html, PDF)
    print(f"pdf: {PDF}, {PDF.stat().st_size / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
