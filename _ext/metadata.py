"""What other machines read of a page: icons, cards for links, an address for each.

All of it follows from the book's address, ``html_baseurl``.
"""

from urllib.parse import urlsplit

from sphinx.application import Sphinx
from sphinx.config import Config

# Beside the SVG, for browsers and phones that do not take it.
ICONS = {
    "favicon.ico": 'rel="icon" sizes="32x32"',
    "apple-touch-icon.png": 'rel="apple-touch-icon"',
}


def address(app: Sphinx, config: Config) -> None:
    config.ogp_site_url = config.html_baseurl
    config.ogp_site_name = config.html_title
    config.notfound_urls_prefix = urlsplit(config.html_baseurl).path or "/"


def add_icons(
    app: Sphinx, page: str, template: str, context: dict, doctree: object
) -> None:
    tags = context.get("metatags", "")
    for name, attributes in ICONS.items():
        uri = context["pathto"](f"_static/{name}", resource=True)
        tags += f'<link {attributes} href="{uri}"/>\n'
    context["metatags"] = tags


def setup(app: Sphinx) -> dict[str, bool]:
    for extension in "sphinxext.opengraph", "sphinx_sitemap", "notfound.extension":
        app.setup_extension(extension)
    app.connect("config-inited", address, priority=400)
    app.connect("html-page-context", add_icons)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
