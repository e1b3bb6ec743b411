"""Fonts with the characters that the pages show, and no others.

The theme ships Font Awesome whole, 275 kB and as many kilobytes of style rules; KaTeX
has twenty fonts. Once all pages are written, the style sheet keeps the rules of the
icons that stand on them, and each font the characters that are used.
"""

import logging
import re
from pathlib import Path

from fontTools import subset
from sphinx.application import Sphinx

STYLES = "styles/pydata-sphinx-theme.css"
NAME = re.compile(r"\bfa-[a-z0-9-]+")
RULE = re.compile(r'((?:\.fa-[a-z0-9-]+:+before,?)+)\{content:"[^"]*"\}')
CODE = re.compile(r"\\([ef][0-9a-f]{3})\b")
TRUETYPE = re.compile(r',url\([^)]*\.ttf\) format\("truetype"\)')


def trim(app: Sphinx, exception: Exception | None) -> None:
    if exception or app.builder.name != "html":
        return
    out, static = Path(app.outdir), Path(app.outdir) / "_static"
    pages = "".join(p.read_text("utf-8") for p in sorted(out.rglob("*.html")))
    scripts = "".join(p.read_text("utf-8") for p in static.glob("scripts/*theme.js"))
    icons = set(NAME.findall(pages + scripts))

    def kept(rule: re.Match) -> str:
        return rule[0] if icons & set(NAME.findall(rule[1])) else ""

    sheet = static / STYLES
    css = TRUETYPE.sub("", RULE.sub(kept, sheet.read_text("utf-8")))
    sheet.write_text(css, "utf-8")
    sheets = "".join(p.read_text("utf-8") for p in sorted(static.rglob("*.css")))
    codes = {int(code, 16) for code in CODE.findall(sheets)}
    used = codes | set(map(ord, pages + sheets))
    logging.getLogger("fontTools").setLevel(logging.WARNING)
    for font in sorted(static.rglob("*.woff2")):
        shrink(font, used)
    for unused in [
        *static.rglob("*.ttf"),
        *static.rglob("*.map"),
        static / "scripts/fontawesome.js",
    ]:
        unused.unlink(missing_ok=True)


def shrink(font: Path, codes: set[int]) -> None:
    options = subset.Options(flavor="woff2", name_IDs=[])  # the names are reserved
    loaded = subset.load_font(str(font), options)
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=codes)
    subsetter.subset(loaded)
    subset.save_font(loaded, str(font), options)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("build-finished", trim, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
