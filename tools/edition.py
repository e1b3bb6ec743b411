"""What the PDF and the EPUB share: the pages of the built book, in reading order."""

from collections.abc import Container, Iterator
from html import escape
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urljoin

import yaml
from bs4 import BeautifulSoup, SoupStrainer, Tag

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "_build"
# What serves a reader at a screen; a setup cell does nothing but install in Colab.
ON_SCREEN = (
    "script, button, a.headerlink, .pst-js-only, .noprint, .tag_setup,"
    " .genindex-jumpbox"
)


class Entry(NamedTuple):
    """A page of the book; ``depth`` is 1 for a page of a chapter."""

    name: str
    depth: int = 0
    part: str = ""


def entries(toc: dict) -> Iterator[Entry]:
    """The pages in reading order."""
    yield Entry(toc["root"])
    for part in toc["parts"]:
        for chapter in part["chapters"]:
            yield Entry(chapter["file"], 0, part["caption"])
            for page in chapter.get("sections", []):
                yield Entry(page["file"], 1, part["caption"])


def load(build: Path, edition: str) -> tuple[dict, dict, Path]:
    """Configuration, contents and built pages of the book, for an edition of it."""
    html = build / "html"
    if not (html / "index.html").exists():
        raise SystemExit(f"{edition}: there is no built book; `make book` builds it")
    config, toc = (
        yaml.safe_load((ROOT / name).read_text("utf-8"))
        for name in ("_config.yml", "_toc.yml")
    )
    return config, toc, html


def only(html: str, *wanted: object, **attributes: object) -> BeautifulSoup:
    strainer = SoupStrainer(*wanted, **attributes)
    return BeautifulSoup(html, "html.parser", parse_only=strainer)


def readable(html: str) -> Tag:
    """The text of a built page, without what serves at a screen only."""
    page = only(html, "article", class_="bd-article").article
    for element in page.select(f"{ON_SCREEN}, .book-explorer > img ~ *"):
        element.decompose()
    for link in page.select("a.image-reference"):
        link.unwrap()
    for image in page.select("img"):
        del image["loading"], image["decoding"]
    for details in page.select("details"):
        details["open"] = ""
    return page


def destination(
    page: str, href: str, book: Container[str], site: str
) -> tuple[str | None, str]:
    """Page of the book and place on it where a link leads, or None and an address."""
    address, _, fragment = urljoin(f"{page}.html", href).partition("#")
    name = address.removesuffix(".html")
    if name in book:
        return name, unquote(fragment)
    return None, urljoin(site, address) + (f"#{fragment}" if fragment else "")


def front(config: dict, cover: str) -> str:
    """What the first page says; ``cover`` is where the picture lies."""
    site = config["html"]["baseurl"]
    return f"""<header>
<p class="title">{escape(config["title"])}</p>
<p>{escape(config["author"])}</p>
<img src="{cover}" alt=""/>
<p>{escape(str(config["copyright"]))}</p>
<p><a href="{site}">{site}</a></p>
</header>"""
