"""What the book was verified on: the pinned versions, and the last runs with others.

tools/versions.py keeps what came of those runs in tools/versions.json.
"""

import json
import re
from pathlib import Path

from docutils import nodes
from links import row, table
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).parents[1]
RECORD = ROOT / "tools" / "versions.json"
WORKFLOW = ROOT / ".github" / "workflows" / "test.yml"
NAMES = {"colab": "as in Colab", "oldest": "oldest", "newest": "newest"}

LIBRARY = "python", "torch", "numpy", "matplotlib", "seaborn", "scikit-learn"


def record() -> dict[str, dict]:
    return json.loads(RECORD.read_text("utf-8")) if RECORD.exists() else {}


def pinned(names: list[str]) -> dict[str, str]:
    files = "requirements.txt", "constraints.txt"
    text = "\n".join((ROOT / file).read_text("utf-8") for file in files)
    found = {n: re.search(rf"^{n}==(\S+)", text, re.M | re.I)[1] for n in names}
    matrix = re.search(r"python: \[(.*)\]", WORKFLOW.read_text("utf-8"))[1]
    return found | {"python": matrix.replace('"', "")}


def outcome(run: dict) -> str:
    return f"{run['failed']} failed" if run["failed"] else f"all {run['passed']} passed"


class Versions(SphinxDirective):
    """``{versions}``: a column for each environment, a row for each package."""

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(str(RECORD))
        runs = {name: found for name, found in record().items() if name in NAMES}
        names = next(iter(runs.values()))["packages"] if runs else LIBRARY
        columns = [pinned([n for n in names if n != "python"])]
        columns += [found["packages"] for found in runs.values()]
        rows = [cells(name, *(c.get(name, "") for c in columns)) for name in names]
        systems = (found["system"] for found in runs.values())
        dates = (found["date"] for found in runs.values())
        if runs:
            rows.append(cells("system", "", *systems))
            rows.append(cells("tests", "", *map(outcome, runs.values())))
            rows.append(cells("last run", "", *dates))
        heads = "", "pinned", *(NAMES[name] for name in runs)
        return [table("versions", heads, [20] * len(heads), rows)]


class Processors(SphinxDirective):
    """``{processors}``: a row for each set of kernels and number of threads."""

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(str(RECORD))
        about = record().get("processors", {"runs": []})
        rows = [
            cells(run["kernels"], run["threads"], outcome(run), about["date"])
            for run in about["runs"]
        ]
        heads = "kernels up to", "threads", "outputs", "last run"
        return [table("processors", heads, [25] * 4, rows)]


def cells(*texts: str) -> nodes.row:
    return row(*map(nodes.Text, texts))


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("versions", Versions)
    app.add_directive("processors", Processors)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
