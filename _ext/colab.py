"""The Colab edition: each notebook with its Markdown cells in plain Markdown.

Colab, GitHub and VS Code do not read MyST. Code cells, their outputs, tags and ids are
those of the source. A link to another page leads to the HTML book: that works wherever
a notebook is opened or copied to, and down to the equation. The buttons of a page offer
this edition: "download" gives the file, "Colab" opens it from the branch ``colab``,
where a workflow publishes it.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

import nbformat
from docutils import nodes
from plain import Writer, cell_of, paragraphs
from sphinx.application import Sphinx
from sphinx.errors import ConfigError
from sphinx_exercise.nodes import solution_node
from verified import CHECK, has_type

BRANCH = "colab"
FOLDER = "colab"


def blocks(writer: Writer, content: Iterable[nodes.Node]) -> Iterator[tuple[int, str]]:
    """Each block with the number of its cell."""
    for node in content:
        if has_type(node, "cell_code"):
            for figure in node.findall(nodes.figure):
                yield cell_of(node), writer.caption(figure)
            names = [name for name, _ in CHECK.findall(node.astext())]
            yield cell_of(node), writer.checked(dict.fromkeys(names))
        elif isinstance(node, nodes.section):
            yield from blocks(writer, node.children)
        elif isinstance(node, solution_node):
            yield from folded(writer, node)
        else:
            yield cell_of(node), writer.write(node)


def folded(writer: Writer, solution: solution_node) -> Iterator[tuple[int, str]]:
    """A solution, folded cell by cell, with its code cells between the folds."""
    content = solution.children[-1]  # after the title
    for index, (cell, part) in enumerate(groupby(content, key=cell_of)):
        part = list(part)
        if not has_type(part[0], "cell_code"):
            text = paragraphs(map(writer.write, part))
            yield cell, writer.solution(solution, text, more=index > 0)
            continue
        if index == 0:
            yield cell - 1, writer.solution(solution, "See the next cell.", more=False)
        yield from blocks(writer, part)


def edition(
    app: Sphinx, docname: str, doctree: nodes.document
) -> nbformat.NotebookNode:
    notebook = nbformat.read(app.env.doc2path(docname), as_version=4)
    writer, texts = Writer(app.builder, docname, doctree), defaultdict(list)
    last = 1
    for cell, text in blocks(writer, doctree.children):
        last = cell or last  # what an extension inserts has no line
        texts[last].append(text)
    cells, note = [], nbformat.v4.new_markdown_cell
    for number, cell in enumerate(notebook.cells, 1):
        text = paragraphs(texts[number])
        if cell.cell_type != "markdown":
            cells.append(cell)
            cells += [note(text, id=f"{cell.id}-note")] if text else []
        elif text:  # else it only ended a solution
            cell.source = text
            cells.append(cell)
    cells[0].source = paragraphs([head(app, writer), cells[0].source])
    if writer.cited:
        cells.append(note(writer.references(), id="references"))
    notebook.cells = cells
    return notebook


def head(app: Sphinx, writer: Writer) -> str:
    number = app.env.toc_secnumbers.get(writer.docname, {}).get("", ())
    page = " ".join(["Page", ".".join(map(str, number))]).rstrip()
    return (
        f"*{page} of [{app.config.html_title}]({writer.address})."
        " Links to other pages lead there, too.*"
    )


def write(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    source = app.env.doc2path(docname)
    if app.builder.name != "html" or not source.endswith(".ipynb"):
        return
    if doctree.get("source") != source:  # a fragment that another page shows
        return
    path = Path(app.outdir) / FOLDER / f"{docname}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(edition(app, docname, doctree), path)


def offer(
    app: Sphinx, page: str, template: str, context: dict, doctree: object
) -> None:
    """Let the page's buttons lead to its edition."""
    if context.get("page_source_suffix") != ".ipynb":
        return
    repository = f"/blob/{app.config.html_theme_options.get('repository_branch')}/"
    for group in context.get("header_buttons", []):
        for button in group.get("buttons", []):
            if button.get("label") == "download-source-button":
                button["url"] = context["pathto"](f"{FOLDER}/{page}.ipynb", 1)
                button["tooltip"] = "Download this page as a notebook"
            elif button.get("text") == "Colab":
                button["url"] = button["url"].replace(repository, f"/blob/{BRANCH}/")
                button["icon"] = "fa-solid fa-rocket"  # the logo weighs 8 kB


def check(app: Sphinx) -> None:
    if not app.config.html_baseurl:
        raise ConfigError("html_baseurl must be the address of the book, got ''")


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("builder-inited", check)
    app.connect("doctree-resolved", write, priority=950)  # after all that resolves
    app.connect("html-page-context", offer, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
