"""The Colab edition of a small book: each construct of MyST, in plain Markdown."""

import re
import sys
from pathlib import Path

import nbformat
import pytest
from sphinx.errors import ConfigError
from sphinx.testing.util import SphinxTestApp

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.filterwarnings("ignore")  # other people's deprecations
CONFIGURATION = f"""
import sys
sys.path.insert(0, {str(ROOT / "_ext")!r})
extensions = ["myst_nb", "sphinx_exercise", "sphinx_proof", "sphinxcontrib.bibtex",
              "mathematics", "verified", "overview", "colab"]
bibtex_bibfiles = ["references.bib"]
exercise_style = "solution_follow_exercise"
html_baseurl = "https://book.org/here/"
html_math_renderer = "katex"
html_theme = "basic"
html_title = "A Book"
math_numfig, numfig, numfig_secnum_depth = True, True, 1
myst_enable_extensions = ["amsmath", "dollarmath", "colon_fence", "deflist"]
nb_execution_mode = "off"
nitpicky = True
"""
INDEX = """# Book

```{toctree}
:numbered:
page
other
said
```
"""
SAID = "# What is said\n\n```{misconceptions}\n```"  # shows a fragment of the page
OTHER = """# Other

$$ y = 2 $$ (def-far)

```{glossary}
slope
  How steep it is.
```

```{bibliography}
```
"""
BIBLIOGRAPHY = """
@book{knuth, author = {Kn{\\"u}th, Donald}, title = {Art}, publisher = {A}, year = 1968}
@book{two, author = {Roe, A. and van Doe, B.}, title = {B}, publisher = {A}, year = 1}
@book{same, author = {Roe, A. and van Doe, B.}, title = {C}, publisher = {A}, year = 1}
"""
HEAD = (
    "*Page 1 of [A Book](https://book.org/here/page.html)."
    " Links to other pages lead there, too.*\n\n"
)
FAR = "https://book.org/here/other.html"

