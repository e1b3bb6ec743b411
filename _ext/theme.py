"""What the theme adds and this book does not want: a script for live code that loads
from another host, and a second search box."""

from sphinx.application import Sphinx
from sphinx.config import Config

UNWANTED = "sphinx-thebe.js", "THEBE_JS_URL"


def one_search_box(app: Sphinx, config: Config) -> None:
    # Here and not in _config.yml, where it would replace all the theme's options.
    config.html_theme_options["navbar_persistent"] = []


def trim(app: Sphinx, page: str, template: str, context: dict, doctree: object) -> None:
    def wanted(script: object) -> bool:
        text = f"{script} {getattr(script, 'attributes', {}).get('body', '')}"
        return not any(word in text for word in UNWANTED)

    context["script_files"] = [s for s in context["script_files"] if wanted(s)]


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("config-inited", one_search_box)
    app.connect("html-page-context", trim, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
