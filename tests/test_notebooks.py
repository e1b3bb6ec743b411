"""Every stored notebook: executed, quiet, described, self-contained."""

import ast
import functools
import json
import re
from pathlib import Path

import nbformat
import pytest

import stamp

ROOT = Path(__file__).parents[1]

PATHS = stamp.notebooks()
STAMPED = stamp.stamped()
FETCHES = re.compile(
    r"urlopen|urlretrieve|requests\.(get|post)|\bhttpx?\b\.|torch\.hub|download=True"
    r"|fetch_openml|load_dataset|wget |curl |!pip|fetch\(|XMLHttpRequest|import\("
)
CELL_FETCHES = re.compile(
    FETCHES.pattern + r"|https?:|^\s*[!%]\s*(pip|git|wget|curl)|requests|urllib"
    r"|from_pretrained|weights=",
    re.M,
)


def cells(path: Path, kind: str) -> list[nbformat.NotebookNode]:
    return [c for c in read(path).cells if c.cell_type == kind]


@functools.cache
def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def problems(notebook: nbformat.NotebookNode) -> list[str]:
    """What is wrong with a stored notebook, each with the cell it is wrong in."""
    found, names = [], set()
    code = [c for c in notebook.cells if c.cell_type == "code"]
    for n, cell in enumerate(code, 1):
        where = f"code cell {n} ({cell.source.strip().splitlines()[0][:50]!r})"
        if cell.execution_count is None:
            found.append(f"{where} has not run: make run")
        for output in cell.outputs:
            if output.get("name") == "stderr":
                found.append(f"{where} wrote to stderr: {output.text[:80]!r}")
            if output.output_type == "error":
                found.append(f"{where} ended in an error: {output.ename}")
            if re.search(r"\b0x[0-9a-f]{6,}", json.dumps(output)):
                found.append(f"{where} shows an address: end it with plt.show()")
        if any("image/png" in o.get("data", {}) for o in cell.outputs):
            found += [f"{where}: {p}" for p in figure_problems(cell, names)]
        tags = cell.metadata.get("tags", [])
        if "setup" not in tags and (match := CELL_FETCHES.search(cell.source)):
            found.append(f"{where} fetches something: {match[0]!r}")
        if "nbval-skip" in tags or "NBVAL_" in cell.source:
            found.append(f"{where} is left out of the comparison of outputs")
    counts = [c.execution_count for c in code]
    if None not in counts and counts != list(range(1, len(code) + 1)):
        found.append("the cells ran in another order than they stand: make run")
    if code and "setup" not in code[0].metadata.get("tags", []):
        found.append("the first code cell must be the setup cell, tagged setup")
    return found


def figure_problems(cell: nbformat.NotebookNode, names: set[str]) -> list[str]:
    found, about = [], cell.metadata.get("mystnb", {})
    image, figure = about.get("image", {}), about.get("figure", {})
    if len(image.get("alt", "")) < 40:
        found.append("the figure needs alt text that says what it shows")
    if not figure.get("caption"):
        found.append("the figure needs a caption")
    if not figure.get("name", "").startswith("fig-") or figure["name"] in names:
        found.append("the figure needs a name of its own that begins with fig-")
    names.add(figure.get("name"))
    if sum("image/png" in o.get("data", {}) for o in cell.outputs) > 1:
        found.append("one figure a cell: a caption belongs to one picture")
    return found


def test_there_are_notebooks():
    assert PATHS


@pytest.mark.parametrize("path", PATHS, ids=lambda p: p.stem)
def test_notebook(path):
    assert problems(read(path)) == []
    nbformat.validate(read(path))


@pytest.mark.parametrize("path", STAMPED, ids=lambda p: p.name)
def test_the_repository_is_the_one_of_the_configuration(path):
    """Setup cells, badges and the citation say what _config.yml says."""
    assert path.read_text("utf-8") == STAMPED[path], "run: make stamp"


@pytest.mark.parametrize("path", PATHS, ids=lambda p: p.stem)
def test_setup_cell_is_folded_in_the_book(path):
    assert "hide-input" in stamp.find(read(path)).metadata["tags"]


@pytest.mark.parametrize("path", PATHS, ids=lambda p: p.stem)
def test_headings_are_plain(path):
    """TeX in a heading would stand raw in titles and in the search index."""
    for cell in cells(path, "markdown"):
        text = re.sub(r"```.*?```", "", cell.source, flags=re.S)
        for heading in re.findall(r"^#+ .*$", text, re.M):
            assert "$" not in heading, f"write Unicode instead of TeX: {heading}"


@pytest.mark.parametrize("path", PATHS, ids=lambda p: p.stem)
def test_no_heading_within_a_solution(path):
    """Sphinx ends in a traceback there."""
    inside = False
    for cell in cells(path, "markdown"):
        inside |= "{solution-start}" in cell.source or "{exercise-start}" in cell.source
        if inside and "-end}" not in cell.source:
            heading = re.search(r"^#+ .*$", cell.source, re.M)
            assert not heading, f"use bold text instead of the heading {heading[0]!r}"
        inside &= "-end}" not in cell.source


@pytest.mark.parametrize("path", PATHS, ids=lambda p: p.stem)
def test_links_are_files(path):
    """A link that names the file also works in Colab and on GitHub."""
    for cell in cells(path, "markdown"):
        text = re.sub(r"\$[^$]*\$|`[^`]*`", "", cell.source)
        for target in re.findall(r"\]\((?!sec-)([^)#:\s]+)\)", text):
            assert (path.parent / target).is_file(), f"no file {target}"