# What a Markdown cell of the source says, and what it says in the edition.
CELLS = {
    "a heading": ("# Title\n\nText.", f"{HEAD}# Title\n\nText."),
    "an equation": (
        "Let\n\n$$\nx^2\n  = x \\cdot x\n$$ (def-square)\n\nAgain\n\n$$\nz\n$$",
        'Let\n\n<a id="equation-def-square"></a>\n\n$$ x^2 = x \\cdot x \\tag{1.1} $$'
        "\n\nAgain\n\n$$ z $$",
    ),
    "a target": (
        "(sec-two)=\n## Two\n\nSee {ref}`sec-two`, {ref}`this <sec-two>`.",
        '<a id="sec-two"></a>\n\n## Two\n\nSee [Two](#sec-two), [this](#sec-two).',
    ),
    "references to equations": (
        "{eq}`def-square` and {eq}`def-far`",
        f"[(1.1)](#equation-def-square) and [(2.1)]({FAR}#equation-def-far)",
    ),
    "references to figures": ("{numref}`fig-x`", "[Fig. 1.1](#fig-x)"),
    "references to boxes": (
        "{prf:ref}`thm-one`, {ref}`ex-twice`",
        "[Theorem 1.1](#thm-one), [Exercise 1.1](#ex-twice)",
    ),
    "links to pages": (
        "[](other.md), [*it*](other.md), {doc}`other`, [site](https://x.org/a_b)",
        f"[Other]({FAR}), [*it*]({FAR}), [Other]({FAR}), [site](https://x.org/a_b)",
    ),
    "a term": ("{term}`slope`", f"[slope]({FAR}#term-slope)"),
    "a number of the book": ("{count}`exercises` exercises", "4 exercises"),
    "citations": (
        "{cite:t}`knuth` {cite:p}`knuth` {cite:p}`two,same`",
        "Knüth [[1968](#cite-knuth)] [[Knüth, 1968](#cite-knuth)]"
        " [[Roe and van Doe, 1b](#cite-two), [Roe and van Doe, 1a](#cite-same)]",
    ),
    "a claim": (
        "## Misconceptions\n\n### A claim\n\nNo.\n\n**What holds.** {eq}`def-far`."
        "\n\n## End",
        "## Misconceptions\n\n### A claim\n\nNo.\n\n**What holds.**"
        f" [(2.1)]({FAR}#equation-def-far).\n\n## End",
    ),
    "text that looks like markup": (
        r"5 \* 3, a\_b, \$3, \`x\`, 1 \< 2, a \| b, c\~d, `a*b`, `` `a` ``",
        r"5 \* 3, a\_b, \$3, \`x\`, 1 \< 2, a \| b, c\~d, `a*b`, `` `a` ``",
    ),
    "emphasis": ("A *b* **c $x$**.", "A *b* **c $x$**."),
    "lists": (
        "- one\n- two\n  1. three\n  2. four\n\ntext\n\n3. five\n4. six",
        "- one\n\n- two\n\n  1. three\n  2. four\n\ntext\n\n3. five\n4. six",
    ),
    "a table": (
        "| a | b |\n| --- | --: |\n| $\\|x\\|$ `c\\|d` | |",
        "| a | b |\n| --- | --: |\n| $\\vert x\\vert$ `c\\|d` |  |",
    ),
    "code": ("```python\nx = '$'\n```", "```python\nx = '$'\n```"),
    "a quotation": (
        "> One.\n>\n> Two.\n\n---\n\nEnd.",
        "> One.\n>\n> Two.\n\n---\n\nEnd.",
    ),
    "an index entry": ("```{index} slope\n```\n\nText.", "Text."),
    "a comment": ("% not for readers\n\nText.", "Text."),
    "admonitions": (
        ":::{note}\nOne.\n:::\n\n:::{admonition} My $x$\nTwo.\n\nThree.\n:::",
        "> **Note**\n>\n> One.\n\n> **My $x$**\n>\n> Two.\n>\n> Three.",
    ),
    "a theorem": (
        "```{prf:theorem} Of $x$\n:label: thm-one\nSo\n\n$$\nx\n$$ (def-in)\n```",
        '> <a id="thm-one"></a>**Theorem 1.1 (Of $x$)**\n>\n> So\n>\n'
        '> <a id="equation-def-in"></a>\n>\n> $$ x \\tag{1.2} $$',
    ),
    "a definition": (
        "```{prf:definition}\n:label: def-it\nIt.\n```",
        '> <a id="def-it"></a>**Definition 1.1**\n>\n> It.',
    ),
    "a proof": ("```{prf:proof}\nClear.\n```", "> Proof. Clear."),
    "an exercise": (
        "```{exercise} Twice $x$\n:label: ex-twice\nDo it.\n```\n\n"
        "```{solution} ex-twice\n:label: sol-twice\n:class: dropdown\nOne.\n\nTwo.\n"
        "```",
        '> <a id="ex-twice"></a>**Exercise 1.1 (Twice $x$)**\n>\n> Do it.\n\n'
        '<a id="sol-twice"></a>\n\n<details>\n<summary>Solution to Exercise 1.1'
        "</summary>\n\nOne.\n\nTwo.\n\n</details>",
    ),
}
START = "```{{solution-start}} ex-{0}\n:label: sol-{0}\n:class: dropdown\n```\n\n{1}"
END = "```{solution-end}\n```"
FOLD = "<details>\n<summary>Solution to Exercise 1.{0}</summary>\n\n{1}\n\n</details>"
CODE = "  run( )"

# Cells from the start of a solution to its end, and those of the edition.
SOLUTIONS = {
    "text around code": (
        [START.format(0, "Run:"), CODE, "There.", END],
        [FOLD.format("2", "Run:"), CODE, FOLD.format("2, continued", "There.")],
    ),
    "a start of its own": (
        [START.format(1, ""), "Run:", CODE, END],
        [FOLD.format("3", "Run:"), CODE],
    ),
    "code alone": (
        [START.format(2, ""), CODE, END],
        [FOLD.format("4", "See the next cell."), CODE],
    ),
}


def notebook(*texts: str) -> nbformat.NotebookNode:
    cells = [nbformat.v4.new_markdown_cell(t, id=f"m{i}") for i, t in enumerate(texts)]
    metadata = {"language_info": {"name": "python"}}
    return nbformat.v4.new_notebook(metadata=metadata, cells=cells)


