"""The book's own Sphinx extensions, on a page of a few lines."""

import base64
import io
import re
import sys
from pathlib import Path

import nbformat
import pytest
from PIL import Image
from sphinx.testing.util import SphinxTestApp

ROOT = Path(__file__).parents[1]
CONFIGURATION = f"""
import sys
sys.path.insert(0, {str(ROOT / "_ext")!r})
extensions = ["myst_nb", "sphinx_exercise", "sphinx_proof",
              "mathematics", "verified", "details", "figures", "overview"]
nb_execution_mode = "off"
myst_enable_extensions = ["amsmath", "dollarmath", "colon_fence"]
html_math_renderer = "katex"
html_theme = "basic"
math_numfig, numfig, numfig_secnum_depth = True, True, 1
"""
FORMULA = "Before.\n\n$$ x^2 = x \\cdot x $$ (eq-square)\n\nSee {eq}`eq-square`."
EXERCISE = """
```{prf:proof}
One.
```

```{prf:proof}
Two.
```

```{exercise} Twice
:label: ex-twice
Square $x$ twice.
```

```{solution} ex-twice
:label: sol-twice
:class: dropdown
It is $x^4$; see {eq}`eq-square`.
```
"""


TIMES = "Reading: about 90 minutes without the exercises; running: about 7 seconds."
CLAIM = """
## Misconceptions

### “A claim”

It is said.
"""
VERDICT = "**What holds.** Something with $x$ and {eq}`eq-square`."
REPRODUCED = """
## A paper

| | theirs | ours |
| --- | --- | --- |
| error | 1 | 2 |

| other | table |
| --- | --- |
| no | matter |
"""
INDEX = """# Book

{count}`equations`, {count}`as-printed`, {count}`cells`, {count}`exercises`,
{count}`misconceptions`, {count}`pages`, {count}`tests`, {count}`hours`.

```{toctree}
:numbered:
page
```

```{ledger}
```

```{pages}
```

```{misconceptions}
```

```{reproductions}
```
"""


def notebook(
    formula: str = FORMULA,
    check: str = "eq-square  ✓  4 ≈ 4 (rtol 1e-10)",
    verdict: str = VERDICT,
):
    v4 = nbformat.v4
    pixels = io.BytesIO()
    Image.effect_noise((200, 100), 50).convert("RGB").save(pixels, "PNG")
    picture = {"image/png": base64.b64encode(pixels.getvalue()).decode()}
    figure = {"image": {"alt": "Noise"}, "figure": {"caption": "$x$", "name": "fig-x"}}
    stream = v4.new_output("stream", name="stdout", text=check + "\n")
    return v4.new_notebook(
        metadata={"language_info": {"name": "python"}},
        cells=[
            v4.new_markdown_cell(f"# Title\n\n{TIMES}"),
            v4.new_markdown_cell(formula),
            v4.new_code_cell("verify(...)", execution_count=1, outputs=[stream]),
            v4.new_code_cell(
                "plt.show()",
                execution_count=2,
                metadata={"mystnb": figure},
                outputs=[v4.new_output("display_data", picture)],
            ),
            v4.new_markdown_cell(CLAIM),
            v4.new_code_cell("assert True", execution_count=3),
            v4.new_markdown_cell(verdict),
            v4.new_markdown_cell(REPRODUCED),
            v4.new_markdown_cell(EXERCISE),
        ],
    )


@pytest.fixture
def build(tmp_path, monkeypatch):
    """Build an index with the ledger and one page; return HTML and warnings."""

    def run(page: nbformat.NotebookNode, forms: str = "") -> tuple[Path, str]:
        # the extensions are loaded afresh: the kernel of another test may have them
        for name in ("mathematics", "verified", "details", "figures", "overview"):
            monkeypatch.delitem(sys.modules, name, raising=False)
        (tmp_path / "conf.py").write_text(CONFIGURATION)
        (tmp_path / "index.md").write_text(INDEX)
        nbformat.write(page, tmp_path / "page.ipynb")
        (tmp_path / "tests" / "printed").mkdir(parents=True)
        (tmp_path / "tests" / "printed" / "page.py").write_text(forms)
        (tmp_path / "tests" / "test_page.py").write_text("def test_it(): pass")
        app = SphinxTestApp(srcdir=tmp_path, freshenv=True)
        try:
            app.build()
            return Path(app.outdir), re.sub(
                r"\x1b\[[\d;]*m", "", app.warning.getvalue()
            )
        finally:
            app.cleanup()

    return run


