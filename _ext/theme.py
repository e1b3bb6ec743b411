"""What the theme does otherwise than this book wants.

It adds scripts and style sheets that no page uses or that load from another host, a
second search box, and buttons without a name.
"""

from collections.abc import Callable

from bs4 import BeautifulSoup
from sphinx.application import Sphinx
from sphinx.config import Config

# live code, buttons that hide admonitions, tabs and cards
UNWANTED = "thebe", "THEBE_JS_URL", "toggle", "design-tabs", "sphinx-design"
DEFERRED = (
    *("doctools.js", "sphinx_highlight.js", "clipboard.min.js", "copybutton.js"),
    "sphinx-book-theme.js",
)


def one_search_box(app: Sphinx, config: Config) -> None:
    # Here and not in _config.yml, where it would replace all the theme's options.
    config.html_theme_options["navbar_persistent"] = []


def trim(app: Sphinx, page: str, template: str, context: dict, doctree: object) -> None:
    def wanted(file: object) -> bool:
        text = f"{file} {getattr(file, 'attributes', {}).get('body', '')}"
        return not any(word in text for word in UNWANTED)

    for files in "script_files", "css_files":
        context[files] = [file for file in context[files] if wanted(file)]
    if page != "search":  # its own scripts run at once and need these
        context["script_files"] = [deferred(f) for f in context["script_files"]]


def deferred(file: object) -> object:
    """The same script, run when the page is read: nothing has to wait for it."""
    path = str(getattr(file, "filename", None) or "")
    if not path.endswith(DEFERRED) or "defer" in file.attributes:
        return file
    attributes = file.attributes | {"defer": "defer"}
    return type(file)(path, priority=file.priority, **attributes)


def name_toggles(
    app: Sphinx, page: str, template: str, context: dict, doctree: object
) -> None:
    """Say of each button in the contents which pages it shows."""
    contents: Callable[..., BeautifulSoup] = context["generate_toctree_html"]

    def named(*args: object, **options: object) -> BeautifulSoup:
        soup = contents(*args, **options)
        for summary in soup.select("summary"):
            chapter = summary.find_parent("li").a.get_text()
            summary["aria-label"] = f"Pages of {chapter}"
        return soup

    context["generate_toctree_html"] = named


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("config-inited", one_search_box)
    app.connect("html-page-context", trim, priority=900)
    app.connect("html-page-context", name_toggles, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
