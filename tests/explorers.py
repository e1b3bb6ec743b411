"""What the tests of the explorers share: output, script, words of a drawing."""

import html
import json
import re

import pytest
from py_mini_racer import MiniRacer


def page(explorer):
    return explorer._repr_mimebundle_()["text/html"]


def given(explorer):
    return json.loads(
        html.unescape(re.search(r'data-values="(.*?)"', page(explorer))[1])
    )


def functions_of(explorer):
    """Call a function of the stored script: js("pdf", 0, 0, 1)."""
    context = MiniRacer()
    context.eval("var customElements = { get: () => true }, HTMLElement = class {}")
    script = explorer.script().removeprefix("(() => {").removesuffix("})();")
    context.eval(script)

    def call(function, *arguments):
        values = ",".join(json.dumps(a) for a in arguments)
        return json.loads(context.eval(f"JSON.stringify({function}({values}))"))

    return call


def compare_texts(ours, theirs):
    """The same words at the same places, to a tenth of a pixel, in two drawings."""
    find = r'<text x="([^"]*)" y="([^"]*)"[^>]*>([^<]*)<'
    ours, theirs = (
        sorted(re.findall(find, p), key=lambda t: (t[2], t)) for p in (ours, theirs)
    )
    assert [t for *_, t in ours] == [t for *_, t in theirs]
    for a, b in zip(ours, theirs, strict=True):
        assert [float(v) for v in a[:2]] == pytest.approx(
            [float(v) for v in b[:2]], abs=0.11
        )