@pytest.mark.parametrize("path", PATHS, ids=lambda p: p.stem)
def test_reading_time_is_stated_and_at_most_25_minutes(path):
    """200 words a minute, 15 seconds a displayed formula, no exercises; rounded."""
    text = "\n\n".join(cell.source for cell in cells(path, "markdown"))
    text = re.sub(r"^## Exercises$.*?(?=^## |\Z)", "", text, flags=re.S | re.M)
    text, formulas = re.subn(r"\$\$.*?\$\$ \(\S+\)", "", text, flags=re.S)
    words = len(re.sub(r"\$[^$]*\$", "formula", text).split())
    minutes = 5 * round((words / 200 + formulas / 4) / 5)
    stated = re.search(
        r"^Reading: about (\d+) minutes without the exercises", text, re.M
    )
    assert int(stated[1]) == minutes <= 25


@pytest.mark.parametrize("path", PATHS, ids=lambda p: p.stem)
def test_every_exercise_has_a_solution(path):
    text = "\n".join(c.source for c in cells(path, "markdown"))
    exercises = set(re.findall(r"\{exercise(?:-start)?\}.*\n:label: (\S+)", text))
    solved = set(re.findall(r"\{solution(?:-start)?\} (\S+)", text))
    assert len(exercises) >= 4
    assert exercises == solved


@pytest.mark.parametrize("path", PATHS, ids=lambda p: p.stem)
def test_is_written_for_one_width(path):
    """A page shows 84 columns of code; ruff does not look at strings."""
    for cell in cells(path, "code"):
        if "setup" not in cell.metadata.get("tags", []):  # holds an address
            assert max(map(len, cell.source.splitlines())) <= 84, cell.source


def test_lib_fetches_nothing():
    for path in [*ROOT.glob("lib/**/*.py"), *ROOT.glob("lib/**/*.js")]:
        assert not FETCHES.search(path.read_text("utf-8")), path


def test_public_functions_say_what_they_take_and_raise():
    for path in ROOT.glob("lib/[a-z]*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                doc = ast.get_docstring(node)
                nodes = list(ast.walk(node))
                raises = any(isinstance(n, ast.Raise) for n in nodes) or any(
                    isinstance(n, ast.Name) and n.id.startswith("check") for n in nodes
                )
                assert (
                    "Args:" in doc or "arguments as there" in doc or not node.args.args
                )
                assert "Raises:" in doc or not raises, f"{path.name}: {node.name}"
                asserts = [n for n in ast.walk(node) if isinstance(n, ast.Assert)]
                assert not asserts, (
                    f"{path.name}: {node.name}: raise ValueError instead"
                )


# The tests of the test: each fault is found, and named.


def notebook(**changes: object) -> nbformat.NotebookNode:
    v4 = nbformat.v4
    setup = v4.new_code_cell("# setup", execution_count=1, metadata={"tags": ["setup"]})
    picture = v4.new_output("display_data", {"image/png": "aGk="})
    about = {
        "image": {
            "alt": "Two curves, of which the second is twice as wide as the first."
        },
        "figure": {"caption": "Two curves.", "name": "fig-two-curves"},
    }
    cell = v4.new_code_cell(
        "plt.show()", execution_count=2, outputs=[picture], metadata={"mystnb": about}
    )
    cell.update(changes)
    return v4.new_notebook(cells=[setup, cell])


STREAM = nbformat.v4.new_output("stream", name="stderr", text="a warning")
ERROR = nbformat.v4.new_output("error", ename="NameError", evalue="np", traceback=[])
ADDRESS = nbformat.v4.new_output(
    "execute_result", {"text/plain": "<object at 0x7f3a2b1c>"}
)
PICTURE = nbformat.v4.new_output("display_data", {"image/png": "aGk="})
NAKED = {"mystnb": {"figure": {"caption": "Two curves.", "name": "fig-x"}}}
NAMELESS = {
    "mystnb": {"image": {"alt": 50 * "x"}, "figure": {"caption": "Two curves."}}
}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"execution_count": None}, "has not run"),
        ({"execution_count": 3}, "another order"),
        ({"outputs": [STREAM]}, "stderr: 'a warning'"),
        ({"outputs": [ERROR]}, "ended in an error: NameError"),
        ({"outputs": [ADDRESS]}, "shows an address"),
        ({"metadata": {}}, "alt text"),
        ({"metadata": NAKED}, "alt text"),
        ({"metadata": {}}, "needs a caption"),
        ({"metadata": NAMELESS}, "needs a name"),
        ({"outputs": [PICTURE, PICTURE]}, "one figure a cell"),
        ({"source": "urlopen(address)"}, "fetches something"),
        ({"source": "x = 1\n!git clone it"}, "fetches something"),
        ({"source": "pandas.read_csv('https://example.org')"}, "fetches something"),
        ({"source": "# NBVAL_SKIP\n1"}, "left out of the comparison"),
        ({"metadata": {"tags": ["nbval-skip"]}}, "left out of the comparison"),
    ],
)
def test_finds(changes, message):
    assert problems(notebook()) == []
    assert any(message in problem for problem in problems(notebook(**changes)))


def test_finds_a_missing_setup_cell():
    notebook_without = notebook()
    del notebook_without.cells[0].metadata["tags"]
    assert any("setup cell" in p for p in problems(notebook_without))
