"""The contract of verified equations: what is labelled eq- is checked by a cell."""

import ast
import functools
import importlib.util
import json
import re
from collections import Counter
from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from tests.as_printed import (
    check,
    displays,
    equations,
    lint,
)

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted(
    path for path in ROOT.glob("chapters/**/*.ipynb") if "checkpoints" not in str(path)
)
NOT_PAGES = {"README.md", "CONTRIBUTING.md", "CHANGELOG.md"}
MARKDOWN = [*ROOT.glob("*.md"), *ROOT.glob("chapters/**/*.md")]
MARKDOWN = sorted(path for path in MARKDOWN if path.name not in NOT_PAGES)
PRINTED = sorted(Path(__file__).parent.glob("printed/*.py"))

MAGIC = re.compile(r"^(\s*)(?:[%!]|\w+\s*=\s*[%!]).*$", re.MULTILINE)
LABEL = re.compile(r"(eq|def)(-[a-z0-9]+)+")
HIDDEN = {"remove-output", "remove-cell", "hide-output", "hide-cell", "remove-input"}
UNCHECKED = {"nbval-ignore-output", "nbval-skip", "raises-exception", "skip-execution"}


@functools.cache
def read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


@functools.cache
def printed_in(path: Path) -> list:
    return equations(read(path))


