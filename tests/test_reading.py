"""The extensions for reading: previews, search, folded code, citing, metadata."""

import gc
import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import nbformat
import pytest
import torch
from bs4 import BeautifulSoup, Tag
from PIL import Image
from sphinx.builders.html._assets import _JavaScript
from sphinx.errors import ExtensionError
from sphinx.testing.util import SphinxTestApp

import cover
from tests.extensions import extension

ROOT = Path(__file__).parents[1]
OWN = (
    *("mathematics", "details", "permalinks", "previews", "search", "cite"),
    *("metadata", "collector", "spaces"),
)
CONFIGURATION = f"""
import sys
sys.path.insert(0, {str(ROOT / "_ext")!r})
extensions = ["myst_nb", "sphinx_exercise", "sphinx_proof", *{OWN!r}]
nb_execution_mode = "off"
nb_code_prompt_show = "Code & <more>"
myst_enable_extensions = ["dollarmath"]
html_title = "A Book"
html_baseurl = "https://example.org/shelf/book/"
html_theme = "basic"
html_domain_indices = False
html_math_renderer = "katex"
math_numfig, numfig, numfig_secnum_depth = True, True, 1
ogp_image = "_static/cover.png"
sitemap_url_scheme, sitemap_locales = "{{link}}", [None]
sitemap_excludes = ["404.html", "search.html", "genindex.html"]
"""
INDEX = """# Book

See {eq}`eq-square`, {prf:ref}`thm-square`, {ref}`ex-square` and {term}`square`.

```{glossary}
square
  A number times itself, {eq}`eq-square`.

cube
  Not referred to.
```

```{how-to-cite}
```

```{toctree}
:numbered:
part/page
```
"""
TEXT = """# Page

$$ x^2 = x \\cdot x $$ (eq-square)

$$ x^3 = x^2 \\cdot x $$ (eq-cube)

As {eq}`eq-square`, $a = b$, $c$.

Of 3 × 4 it is $50$ %, in {prf:ref}`thm-square` and `90 %` code.

```{prf:theorem} Squares
:label: thm-square
They are not negative, by {eq}`eq-square`.
```

```{exercise} A square
:label: ex-square
Square it.
```

```{solution} ex-square
Done.
```
"""
CITATION = """
title: A Book
authors: [{name: Ann}, {name: Bob}]
version: 1.2.0
date-released: "2031-02-03"
repository-code: https://example.org/code
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder of a built book of two pages, one of them in a folder."""
    source = tmp_path_factory.mktemp("book")
    v4 = nbformat.v4
    cells = [
        v4.new_markdown_cell(TEXT),
        v4.new_code_cell("shown = 1", execution_count=1),
        v4.new_code_cell(
            "hidden = 1", execution_count=2, metadata={"tags": ["hide-input"]}
        ),
    ]
    (source / "part").mkdir()
    metadata = {"language_info": {"name": "python", "pygments_lexer": "ipython3"}}
    page = v4.new_notebook(cells=cells, metadata=metadata)
    nbformat.write(page, source / "part" / "page.ipynb")
    (source / "conf.py").write_text(CONFIGURATION)
    (source / "index.md").write_text(INDEX)
    (source / "CITATION.cff").write_text(CITATION)
    with pytest.MonkeyPatch.context() as patch:
        for name in OWN:  # loaded afresh: another test may have them
            patch.delitem(sys.modules, name, raising=False)
        app = SphinxTestApp(srcdir=source, freshenv=True)
        try:
            app.build()
            assert app.warning.getvalue() == ""
            yield Path(app.outdir)
        finally:
            app.cleanup()


pytestmark = pytest.mark.filterwarnings("ignore")  # of the packages


def paragraph(built: Path, start: str) -> Tag:
    html = (built / "part" / "page.html").read_text("utf-8")
    page = BeautifulSoup(html, "html.parser")
    (text,) = (p for p in page.select("p") if p.get_text().startswith(start))
    return text


