"""The licences of what the built book carries from others, each with its text.

A package's text is taken from the package that is installed; what the theme bundles
without its licence has it in LICENSES/.
"""

from importlib.metadata import distribution
from pathlib import Path

from docutils import nodes
from links import link, row, table
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).parents[1]
FOLDER = "_static/licences"
PACKAGES = {
    "Sphinx": "BSD-2-Clause",
    "sphinx-book-theme": "BSD-3-Clause",
    "pydata-sphinx-theme": "BSD-3-Clause",
    "myst-nb": "BSD-3-Clause",
    "sphinx-copybutton": "MIT",
    "sphinx-design": "MIT",
    "sphinx-exercise": "MIT",
    "sphinx-proof": "MIT",
    "sphinx-thebe": "MIT",
    "sphinx-togglebutton": "MIT",
    "Pygments": "BSD-2-Clause",
    "accessible-pygments": "BSD-3-Clause",
    "snowballstemmer": "BSD-3-Clause",
}
BUNDLED = {
    "Bootstrap 5.3.3": ("MIT", "LICENSES/bootstrap.txt"),
    "Popper 2.11.8": ("MIT", "LICENSES/popper.txt"),
    "Font Awesome Free 6.5.2": (
        "MIT, OFL-1.1, CC-BY-4.0",
        "LICENSES/fontawesome.txt",
    ),
    "clipboard.js 2.0.8": ("MIT", "LICENSES/clipboard.txt"),
    "KaTeX 0.16.47": ("MIT", "_ext/vendor/katex/LICENSE"),
    "the fonts of KaTeX": ("OFL-1.1", "LICENSES/katex-fonts.txt"),
    "this book": ("MIT, CC-BY-4.0", "LICENSE"),
}


def texts() -> dict[str, tuple[str, Path]]:
    """Licence and file of its text, by the name of what has it."""
    found = {name: (terms, ROOT / path) for name, (terms, path) in BUNDLED.items()}
    for name, terms in PACKAGES.items():
        package = distribution(name)
        files = [f for f in package.files or [] if is_licence(f.name)]
        if len(files) != 1:
            raise LookupError(f"{name} must bring one licence, got {files}")
        found[f"{name} {package.version}"] = terms, Path(package.locate_file(files[0]))
    return dict(sorted(found.items(), key=lambda item: item[0].lower()))


def is_licence(name: str) -> bool:
    return name.upper().startswith(("LICENSE", "LICENCE", "COPYING"))


def file_of(name: str) -> str:
    return f"{FOLDER}/{name.replace(' ', '-')}.txt"


class Licences(SphinxDirective):
    """``{licences}``: a table of all of them, each with a link to its text."""

    def run(self) -> list[nodes.Node]:
        rows = [
            row(link(name, file_of(name)), nodes.Text(terms))
            for name, (terms, _) in texts().items()
        ]
        return [table("licences", ("what", "licence"), (60, 40), rows)]


def copy(app: Sphinx, exception: Exception | None) -> None:
    if exception is None and app.builder.format == "html":
        (Path(app.outdir) / FOLDER).mkdir(parents=True, exist_ok=True)
        for name, (_, path) in texts().items():
            text = path.read_text("utf-8")
            (Path(app.outdir) / file_of(name)).write_text(text, "utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("licences", Licences)
    app.connect("build-finished", copy)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
