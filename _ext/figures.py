"""Figures that are light and keep their place: sized, loaded when near, quantised.

Figures are stored at twice the size at which they are shown.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from docutils import nodes
from PIL import Image
from sphinx.application import Sphinx
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


def quantise(path: Path) -> None:
    image = Image.open(path)
    if image.mode != "P":
        image.convert("RGB").quantize(128).save(path, optimize=True)


def quantise_all(app: Sphinx, exception: Exception | None) -> None:
    if not exception and app.builder.format == "html":
        with ThreadPoolExecutor() as pool:
            list(pool.map(quantise, (Path(app.outdir) / "_images").glob("*.png")))


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_node(nodes.image, override=True, html=(visit, depart))
    app.connect("build-finished", quantise_all)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
