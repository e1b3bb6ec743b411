"""Render the mathematics when the book is built, with KaTeX in an embedded V8.

A formula that KaTeX cannot read is a warning with page, cell and line, and so fails
the build. The page needs no script; MathML stands beside the picture of a formula.
"""

import functools
import json
import re
from html import escape
from pathlib import Path

from docutils import nodes
from py_mini_racer import MiniRacer
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number
from sphinx.writers.html5 import HTML5Translator

KATEX = Path(__file__).parent / "vendor" / "katex"
RENDER = """
const render = (tex, displayMode) => {
  try { return {html: katex.renderToString(tex, {displayMode, strict: "error"})}; }
  catch (error) { return {error: error.rawMessage || error.message}; }
};"""
PUNCTUATION = re.compile(r"[,.;:!?)\]’”]+")
# No valid MathML: an invisible third part of an index; an operator made of letters.
APPLIED = re.compile("<mo>\N{FUNCTION APPLICATION}</mo>(?=</m(?:sub|sup|subsup)>)")
SPELT = re.compile(r"(<mo\b[^>]*>)<mrow>(.*?)</mrow>(?=</mo>)")
TAG = re.compile("<[^>]*>")
HTML, BASE = '<span class="katex-html">', '<span class="base" aria-hidden="true">'
log = logging.getLogger(__name__)


@functools.cache
def engine() -> MiniRacer:
    context = MiniRacer()
    context.eval((KATEX / "katex.min.js").read_text("utf-8") + RENDER)
    return context


@functools.cache
def render(tex: str, display: bool) -> dict[str, str]:
    call = f"JSON.stringify(render({json.dumps(tex)}, {json.dumps(display)}))"
    found = json.loads(engine().eval(call))
    if "html" in found:
        found["html"] = mended(found["html"])
    return found


def mended(formula: str) -> str:
    formula = APPLIED.sub("", formula)
    return SPELT.sub(lambda word: word[1] + TAG.sub("", word[2]), formula)


def html(translator: HTML5Translator, node: nodes.Node, display: bool) -> str:
    result = render(node.astext(), display)
    if "error" in result:
        where = place(translator, node)
        message = f"{where}: {result['error']} in the formula {node.astext()!r}"
        log.warning(message, location=node, type="katex")
        return f"<code>{escape(node.astext())}</code>"
    return result["html"]


def place(translator: HTML5Translator, node: nodes.Node) -> str:
    """Page, cell, line; MyST-NB numbers a notebook's lines cell * 10000 + line + 1."""
    page, line = translator.builder.current_docname, node.line or node.parent.line or 0
    cell, line = divmod(line, 10000)
    return f"{page}, cell {cell}, line {line - 1}" if cell else f"{page}, line {line}"


def keep_punctuation(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Let a formula know the sign behind it: browsers would begin a line with it."""
    for formula in doctree.findall(nodes.math):
        siblings = formula.parent.children
        place = next(i for i, node in enumerate(siblings) if node is formula) + 1
        if place < len(siblings) and isinstance(siblings[place], nodes.Text):
            text = siblings[place]
            if sign := PUNCTUATION.match(text):
                formula["behind"] = sign[0]
                formula.parent[place] = nodes.Text(text[len(sign[0]) :])


def with_sign(formula: str, sign: str) -> str:
    """A formula whose last part keeps a sign on its line; screen readers read it."""
    formula = formula.replace('<span class="katex-html" aria-hidden="true">', HTML)
    before, _, last = formula.rpartition('<span class="base">')
    hidden = before.replace('<span class="base">', BASE) + f'<span class="kept">{BASE}'
    end = "</span></span>"  # of katex-html and katex
    sign = f'<span class="sign">{escape(sign)}</span>'
    return f"{hidden}{last.removesuffix(end)}{sign}</span>{end}"


def inline(translator: HTML5Translator, node: nodes.math) -> None:
    formula = html(translator, node, False)
    if "behind" in node and formula.endswith("</span></span></span>"):
        formula = with_sign(formula, node["behind"])
    long = " long" if formula.count('class="base"') > 3 else ""  # may be broken
    translator.body.append(f'<span class="math{long}">{formula}</span>')
    raise nodes.SkipNode


def block(translator: HTML5Translator, node: nodes.math_block) -> None:
    body = translator.body
    body.append(translator.starttag(node, "div", CLASS="math"))
    body.append(html(translator, node, True))
    if "verified" in node:
        mark = node["verified"]
        body.append(
            f'<a class="verified" href="{escape(mark["uri"])}"'
            f' title="{escape(mark["title"])}"'
            f' aria-label="{escape(mark["title"])}">{mark["sign"]}</a>'
        )
    if node.get("number"):
        body.append(
            f'<span class="eqno">({get_node_equation_number(translator, node)})'
        )
        translator.add_permalink_ref(node, "Link to this equation")
        body.append("</span>")
    body.append("</div>")
    raise nodes.SkipNode


def add_static_files(app: Sphinx, config: Config) -> None:
    # Here and not in _config.yml: Jupyter Book would link every file it finds there.
    config.html_static_path.append(str(KATEX / "static"))


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_html_math_renderer("katex", (inline, None), (block, None))
    app.add_css_file("katex/katex.min.css")
    app.connect("config-inited", add_static_files)
    app.connect("doctree-resolved", keep_punctuation, priority=990)  # after colab
    return {"parallel_read_safe": True, "parallel_write_safe": False}  # V8 and fork