def previews(built: Path, page: str) -> dict[str, str]:
    text = (built / "_previews" / f"{page}.js").read_text("utf-8")
    name, found = re.fullmatch(
        r"previews\.add\((\".*?\"), (.*)\);\n", text, re.S
    ).groups()
    assert json.loads(name) == page
    return json.loads(found)


def test_previews_hold_what_is_referred_to(built):
    found = previews(built, "part/page.html")
    assert found.keys() == {"equation-eq-square", "thm-square", "ex-square"}
    assert "katex" in found["equation-eq-square"]
    assert "(1.1)" in found["equation-eq-square"]
    assert re.search("Theorem 1.*Squares.*not negative", found["thm-square"], re.S)
    assert re.search("Exercise 1.*Square it", found["ex-square"], re.S)
    (term,) = previews(built, "index.html").values()
    assert "A number times itself" in term


def test_links_in_a_preview_are_those_of_its_page(built):
    assert (
        'href="#equation-eq-square"' in previews(built, "part/page.html")["thm-square"]
    )


def test_pages_load_only_the_script(built):
    page = (built / "part" / "page.html").read_text("utf-8")
    assert re.search(r'<script defer="defer" src="\.\./_static/previews\.js', page)
    assert "_previews" not in page
    assert (built / "_static" / "previews.js").stat().st_size < 4000


def test_theorems_and_exercises_have_a_permanent_link(built):
    page = (built / "part" / "page.html").read_text("utf-8")
    for name in "thm-square", "ex-square":
        title = rf'id="{name}".*?<p class="admonition-title">.*?'
        link = rf'<a class="headerlink" href="#{name}"[^>]*>[^<]+</a></p>'
        assert re.search(title + link, page, re.S), name
    assert 'href="#sol' not in page


def test_a_sign_behind_a_formula_stays_with_it_and_in_its_place(built):
    text = paragraph(built, "As")
    for formula in text.select(".katex-mathml, .base"):
        assert formula.find_parent(attrs={"aria-hidden": True}) is None
        formula.replace_with(formula.get_text() if "base" in formula["class"] else "")
    assert text.get_text() == "As (1.1), a=b, c."
    assert [sign.get_text() for sign in text.select(".kept > .sign")] == [",", "."]


def test_a_number_stays_with_its_sign_but_code_is_as_typed(built):
    text = paragraph(built, "Of 3")
    text.select_one(".katex").replace_with("50")
    space = "\N{NO-BREAK SPACE}"
    ties = f"Of 3{space}×{space}4 it is 50{space}%, in Theorem{space}1.1 and 90 % code."
    assert text.get_text() == ties


def test_an_operator_of_letters_is_a_word_and_an_accent_is_not():
    mended = extension("mathematics").mended
    mod = "<mo>{}</mo>".format
    accent = "<mover accent='true'><mrow><mi>A</mi><mi>B</mi></mrow><mo>^</mo></mover>"
    spelt = mod("<mrow><mi>m</mi><mi>od</mi></mrow>")
    assert mended(accent + spelt) == accent + mod("mod")


def test_garbage_is_collected_again_after_a_build(built):
    assert gc.isenabled()


def test_the_theme_must_be_the_one_whose_script_is_known(tmp_path):
    layout = extension("layout")
    app = SimpleNamespace(builder=SimpleNamespace(name="html"), outdir=tmp_path)
    script = tmp_path / layout.SCRIPT
    script.parent.mkdir(parents=True)
    script.write_text(f"a([{layout.AREAS}]);b()")
    layout.ask_later(app, None)
    assert script.read_text() == 'a([":not(*)"]);b()'
    with pytest.raises(ExtensionError, match="must name once what scrolls"):
        layout.ask_later(app, None)


def test_scripts_are_run_when_the_page_is_read():
    theme = extension("theme")
    script = theme.deferred(_JavaScript("doctools.js", priority=7))
    assert (script.attributes, script.priority) == ({"defer": "defer"}, 7)
    for kept in _JavaScript("documentation_options.js"), _JavaScript(None, body="f()"):
        assert theme.deferred(kept) is kept