def everything() -> nbformat.NotebookNode:
    """All of CELLS, a figure, then the solutions with code, each after its exercise."""
    v4, page = nbformat.v4, notebook(*(before for before, _ in CELLS.values()))
    figure = {"figure": {"caption": "Of $x$, {eq}`def-square`", "name": "fig-x"}}
    page.cells.append(
        v4.new_code_cell(
            "plt.show()\n",
            id="figure",
            execution_count=1,
            outputs=[v4.new_output("display_data", {"image/png": "iVBORw0KGgo="})],
            metadata={"mystnb": figure, "tags": ["hide-input"]},
        )
    )
    for i, (cells, _) in enumerate(SOLUTIONS.values()):
        exercise = f"```{{exercise}}\n:label: ex-{i}\nRun.\n```"
        page.cells += [v4.new_markdown_cell(exercise, id=f"exercise-{i}")]
        for j, text in enumerate(cells):
            new = v4.new_code_cell if text is CODE else v4.new_markdown_cell
            page.cells.append(new(text, id=f"solution-{i}-{j}"))
    return page


def build(folder: Path, page: nbformat.NotebookNode, **options) -> tuple[Path, str]:
    """Path of the edition of a page, and the warnings."""
    # the extensions are loaded afresh: the kernel of another test may have them
    for path in (ROOT / "_ext").glob("*.py"):
        sys.modules.pop(path.stem, None)
    (folder / "conf.py").write_text(CONFIGURATION)
    (folder / "index.md").write_text(INDEX)
    (folder / "other.md").write_text(OTHER)
    (folder / "said.md").write_text(SAID)
    (folder / "references.bib").write_text(BIBLIOGRAPHY)
    nbformat.write(page, folder / "page.ipynb")
    app = SphinxTestApp(srcdir=folder, freshenv=True, confoverrides=options)
    try:
        app.build()
        warnings = re.sub(r"\x1b\[[\d;]*m", "", app.warning.getvalue())
        return Path(app.outdir, "colab", "page.ipynb"), warnings
    finally:
        app.cleanup()


@pytest.fixture(scope="module")
def source():
    return everything()


@pytest.fixture(scope="module")
def built(tmp_path_factory, source):
    path, warnings = build(tmp_path_factory.mktemp("book"), source)
    assert warnings == ""
    return path.read_bytes()


@pytest.fixture(scope="module")
def edition(built):
    found = nbformat.reads(built.decode(), as_version=4)
    nbformat.validate(found)
    return {cell.id: cell for cell in found.cells}


def named(text: str) -> str:
    """Every anchor has a name beside its id."""
    return re.sub(r'<a id="([\w-]+)"', r'<a name="\1" id="\1"', text)


@pytest.mark.parametrize("number", range(len(CELLS)), ids=list(CELLS))
def test_each_construct_becomes_plain_markdown(edition, number):
    _, after = list(CELLS.values())[number]
    assert edition[f"m{number}"].source == named(after)


def test_code_cells_stay_as_they_are(edition, source):
    for cell in source.cells:
        if cell.cell_type == "code":
            assert edition[cell.id] == cell


def test_a_caption_follows_its_figure(edition):
    names = list(edition)
    caption = edition[names[names.index("figure") + 1]]
    assert caption.source == named(
        '<a id="fig-x"></a>**Fig. 1.1** Of $x$, [(1.1)](#equation-def-square)'
    )


@pytest.mark.parametrize("number", range(len(SOLUTIONS)), ids=list(SOLUTIONS))
def test_a_solution_is_folded_around_its_code(edition, number):
    _, after = list(SOLUTIONS.values())[number]
    cells = [c for name, c in edition.items() if name.startswith(f"solution-{number}-")]
    anchor = f'<a id="sol-{number}"></a>\n\n'
    assert [cell.source for cell in cells] == [named(anchor) + after[0], *after[1:]]


def test_references_come_last(edition):
    assert edition["references"].source == named(
        "## References\n\n"
        '- <a id="cite-knuth"></a>Knüth, 1968: Donald Knüth. Art. A, 1968.\n'
        '- <a id="cite-same"></a>Roe and van Doe, 1a: A. Roe and B. van Doe. C. A, 1.\n'
        '- <a id="cite-two"></a>Roe and van Doe, 1b: A. Roe and B. van Doe. B. A, 1.'
    )


def test_a_second_build_gives_the_same_bytes(built, tmp_path, source):
    path, _ = build(tmp_path, source)
    assert path.read_bytes() == built


def test_what_it_cannot_write_is_named(tmp_path):
    page = notebook("# Title", "Word\n: what it means")
    _, warnings = build(tmp_path, page)
    assert "page, cell 2: no plain Markdown for definition_list" in warnings


def test_the_address_of_the_book_is_needed(tmp_path):
    with pytest.raises(ConfigError, match="html_baseurl must be the address of"):
        build(tmp_path, notebook("# Title"), html_baseurl="")