def verifications(source: str) -> list[str | None]:
    """Labels in the calls of verify; None where the label is not written out."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        tree = ast.parse(MAGIC.sub(r"\1pass", source))
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            function = getattr(node.func, "id", getattr(node.func, "attr", None))
            first = node.args[0] if node.args else None
            if function == "verify":
                label = first.value if isinstance(first, ast.Constant) else None
                found.append((node.lineno, node.col_offset, label))
    return [label for *_, label in sorted(found, key=lambda item: item[:2])]


def broken_in_formulas(page: str, formulas: list, kinds: str) -> list[str]:
    """What is wrong with displayed formulas: pairs of label and TeX."""
    found = []
    for label, tex in formulas:
        if label is None:
            found.append(
                f"{page}: the displayed formula {tex[:40]!r} has no label:"
                " write $$ ... $$ (eq-name), or (def-name) where it only names"
            )
            continue
        if not LABEL.fullmatch(label):
            found.append(
                f"{page}: the label {label!r} must be eq-name or def-name, in lower"
                " case, digits and hyphens"
            )
        elif label.split("-")[0] not in kinds:
            found.append(
                f"{page}: {label} stands on a page without cells, where nothing can"
                " verify it: move it into a notebook or make it def-"
            )
        try:
            lint(tex)
        except ValueError as error:
            found.append(f"{page}: {label}: {error}")
    return found


def broken_in_notebook(page: str, notebook: dict) -> list[str]:
    """What breaks the contract in one notebook, a sentence each."""
    formulas = equations(notebook)
    found = broken_in_formulas(page, [(a, b) for a, b, _ in formulas], "eq def")
    where = {label: index for label, _, index in formulas if label}
    verified: dict[str, list[int]] = {}
    for index, cell in enumerate(notebook["cells"]):
        source = "".join(cell["source"])
        if cell["cell_type"] != "code" or source.startswith("%%"):
            continue
        labels = verifications(source)
        tags = {t.replace("_", "-") for t in cell["metadata"].get("tags", [])}
        lines = "".join(
            "".join(output.get("text", [])) for output in cell["outputs"]
        ).splitlines()
        for tag in sorted(tags & (HIDDEN | UNCHECKED)) if labels else []:
            found.append(
                f"{page}: the cell that verifies {labels[0]} has the tag {tag}: remove"
                " the tag, its output must be seen and compared"
            )
        for label in labels:
            if label is None:
                found.append(
                    f"{page}: a call of verify in cell {index} has no label written"
                    ' out: write verify("eq-name", ...)'
                )
            elif label not in where:
                found.append(
                    f"{page}: verify({label!r}) names no equation of this notebook:"
                    " correct the label or label the equation"
                )
            elif not any(line.startswith(f"{label}  ✓") for line in lines):
                found.append(
                    f"{page}: the stored output of the cell that verifies {label} has"
                    f" no line '{label}  ✓': run the notebook and save it"
                )
            verified.setdefault(label, []).append(index)
    for label in where:
        if label.startswith("eq-"):
            cells = verified.get(label, [])
            if not cells:
                found.append(
                    f"{page}: {label} is never verified: call verify({label!r}, ...) in"
                    " a cell below it, or make it def- if it only names something"
                )
            elif max(cells) < where[label]:
                found.append(
                    f"{page}: {label} is verified only above the equation: move the"
                    " verification below it"
                )
    return found


def repeated(labels: dict[str, list[str]]) -> list[str]:
    """Labels, by page, that occur more than once in the book."""
    counts = Counter(label for page in labels.values() for label in page)
    return [
        f"the label {label} is used {count} times, in"
        f" {' and '.join(page for page in labels if label in labels[page])}: labels"
        " must be unique in the book"
        for label, count in counts.items()
        if count > 1
    ]


@functools.cache
def forms(path: Path) -> dict:
    """FORMS of a file in tests/printed."""
    spec = importlib.util.spec_from_file_location(path.stem.replace("-", "_"), path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.FORMS


def cases() -> list:
    found = []
    for path in PRINTED:
        try:
            found += [pytest.param(path, label, id=label) for label in forms(path)]
        except Exception:  # the test shows it
            found.append(pytest.param(path, None, id=path.stem))
    return found


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_equations_of_a_notebook_are_verified(path):
    found = broken_in_notebook(str(path.relative_to(ROOT)), read(path))
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize("path", MARKDOWN, ids=lambda path: path.stem)
def test_markdown_pages_only_define(path):
    formulas = displays(path.read_text(encoding="utf-8"))
    found = broken_in_formulas(str(path.relative_to(ROOT)), formulas, "def")
    assert not found, "\n" + "\n".join(found)


def test_labels_are_unique():
    labels = {
        str(path.relative_to(ROOT)): [f[0] for f in printed_in(path) if f[0]]
        for path in NOTEBOOKS
    }
    for path in MARKDOWN:
        formulas = displays(path.read_text(encoding="utf-8"))
        labels[str(path.relative_to(ROOT))] = [f[0] for f in formulas if f[0]]
    found = repeated(labels)
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize("path", PRINTED, ids=lambda path: path.stem)
def test_forms_belong_to_a_notebook(path):
    pages = [page for page in NOTEBOOKS if page.stem == path.stem]
    assert len(pages) == 1, f"tests/printed/{path.name} has no notebook of its name"
    labels = {label for label, _, _ in printed_in(pages[0])}
    strange = sorted(forms(path).keys() - labels)
    assert not strange, (
        f"tests/printed/{path.name} has forms for {', '.join(strange)}, which"
        f" {pages[0].name} does not have: correct or remove them"
    )


@pytest.mark.parametrize(("path", "label"), cases())
def test_as_printed(path, label):
    form = forms(path)[label]
    (page,) = (page for page in NOTEBOOKS if page.stem == path.stem)
    (tex,) = (tex for name, tex, _ in printed_in(page) if name == label)
    check(label, tex, form)


# -- the tests of the contract --------------------------------------------------------

EQUATION = "$$ a + b = b + a $$ (eq-sum)"
VERIFY = 'verify("eq-sum", measured, predicted)'
SEEN = "eq-sum  ✓  1.000 ≈ 1.000 (rtol 1e-10)\n"


def cell(source, text="", *tags):
    outputs = [new_output("stream", text=text)] if text else []
    return new_code_cell(source, outputs=outputs, metadata={"tags": list(tags)})


def notebook(*cells):
    return new_notebook(
        cells=[new_markdown_cell(c) if isinstance(c, str) else c for c in cells]
    )


@pytest.mark.parametrize(
    "cells",
    [
        [EQUATION, cell(VERIFY, SEEN)],
        [EQUATION, "text", cell(f"%time\nif a:\n  !ls\nb = !ls\n{VERIFY}", SEEN)],
        [EQUATION, cell(f"check.{VERIFY}", SEEN, "hide-input")],
        [EQUATION, cell(VERIFY, SEEN), cell("%%time\n1 +"), "$$ c = 1 $$ (def-c)"],
        [f"```{{prf:theorem}} T\n:label: t\n\n{EQUATION}\n```", cell(VERIFY, SEEN)],
        ["$$ x/n \\to 0, \\quad a = 1/2 $$ (def-x)"],
        [EQUATION, "`$$ a $$` and\n```\n$$ a $$\n```\n$a$", cell(VERIFY, SEEN)],
    ],
)
def test_contract_accepts(cells):
    assert broken_in_notebook("p.ipynb", notebook(*cells)) == []


@pytest.mark.parametrize(
    ("cells", "messages"),
    [
        ([EQUATION], ["eq-sum is never verified: call verify('eq-sum', ...)"]),
        ([EQUATION, cell(f"# {VERIFY}", SEEN)], ["eq-sum is never verified"]),
        ([cell(VERIFY, SEEN)], ["verify('eq-sum') names no equation"]),
        ([cell(VERIFY, SEEN), EQUATION], ["verified only above the equation"]),
        ([EQUATION, cell(VERIFY)], ["no line 'eq-sum  ✓': run the notebook"]),
        ([EQUATION, cell(VERIFY, "eq-summa  ✓ \n")], ["no line 'eq-sum  ✓'"]),
        (
            [EQUATION, cell("verify(label, a, b)", SEEN)],
            ["a call of verify in cell 1 has no label", "eq-sum is never verified"],
        ),
        (
            [EQUATION, cell(VERIFY, SEEN, "remove_output")],
            ["the cell that verifies eq-sum has the tag remove-output"],
        ),
        (
            [EQUATION, cell(VERIFY, SEEN, "hide-cell", "nbval-skip")],
            ["the tag hide-cell", "the tag nbval-skip"],
        ),
        (["$$ a = b $$"], ["the displayed formula 'a = b' has no label"]),
        (["so $$ a = b $$ holds"], ["'a = b' has no label"]),
        (["$$ a = b $$ (def-a) and so on"], ["'a = b' has no label"]),
        (["$$ a = b $$\n(def-a)"], ["'a = b' has no label"]),
        (["\\begin{align} a = b \\end{align}"], ["has no label"]),
        (["```{math}\n:label: def-a\na = b\n```"], ["has no label"]),
        (["````{exercise} E\n```{note}\n$$ a $$\n```\n````"], ["'a' has no label"]),
        (["$$ a $$ (def-A)"], ["the label 'def-A' must be eq-name or def-name"]),
        (["$$ a $$ (a-b)"], ["the label 'a-b' must be"]),
        (["$$ 1e-5 $$ (def-a)"], ["def-a: write numbers out"]),
        (["$$ \\begin{align}a&=b\\end{align} $$ (def-a)"], ["def-a: write aligned"]),
        (["$$ f = a/b c $$ (def-f)"], ["def-f: write \\frac: c follows a quotient"]),
    ],
)
def test_contract_notices(cells, messages):
    found = broken_in_notebook("p.ipynb", notebook(*cells))
    assert len(found) == len(messages), found
    for sentence, message in zip(found, messages, strict=True):
        assert sentence.startswith("p.ipynb: ")
        assert message in sentence


def test_contract_notices_repeated_labels_and_equations_on_markdown_pages():
    assert repeated({"p": ["eq-a", "eq-b"], "q": ["def-a"]}) == []
    (sentence,) = repeated({"p": ["eq-a"], "q": ["eq-b", "eq-a"]})
    assert sentence.startswith("the label eq-a is used 2 times, in p and q")
    assert repeated({"p": ["eq-a", "eq-a"]})
    assert broken_in_formulas("p.md", [("def-a", "a")], "def") == []
    (sentence,) = broken_in_formulas("p.md", [("eq-a", "a")], "def")
    assert "p.md: eq-a stands on a page without cells" in sentence