def test_the_search_knows_equations(built):
    text = (built / "searchindex.js").read_text("utf-8")
    index = json.loads(text.removeprefix("Search.setIndex(").removesuffix(")"))
    (kind,) = (k for k, v in index["objnames"].items() if v[1] == "equation")
    assert index["objnames"][kind][2] == "equation"
    names = {o[4]: (index["docnames"][o[0]], o[3]) for o in index["objects"][""]}
    assert names["eq-cube"] == ("part/page", "-")  # short for equation-eq-cube
    assert "Scorer.score" in (built / "_static" / "language_data.js").read_text("utf-8")


def test_code_is_folded_or_open_as_its_author_wants(built):
    page = (built / "part" / "page.html").read_text("utf-8")
    opening = r"<details class=\"[^\"]*code[^\"]*\"[^>]*>\s*<summary>.*?</summary>"
    shown, hidden = re.findall(opening, page)
    assert shown.startswith('<details class="fold code" open="open">')
    assert "Code &amp; &lt;more&gt;" in shown
    assert " open" not in hidden


def test_the_reference_comes_from_the_citation_file(built):
    page = (built / "index.html").read_text("utf-8")
    text = re.sub("<[^>]*>", "", page)
    assert "Ann and Bob (2031). A Book. Version 1.2.0. https://example.org/" in text
    for line in (
        "@misc{deep-learning-derived,",
        "author = {{Ann and Bob}},",
        "year   = {2031},",
        "url    = {https://example.org/shelf/book/},",
    ):
        assert line in text


def test_cards_icons_and_addresses(built):
    page = (built / "part" / "page.html").read_text("utf-8")
    address = "https://example.org/shelf/book/"
    for tag in (
        f'<meta property="og:url" content="{address}part/page.html" />',
        f'<meta property="og:image" content="{address}_static/cover.png" />',
        '<meta property="og:site_name" content="A Book" />',
        '<link rel="icon" sizes="32x32" href="../_static/favicon.ico"/>',
        f'<link rel="canonical" href="{address}part/page.html" />',
    ):
        assert tag in page


def test_the_sitemap_lists_the_pages(built):
    tree = ElementTree.parse(built / "sitemap.xml")
    address = "https://example.org/shelf/book/"
    assert {e.text for e in tree.iter() if e.tag.endswith("loc")} == {
        f"{address}index.html",
        f"{address}part/page.html",
    }


def test_the_404_page_works_from_every_address(built):
    page = (built / "404.html").read_text("utf-8")
    local = re.findall(r'(?:href|src)="(?!https?:|#)([^"]+)"', page)
    assert local
    assert [uri for uri in local if not uri.startswith("/shelf/book/")] == []


@pytest.mark.parametrize("factor", cover.VARIANCES)
def test_the_cover_shows_what_it_says(factor, monkeypatch):
    """Each layer multiplies the mean square by the factor, in expectation."""
    monkeypatch.setattr(cover, "LAYERS", 2)
    monkeypatch.setattr(cover, "NETWORKS", 100)
    found = cover.signals(factor, torch.Generator().manual_seed(0))
    ratios = found[1:] / found[:-1]
    error = ratios.std(1) / cover.NETWORKS**0.5
    assert ((ratios.mean(1) - factor).abs() < 4 * error).all()


def test_icons_show_the_bell():
    stored = (ROOT / "_static" / "favicon.svg").read_text("utf-8")
    assert stored == cover.svg(cover.bell())
    heights = [y for _, y in cover.bell()]
    assert heights == pytest.approx(heights[::-1])
    assert min(heights) == heights[len(heights) // 2] == pytest.approx(12)
    image = cover.icon(48)
    assert image.getpixel((24, 24)) == (255, 255, 255, 255)
    assert image.getpixel((24, 4))[:3] == (0x00, 0x72, 0xB2)
    assert image.getpixel((0, 0))[3] == 0


def test_the_cover_has_the_size_of_a_card():
    with Image.open(ROOT / "_static" / "cover.png") as image:
        assert image.size == (1200, 630)
        assert image.mode == "P"
