"""Let the search find equations by their names, and put exact names first.

Functions it finds already: they are objects of Sphinx's Python domain.
"""

from collections.abc import Iterator
from pathlib import Path

from docutils.nodes import make_id
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.domains import ObjType
from sphinx.domains.math import MathDomain

SCORER = Path(__file__).parent / "search.js"


class NamedEquations(MathDomain):
    object_types = {"equation": ObjType("equation", "eq")}  # noqa: RUF012 (Sphinx's)

    def get_objects(self) -> Iterator[tuple[str, str, str, str, str, int]]:
        for label, (page, _) in self.equations.items():
            yield label, label, "equation", page, make_id(f"equation-{label}"), 1

    def get_type_name(self, type: ObjType, primary: bool = False) -> str:
        return type.lname


def add_scorer(app: Sphinx, config: Config) -> None:
    config.html_search_scorer = str(SCORER)


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_domain(NamedEquations, override=True)
    app.connect("config-inited", add_scorer)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
