"""What a page shows besides text and figures: sources, and what explorers share."""

import ast
import base64
import html
import inspect
import json
import textwrap
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from importlib import resources
from typing import Any


class Source:
    """The code of one or more functions, without docstrings, as a cell's output.

    Args:
        *functions: Functions or classes of this library.
    """

    def __init__(self, *functions: Callable) -> None:
        self.code = "\n\n\n".join(_without_docstring(f) for f in functions)

    def _repr_markdown_(self) -> str:
        return f"```python\n{self.code}\n```"

    def __repr__(self) -> str:
        return self.code


def _without_docstring(function: Callable) -> str:
    code = textwrap.dedent(inspect.getsource(function))
    lines = code.splitlines()
    node = ast.parse(code).body[0]
    if ast.get_docstring(node) is not None:
        first = node.body[0]
        del lines[first.lineno - 1 : first.end_lineno]
    return "\n".join(lines)


def fixed(value: float, digits: int) -> str:
    """A number as the scripts' ``text`` writes it.

    Halves are rounded away from zero; the minus sign is a true one, and none stands
    before zero.

    Args:
        value: The number.
        digits: How many digits stand after the point.
    """
    rounded = Decimal(value).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
    return f"{abs(rounded) if rounded == 0 else rounded:f}".replace("-", "−")


class Explorer:
    """A figure with controls that needs neither kernel nor network.

    As a cell's output it is a custom element, followed by the script that brings it to
    life; where scripts are off, the picture inside the element is seen. The same
    arguments give the same bytes, so the stored output can be compared.

    A subclass sets ``element`` and defines ``values``, ``picture`` and ``__repr__``,
    one sentence that says what is seen.
    """

    element: str
    """Name of the custom element; its script is ``explorers/<element>.js``."""

    parts: tuple[str, ...] = ("base", "sliders")
    """The scripts that come before the element's own."""

    def values(self) -> dict[str, Any]:
        """What the script is given: numbers, rounded where they are measurements."""
        raise NotImplementedError

    def picture(self) -> tuple[int, int, str]:
        """Width, height and content of an SVG drawing, from rounded numbers."""
        raise NotImplementedError

    @classmethod
    def script(cls) -> str:
        """The element's script as a page holds it, without comments and indents.

        It is no module: those wait for the whole page, and the text below would jump.
        """
        folder = resources.files("lib") / "explorers"
        names = (*cls.parts, cls.element)
        code = "\n".join((folder / f"{n}.js").read_text("utf-8") for n in names)
        lines = (line.strip() for line in code.splitlines())
        code = "\n".join(x for x in lines if x and not x.startswith("//"))
        return f'(() => {{\n"use strict";\n{code}\n}})();'

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, str]:
        width, height, drawing = self.picture()
        svg = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
            ' font-family="sans-serif" font-size="16">'
            f'<path fill="#fff" d="M0 0H{width}V{height}H0Z"/>{drawing}</svg>'
        )
        image = base64.b64encode(svg.encode()).decode()
        values = html.escape(json.dumps(self.values(), separators=(",", ":")))
        page = (
            f'<{self.element} class="book-explorer" data-values="{values}">'
            f'<img src="data:image/svg+xml;base64,{image}" width="{width}"'
            f' height="{height}" alt="{html.escape(repr(self))}">'
            "<p>Where scripts run, this figure has controls.</p>"
            f"</{self.element}>\n<script>\n{self.script()}\n</script>"
        )
        return {"text/html": page, "text/plain": repr(self)}
