"""How to cite the book, ``{how-to-cite}``, from CITATION.cff."""

from pathlib import Path

import yaml
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

FILE = "CITATION.cff"


class HowToCite(SphinxDirective):
    """A reference as a sentence, and as an entry for BibTeX."""

    def run(self) -> list[nodes.Node]:
        path = Path(self.env.srcdir, FILE)
        self.env.note_dependency(str(path))
        book = yaml.safe_load(path.read_text("utf-8"))
        book |= {
            "author": " and ".join(author["name"] for author in book["authors"]),
            "year": book["date-released"][:4],
            "url": self.config.html_baseurl or book["repository-code"],
        }
        entry = BIBTEX.format(**book)
        return [
            sentence(book),
            nodes.literal_block(entry, entry, language="bibtex"),
        ]


BIBTEX = """\
@misc{{deep-learning-derived,
  author = {{{{{author}}}}},
  title  = {{{{{title}}}}},
  year   = {{{year}}},
  note   = {{Version {version}}},
  url    = {{{url}}},
}}"""


def sentence(book: dict) -> nodes.paragraph:
    result = nodes.paragraph("", f"{book['author']} ({book['year']}). ")
    result += nodes.emphasis("", book["title"])
    result += nodes.Text(f". Version {book['version']}. ")
    result += nodes.reference("", book["url"], refuri=book["url"])
    return result


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("how-to-cite", HowToCite)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
