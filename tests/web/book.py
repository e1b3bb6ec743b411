"""What the tests in a browser share: the pages of the built book, and its server."""

import functools
import gzip
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

ROOT = Path(__file__).parents[2]
HTML = ROOT / "_build" / "html"
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))
PREFIX = urlsplit(CONFIG["html"]["baseurl"]).path  # where the book lies on its server
# Unfold all that can be unfolded, and lay out at once what would be later.
OPEN = """() => {
  for (const e of document.querySelectorAll("main details")) e.open = true;
  for (const e of document.querySelectorAll(".bd-article section > *"))
    e.style.contentVisibility = "visible";
}"""
WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 360, "height": 740}


def names() -> list[str]:
    """Every page that is read, as its path: all but what only leads elsewhere."""
    paths = [p for p in HTML.rglob("*.html") if HTML / "_static" not in p.parents]
    pages = [p for p in paths if 'http-equiv="Refresh"' not in p.read_text("utf-8")]
    return sorted(str(p.relative_to(HTML)) for p in pages)


def pages(names: list[str], **options) -> pytest.MarkDecorator:
    """Run a test for each page."""
    ids = [f"page={name}" for name in names]  # conftest.py reads these
    return pytest.mark.parametrize("name", names, ids=ids, **options)


PAGES = names() if HTML.exists() else []
FILES = [name for name in PAGES if name != "404.html"]  # that one needs a server


def holding(text: str) -> list[str]:
    """The pages whose HTML holds a text."""
    return [n for n in PAGES if text in (HTML / n).read_text("utf-8")]


def heaviest(count: int) -> list[str]:
    """The pages with most formulas."""
    texts = {name: (HTML / name).read_text("utf-8") for name in PAGES}
    return sorted(PAGES, key=lambda name: texts[name].count("<math "))[-count:]


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves the book below PREFIX as GitHub Pages does: gzip, 404.html."""

    protocol_version = "HTTP/1.1"

    def translate_path(self, path: str) -> str:
        inside = path.startswith(PREFIX)
        return super().translate_path("/" + path[len(PREFIX) :] if inside else "/none")

    def do_GET(self) -> None:
        path = Path(self.translate_path(self.path))
        path = path / "index.html" if path.is_dir() else path
        status = 200 if path.is_file() else 404
        kind = self.guess_type(path)
        body, packed = content(path if path.is_file() else HTML / "404.html", kind)
        self.send_response(status)
        self.send_header("Content-Type", kind if status == 200 else "text/html")
        if packed:
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args) -> None:
        pass


@functools.cache
def content(path: Path, kind: str) -> tuple[bytes, bool]:
    body = path.read_bytes() if path.exists() else b""
    packed = any(k in kind for k in ("text", "javascript", "json", "xml"))
    return (gzip.compress(body, 6), True) if packed else (body, False)


@contextmanager
def serve(directory: Path = HTML) -> Iterator[str]:
    """Address of a server of a folder, while it runs."""
    handler = functools.partial(Handler, directory=directory)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}{PREFIX}"
        server.shutdown()
