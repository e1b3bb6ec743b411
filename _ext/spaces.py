"""A number and its sign, a name and its number stay on one line."""

import re

from docutils import nodes
from sphinx.application import Sphinx

SPACE = "\N{NO-BREAK SPACE}"
NAMES = r"Fig\.|Definition|Exercise|Theorem"
TIED = re.compile(rf"(?:^|\d) (?=[%×])|× (?=\d)|(?:{NAMES}) (?=\d+\.\d)")
AS_TYPED = nodes.literal, nodes.math, nodes.FixedTextElement, nodes.raw


def tie(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    for text in list(doctree.findall(nodes.Text)):
        if isinstance(text.parent, AS_TYPED):
            continue
        if (tied := TIED.sub(lambda m: m[0][:-1] + SPACE, text)) != text:
            text.parent.replace(text, nodes.Text(tied))


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("doctree-resolved", tie, priority=960)  # after colab
    return {"parallel_read_safe": True, "parallel_write_safe": True}
