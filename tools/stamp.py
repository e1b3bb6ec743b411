"""What depends on the repository's address, which _config.yml alone decides.

python tools/stamp.py   write the address into every notebook's setup cell, the table of
                        chapters in the README, and CITATION.cff
"""

import re
from pathlib import Path

import nbformat
import yaml

ROOT = Path(__file__).parents[1]
CELL = """\
# In Colab: install the book's library. Elsewhere: nothing.
import importlib
import os
import sys

if "COLAB_RELEASE_TAG" in os.environ:
    try:
        from lib.check import verify
    except ImportError:
        %pip install --quiet --no-deps git+<repository.url>
        for name in [m for m in sys.modules if m.split(".")[0] == "lib"]:
            del sys.modules[name]
        importlib.invalidate_caches()
        try:
            from lib.check import verify
        except ImportError:
            raise ImportError(
                "the book's library could not be loaded: either its installation"
                " failed (see above), or a folder or file named lib is in the way"
                f" in {os.getcwd()}; rename that, restart, and run this cell again"
            ) from None"""


def repository() -> str:
    """The book's address, written once, in _config.yml."""
    config = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))
    return config["repository"]["url"]


def setup_cell() -> str:
    return CELL.replace("<repository.url>", repository())


def notebooks() -> list[Path]:
    return sorted(
        p
        for p in ROOT.glob("chapters/**/*.ipynb")
        if ".ipynb_checkpoints" not in p.parts
    )


def find(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode | None:
    cells = [c for c in notebook.cells if "setup" in c.metadata.get("tags", [])]
    return cells[0] if len(cells) == 1 else None


def title(path: Path) -> str:
    """The heading that a notebook begins with."""
    return (
        nbformat.read(path, as_version=4).cells[0].source.splitlines()[0].lstrip("# ")
    )


def badges() -> str:
    """The README's table: each page, and a badge that opens it in Colab."""
    site = "https://colab.research.google.com"
    host = repository().removeprefix("https://github.com/")
    rows = ["| page | |", "| --- | --- |"]
    for path in reading_order():
        address = f"{site}/github/{host}/blob/main/{path.relative_to(ROOT)}"
        badge = f"[![Open in Colab]({site}/assets/colab-badge.svg)]({address})"
        rows.append(f"| {title(path)} | {badge} |")
    return "\n".join(rows)


def reading_order() -> list[Path]:
    files = re.findall(r"file: (\S+)", (ROOT / "_toc.yml").read_text("utf-8"))
    return [p for f in files if (p := ROOT / f"{f}.ipynb").exists()]


def stamped() -> dict[Path, str]:
    """Each file that holds the address, and what it should contain."""
    files = {}
    for path in notebooks():
        notebook = nbformat.read(path, as_version=4)
        cell = find(notebook)
        if cell is None:
            raise SystemExit(f"stamp: {path} must have exactly one cell tagged setup")
        cell.source = setup_cell()
        files[path] = nbformat.writes(notebook) + "\n"
    for name, pattern, text in (
        ("README.md", r"(?<=<!-- chapters -->\n).*?(?=\n<!-- /chapters -->)", badges()),
        ("CITATION.cff", r"(?<=repository-code: ).*?$", repository()),
    ):
        old = (ROOT / name).read_text("utf-8")
        files[ROOT / name] = re.sub(pattern, text, old, flags=re.S | re.M)
    return files


if __name__ == "__main__":
    for path, text in stamped().items():
        if path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")
            print(f"stamped {path.relative_to(ROOT)}")
