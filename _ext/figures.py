"""Figures that are light and keep their place: sized, loaded when near, quantised.

Figures are stored at twice the size at which they are shown.
"""

from concurrent.futures import Future, ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

from docutils import nodes
from PIL import Image
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.writers.html5 import HTML5Translator


def visit(translator: HTML5Translator, node: nodes.image) -> None:
    builder = translator.builder
    name, path = builder.images.get(node["uri"]), Path(builder.srcdir) / node["uri"]
    if name is None or path.suffix != ".png":
        return HTML5Translator.visit_image(translator, node)
    width, height = Image.open(path).size
    attributes = {
        "src": f"{builder.imgpath}/{name}",
        "alt": node.get("alt", ""),
        "width": width // 2,
        "height": height // 2,
        "loading": "lazy",
        "decoding": "async",
        "class": " ".join(node.get("classes", [])),
    }
    translator.body.append(translator.emptytag(node, "img", "\n", **attributes))


def depart(translator: HTML5Translator, node: nodes.image) -> None:
    pass


class Quantised:
    """Each figure in 128 colours, made on the other cores while pages are written."""

    def __init__(self) -> None:
        self.pool = ThreadPoolExecutor()
        self.made: dict[str, Future[bytes]] = {}

    def start(self, app: Sphinx, env: BuildEnvironment) -> None:
        for uri, (_, name) in env.images.items():
            if app.builder.format == "html" and uri.endswith(".png"):
                self.made[name] = self.pool.submit(quantise, Path(app.srcdir, uri))

    def write(self, app: Sphinx, exception: Exception | None) -> None:
        self.pool.shutdown(cancel_futures=exception is not None)
        if exception is None:
            for name, figure in self.made.items():
                Path(app.outdir, "_images", name).write_bytes(figure.result())


def quantise(path: Path) -> bytes:
    image = Image.open(path)
    if image.mode == "P":
        return path.read_bytes()
    written = BytesIO()
    image.convert("RGB").quantize(128).save(written, "png", optimize=True)
    return written.getvalue()


def setup(app: Sphinx) -> dict[str, bool]:
    quantised = Quantised()
    app.add_node(nodes.image, override=True, html=(visit, depart))
    app.connect("env-check-consistency", quantised.start)
    app.connect("build-finished", quantised.write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
