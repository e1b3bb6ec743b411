"""What depends on the repository's address, which _config.yml alone decides.

python tools/stamp.py   write the address into every notebook's setup cell, the table of
                        chapters in the README, and CITATION.cff
"""

import json
import re
import tomllib
from pathlib import Path

import nbformat
import yaml
from nbformat.validator import iter_validate

from alone import replace

ROOT = Path(__file__).parents[1]
CELL = """\
# Find the book's library; in Colab, install it where it is missing.
import importlib
import os
import sys

book = "<html.baseurl>"
wheel = book + "wheels/<wheel>"
for source in wheel, "git+<repository.url>", None:
    try:
        from lib.check import verify

        break
    except ImportError as error:
        if source is None or "COLAB_RELEASE_TAG" not in os.environ:
            cure = f"go online, run %pip install {wheel}"
            if "lib" in sys.modules:
                cure = f"rename {sys.modules['lib']}, which is in its way"
            raise ImportError(
                f"the book's library did not load ({error}): {cure},"
                " then restart the kernel and run this cell again"
            ) from None
        %pip install -qqq --no-deps {source}
        for name in [m for m in sys.modules if m.split(".")[0] == "lib"]:
            del sys.modules[name]
        importlib.invalidate_caches()"""


def config() -> dict:
    return yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))


def repository() -> str:
    """The repository's address, written once, in _config.yml."""
    return config()["repository"]["url"]


def wheel() -> str:
    """The file name of the library's wheel, which the book serves under wheels/."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return f"{project['name'].replace('-', '_')}-{project['version']}-py3-none-any.whl"


def setup_cell() -> str:
    """The wheel first: it is what this edition was tested with, and nothing is built.

    The repository stands in where the book is not served, or serves another version.
    """
    book = config()["html"]["baseurl"].rstrip("/") + "/"
    return (
        CELL.replace("<html.baseurl>", book)
        .replace("<wheel>", wheel())
        .replace("<repository.url>", repository())
    )


def notebooks() -> list[Path]:
    return sorted(
        p
        for p in ROOT.glob("chapters/**/*.ipynb")
        if ".ipynb_checkpoints" not in p.parts
    )


def find(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode | None:
    cells = [c for c in notebook.cells if "setup" in c.metadata.get("tags", [])]
    return cells[0] if len(cells) == 1 else None


def read(path: Path) -> nbformat.NotebookNode:
    """A notebook, or a ValueError that names the file and what to do."""
    try:
        text = path.read_text("utf-8")
        for error in iter_validate(json.loads(text) or {}, version=4):
            raise error
        return nbformat.reads(text, as_version=4)
    except (ValueError, nbformat.ValidationError) as error:
        reason = str(error).partition("\n")[0]
        path = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
        raise ValueError(
            f"{path} is damaged ({reason:.80}); mend it, or take back the last"
            f" good one: git checkout -- {path}"
        ) from None


def damaged() -> list[str]:
    """What is wrong with notebooks that cannot be read."""
    problems = []
    for path in notebooks():
        try:
            read(path)
        except ValueError as error:
            problems.append(str(error))
    return problems


def title(path: Path) -> str:
    """The heading that a notebook begins with."""
    return read(path).cells[0].source.splitlines()[0].lstrip("# ")


def badges() -> str:
    """The README's table: each page, and a badge that opens it in Colab."""
    site = "https://colab.research.google.com"
    host = repository().removeprefix("https://github.com/")
    rows = ["| page | |", "| --- | --- |"]
    for path in reading_order():
        address = f"{site}/github/{host}/blob/colab/{path.relative_to(ROOT)}"
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
        notebook = read(path)
        cell = find(notebook)
        if cell is None:
            raise SystemExit(f"stamp: {path} must have exactly one cell tagged setup")
        cell.source = setup_cell()
        cell.metadata["mystnb"] = {"code_prompt_show": "Setup"}
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
            replace(path, text)
            print(f"stamped {path.relative_to(ROOT)}")
