"""The first screen is laid out first, with static/layout.js and book.css.

On load the theme asks of all code on the page whether it scrolls, and so has the
browser lay out the whole page at once. The script asks when a piece of code is shown.
"""

from pathlib import Path

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

SCRIPT = "_static/scripts/pydata-sphinx-theme.js"
AREAS = (
    '"pre",".nboutput > .output_area",".cell_output > .output",'
    '".jp-RenderedHTMLCommon",".pst-scrollable-table-container"'
)


def ask_later(app: Sphinx, exception: Exception | None) -> None:
    """Leave the theme's script nothing to measure; it has no option for that."""
    if exception is None and app.builder.name == "html":
        path = Path(app.outdir, SCRIPT)
        text = path.read_text("utf-8")
        if text.count(AREAS) != 1:
            raise ExtensionError(f"{SCRIPT} must name once what scrolls: {AREAS}")
        path.write_text(text.replace(AREAS, '":not(*)"'), "utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_js_file("layout.js", loading_method="defer")
    app.connect("build-finished", ask_later)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
