"""What the theme adds and this book does not want.

Scripts and style sheets that no page uses, or that load from another host, and a
second search box.
"""

from sphinx.application import Sphinx
from sphinx.config import Config

# live code, buttons that hide admonitions, tabs and cards
UNWANTED = "thebe", "THEBE_JS_URL", "toggle", "design-tabs", "sphinx-design"


def one_search_box(app: Sphinx, config: Config) -> None:
    # Here and not in _config.yml, where it would replace all the theme's options.
    config.html_theme_options["navbar_persistent"] = []


def trim(app: Sphinx, page: str, template: str, context: dict, doctree: object) -> None:
    def wanted(file: object) -> bool:
        text = f"{file} {getattr(file, 'attributes', {}).get('body', '')}"
        return not any(word in text for word in UNWANTED)

    for files in "script_files", "css_files":
        context[files] = [file for file in context[files] if wanted(file)]


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("config-inited", one_search_box)
    app.connect("html-page-context", trim, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