@pytest.mark.filterwarnings("ignore")
class TestPage:
    """One build, looked at from several sides."""

    def test_everything(self, build):
        out, warnings = build(notebook(), 'FORMS = {\n    "eq-square": Form(),\n}\n')
        assert warnings == ""
        page = (out / "page.html").read_text("utf-8")
        ledger = (out / "index.html").read_text("utf-8")

        # mathematics is drawn, with MathML beside it, and numbered
        assert page.count('class="katex"') >= 3
        assert "<math " in page
        assert "katex-error" not in page
        assert re.search(r'class="eqno">\(1\.1\)<', page)

        # the mark leads to the cell that verified
        mark = re.search(
            r'<a class="verified" href="(.*?)" title="(.*?)".*?>(.*?)</a>', page
        )
        assert mark[1] == "#check-eq-square"
        assert "4 ≈ 4 (rtol 1e-10); evaluated as printed, too" in mark[2]
        assert mark[3] == "✓✓"
        assert 'id="check-eq-square"' in page

        # the ledger lists it
        assert "1 equations are verified by a cell; 1 of them also as printed" in ledger
        assert 'href="page.html#equation-eq-square"' in ledger
        assert 'href="page.html#check-eq-square"' in ledger

        # pages about the book are gathered from its pages
        text = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", "", ledger))
        assert "1, 1, 3, 1, 1, 1, 1, 2." in text
        assert "Title 90 min 7 s 1" in text
        assert re.search(
            r'<a [^>]*href="page.html#a-claim">“A claim”</a>'
            r" Something with <span.*?"
            r'href="page.html#equation-eq-square".*?'
            r'<a [^>]*href="page.html#cell-a-claim">Its cell.</a>',
            ledger,
            re.S,
        )
        assert 'id="cell-a-claim"' in page
        assert "Title: A paper theirs ours error 1 2" in text
        assert "matter" not in text

        # solutions open without a script
        assert re.search(r'<details class="[^"]*solution[^"]*" id="sol-twice">', page)
        assert "<summary>" in page
        assert "dropdown" not in page
        ids = re.findall(r' id="([^"]+)"', page)
        assert len(ids) == len(set(ids))

        # figures keep their place, load when near, and are small
        image = re.search(r"<img [^>]*>", page)[0]
        for attribute in 'width="100"', 'height="50"', 'loading="lazy"', 'alt="Noise"':
            assert attribute in image
        (stored,) = (out / "_images").glob("*.png")
        assert Image.open(stored).mode == "P"

    def test_without_a_form_there_is_one_mark(self, build):
        out, _ = build(notebook())
        page = (out / "page.html").read_text("utf-8")
        assert ">✓</a>" in page
        assert "0 of them also as printed" in (out / "index.html").read_text("utf-8")

    def test_wrong_tex_is_named_with_page_cell_and_line(self, build):
        wrong = "One.\n\nTwo $\\frac{1}$.\n\n$$ \\undefined $$ (eq-square)"
        _, warnings = build(notebook(wrong))
        assert "page, cell 2, line 3: " in warnings
        assert (
            "page, cell 2, line 5: Undefined control sequence: \\undefined" in warnings
        )

    def test_an_equation_without_a_check_is_named(self, build):
        _, warnings = build(notebook(check="nothing"))
        assert "equation eq-square is not verified" in warnings

    def test_a_check_of_nothing_is_named(self, build):
        _, warnings = build(notebook(check="eq-square  ✓  1\neq-cube  ✓  1"))
        assert "verified, but no equation: eq-cube" in warnings

    def test_a_claim_without_a_verdict_is_named(self, build):
        _, warnings = build(notebook(verdict="Nothing."))
        assert "a claim without a paragraph **What holds.**" in warnings
