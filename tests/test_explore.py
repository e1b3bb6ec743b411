"""Explorers: stored output, scripts against the library; sources as they are shown."""

import ast
import base64
import html
import inspect
import json
import math
import re
from pathlib import Path

import nbformat
import pytest
import torch
from py_mini_racer import MiniRacer

import lib.normal
from lib.explore import Explorer, NormalExplorer, Source
from lib.normal import (
    gaussian_kde,
    normal_cdf,
    normal_pdf,
    normal_sample,
    scott_bandwidth,
)

ROOT = Path(__file__).parents[1]
FOLDER = Path(lib.__file__).parent / "explorers"
SAMPLE = normal_sample((200,), generator=torch.Generator().manual_seed(0))
EXPLORERS = [NormalExplorer(SAMPLE)]
SIZE = ("width", "height")
LAWS = [(0.0, 1.0), (3.0, 0.3), (-3.0, 0.3), (-1.5, 3.0), (0.1, 0.75)]


def page(explorer):
    return explorer._repr_mimebundle_()["text/html"]


def given(explorer):
    return json.loads(
        html.unescape(re.search(r'data-values="(.*?)"', page(explorer))[1])
    )


@pytest.fixture(scope="module")
def js():
    """Call a function of the stored script: js("pdf", 0, 0, 1)."""
    context = MiniRacer()
    context.eval("var customElements = { get: () => true }, HTMLElement = class {}")
    script = NormalExplorer.script().removeprefix("(() => {").removesuffix("})();")
    context.eval(script)

    def call(function, *arguments):
        values = ",".join(json.dumps(a) for a in arguments)
        return json.loads(context.eval(f"JSON.stringify({function}({values}))"))

    return call


# What is stored in a notebook


def test_every_explorer_is_tested():
    assert {type(e) for e in EXPLORERS} == set(Explorer.__subclasses__())
    elements = {e.element for e in EXPLORERS}
    assert {p.stem for p in FOLDER.glob("*.js")} == elements | {"base"}


@pytest.mark.parametrize("explorer", EXPLORERS, ids=lambda e: e.element)
class TestOutput:
    def test_is_the_same_each_time(self, explorer):
        first = explorer._repr_mimebundle_()
        torch.rand(7)
        assert explorer._repr_mimebundle_() == first
        assert NormalExplorer(SAMPLE.clone())._repr_mimebundle_() == first

    def test_asks_nothing_of_another_host(self, explorer):
        picture = re.search(r"base64,([\w+/=]+)", page(explorer))[1]
        text = page(explorer) + base64.b64decode(picture).decode()
        assert re.findall(r"https?://[^\s\"')]+", text) == [
            "http://www.w3.org/2000/svg"
        ]
        assert not re.search(r"\b(import|fetch|XMLHttpRequest|src=\"(?!data:))", text)

    def test_has_a_picture_for_when_scripts_are_off(self, explorer):
        image = re.search(r"<img [^>]*>", page(explorer))[0]
        width, height = (int(re.search(rf'{k}="(\d+)"', image)[1]) for k in SIZE)
        assert html.unescape(re.search(r'alt="([^"]+)"', image)[1]) == repr(explorer)
        svg = base64.b64decode(re.search(r"base64,([\w+/=]+)", image)[1]).decode()
        assert f'viewBox="0 0 {width} {height}"' in svg
        assert "nan" not in svg
        assert re.search(r"<p>[^<]+</p>", page(explorer))

    def test_element_script_and_text(self, explorer):
        name = explorer.element
        assert page(explorer).startswith(f'<{name} class="book-explorer" data-values="')
        assert (
            page(explorer).count("</script>") == page(explorer).count("<script>") == 1
        )
        assert "<!--" not in page(explorer)
        assert f'explorer("{name}"' in explorer.script()
        assert explorer._repr_mimebundle_()["text/plain"] == repr(explorer)

    def test_script_is_small(self, explorer):
        assert len(explorer.script().encode()) < 10_500
        assert len(page(explorer).encode()) < 18_000

    def test_script_is_the_files_less_comments_and_indents(self, explorer):
        code = [
            (FOLDER / f"{n}.js").read_text("utf-8") for n in ("base", explorer.element)
        ]
        lines = [x.strip() for x in "\n".join(code).splitlines()]
        kept = [x for x in lines if x and not x.startswith("//")]
        assert explorer.script().splitlines()[2:-1] == kept


def stale(notebook):
    """Elements whose script in a stored output is not that of the file."""
    scripts = {e.element: e.script() for e in EXPLORERS}
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            stored = output.get("data", {}).get("text/html", "")
            if found := re.match(r'<([a-z-]+) class="book-explorer"', stored):
                script = re.search(r"<script[^>]*>\n(.*)\n</script>", stored, re.DOTALL)
                if script is None or script[1] != scripts.get(found[1]):
                    yield found[1]


def test_stored_scripts_are_those_of_the_files():
    for path in sorted(ROOT.glob("chapters/**/*.ipynb")):
        if ".ipynb_checkpoints" not in path.parts:
            old = list(stale(nbformat.read(path, as_version=4)))
            assert not old, (
                f"{path.relative_to(ROOT)} holds an older script of {', '.join(old)}"
                " than lib/explorers: run `make run` to store the new one"
            )


def test_an_older_stored_script_is_noticed():
    def notebook(text):
        output = nbformat.v4.new_output("display_data", {"text/html": text})
        return nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell("", outputs=[output])]
        )

    current = page(EXPLORERS[0])
    assert list(stale(notebook(current))) == []
    assert list(stale(notebook(current.replace("1.4", "1.5")))) == ["normal-explorer"]
    assert list(stale(notebook("<p>Something else</p>"))) == []


# The script's numbers are the library's


@pytest.mark.parametrize(("mean", "std"), LAWS)
def test_pdf_and_cdf(js, mean, std):
    x = torch.cat(
        [
            torch.linspace(-8, 8, 161, dtype=torch.float64),
            mean + std * torch.linspace(-36, 36, 145, dtype=torch.float64),
        ]
    )
    for name, ours in (("pdf", normal_pdf), ("cdf", normal_cdf)):
        theirs = js(f"(xs => xs.map(x => {name}(x, {mean}, {std})))", x.tolist())
        theirs = torch.tensor(theirs, dtype=torch.float64)
        torch.testing.assert_close(theirs, ours(x, mean, std), rtol=1e-12, atol=1e-300)


def test_erfc(js):
    x = [i / 100 for i in range(-600, 2601)] + [2 - 1e-15, 2 + 1e-15, 1e-300, -1e-9]
    for value, there in zip(x, js("(xs => xs.map(erfc))", x), strict=True):
        assert there == pytest.approx(math.erfc(value), rel=1e-12, abs=1e-300)


@pytest.mark.parametrize(("mean", "std"), LAWS)
@pytest.mark.parametrize("n", [2, 10, 57, 200])
def test_share_bandwidth_and_estimate(js, mean, std, n):
    x = mean + std * SAMPLE[:n]
    lower, upper = mean - std, mean + 0.5 * std
    count = ((x >= lower) & (x <= upper)).sum().item()
    assert js("inside", x.tolist(), lower, upper) == count
    h = scott_bandwidth(x).item()
    assert js("scott", x.tolist()) == pytest.approx(h, rel=1e-12)
    at = torch.linspace(-7, 7, 29, dtype=torch.float64)
    theirs = [js("kde", a, x.tolist(), h) for a in at.tolist()]
    theirs = torch.tensor(theirs, dtype=torch.float64)
    torch.testing.assert_close(theirs, gaussian_kde(at, x), rtol=1e-12, atol=1e-300)


def test_share_counts_the_bounds(js):
    assert js("inside", [-1.0, 0.0, 1.0, 1.001], -1, 1) == 3


def test_estimate_of_standard_sample_moves_and_stretches(js):
    # What is drawn: the estimate of z at t, as that of μ + σ z at μ + σ t, times σ.
    x, kept = 1.5 + 0.3 * SAMPLE, js("estimate", SAMPLE.tolist(), len(SAMPLE))
    assert 0.3 * kept["h"] == pytest.approx(scott_bandwidth(x).item(), rel=1e-12)
    t, density = torch.tensor(kept["points"], dtype=torch.float64).T
    torch.testing.assert_close(
        density / 0.3, gaussian_kde(1.5 + 0.3 * t, x), rtol=1e-11, atol=1e-300
    )


@pytest.mark.parametrize("width", [0.1, 0.35, 2.0])
def test_histogram(js, width):
    z = SAMPLE
    bars = js("histogram", z.tolist(), 0.0, width)
    assert sum(height * width for _, height in bars) == pytest.approx(1, rel=1e-12)
    for left, height in bars:
        count = ((z >= left) & (z < left + width)).sum().item()
        assert height == pytest.approx(count / len(z) / width, rel=1e-12)


@pytest.mark.parametrize(("mean", "std"), LAWS)
@pytest.mark.parametrize(("lower", "upper"), [(-1, 1), (-7, 7), (7, 7), (0.5, 1.96)])
def test_what_is_shown(js, mean, std, lower, upper):
    values = given(EXPLORERS[0])
    state = {"mean": mean, "std": std, "lower": lower, "upper": upper, "smooth": True}
    z = torch.tensor(values["sample"], dtype=torch.float64)
    for width in (270, 680):
        for n in (10, 200):
            drawn = js("draw", values | state | {"n": n}, width)
            assert not re.search("NaN|Infinity|undefined|null", drawn["picture"])
            ends = torch.tensor([lower, upper], dtype=torch.float64)
            low, high = normal_cdf(ends, mean, std).tolist()
            x = mean + std * z[:n]
            share = ((x >= lower) & (x <= upper)).double().mean()
            shown = [high - low, share, 1 / (std * math.sqrt(2 * math.pi))]
            shown += [scott_bandwidth(x)]
            assert [fact for _, fact in drawn["facts"]] == [f"{v:.4f}" for v in shown]
            assert f"probability {high - low:.4f} " in drawn["sentence"]


def test_highest_peak_fits_the_picture(js):
    drawn = js("draw", given(EXPLORERS[0]) | {"std": 0.3}, 680)
    curve = re.search(
        r'd="M([^"]*)" stroke="var\(--blue\)" stroke-width', drawn["picture"]
    )
    heights = [float(point.split()[1]) for point in curve[1].split("L")]
    assert 18 < min(heights) < 40
    assert max(heights) == drawn["height"] - 44


def test_numbers_have_a_true_minus_sign(js):
    assert [js("text", v, 2) for v in (-1.5, -0.001, 0, 2)] == [
        "−1.50", "0.00", "0.00", "2.00",
    ]  # fmt: skip


def test_two_samples_on_one_page_do_not_mix(js):
    a, b = SAMPLE.tolist(), (2 * SAMPLE).tolist()
    both = js("((a, b) => [estimate(a, 50).h, estimate(b, 50).h])", a, b)
    assert both[1] == pytest.approx(2 * both[0], rel=1e-12)


# Arguments


def test_sample_is_rounded_to_three_decimals():
    z = torch.tensor([-0.0001, 1.23456, -2.0], dtype=torch.float64)
    assert json.dumps(given(NormalExplorer(z))["sample"]) == "[0.0, 1.235, -2.0]"


def test_arguments_reach_the_script():
    values = given(NormalExplorer(SAMPLE[:20], mean=1.5, std=0.5, lower=0, upper=1.96))
    assert {k: values[k] for k in ("mean", "std", "lower", "upper", "n")} == {
        "mean": 1.5, "std": 0.5, "lower": 0.0, "upper": 1.96, "n": 20,
    }  # fmt: skip


def test_text_says_what_is_seen():
    assert repr(NormalExplorer(SAMPLE)) == (
        "Normal density with mean 0 and standard deviation 1;"
        " between -1 and 1 lies probability 0.6827."
    )


@pytest.mark.parametrize(
    ("sample", "options", "message"),
    [
        (SAMPLE[:1], {}, r"sample must have shape \(n,\) with n > 1, got \(1,\)"),
        (SAMPLE[None], {}, r"sample must have shape .*, got \(1, 200\)"),
        (SAMPLE / 0, {}, "sample must be finite, got"),
        (SAMPLE, {"std": 0}, "std must be positive, got 0"),
        (SAMPLE, {"std": math.nan}, "std must be positive, got nan"),
        (SAMPLE, {"std": 3.5}, r"std must lie in \[0.3, 3\], got 3.5"),
        (SAMPLE, {"mean": -4}, r"mean must lie in \[-3, 3\], got -4"),
        (SAMPLE, {"lower": -8}, r"lower must lie in \[-7, 7\], got -8"),
        (SAMPLE, {"upper": 8}, r"upper must lie in \[-7, 7\], got 8"),
        (SAMPLE, {"lower": 1}, "lower must be less than upper, got 1 and 1.0"),
    ],
)
def test_errors(sample, options, message):
    with pytest.raises(ValueError, match=message):
        NormalExplorer(sample, **options)


# Sources


FUNCTIONS = [
    f
    for f in vars(lib.normal).values()
    if inspect.isfunction(f) and f.__module__ == "lib.normal" and f.__name__[0] != "_"
]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_source_is_the_file_less_the_docstring(function):
    code = Source(function).code
    definition = ast.parse(code).body[0]
    assert definition.name == function.__name__
    assert ast.get_docstring(definition) is None
    # The lines before and after the docstring stand in the file as they are.
    text = Path(inspect.getsourcefile(function)).read_text("utf-8")
    body = code.splitlines()
    cut = definition.body[0].lineno - 1
    assert "\n".join(body[:cut]) + "\n" in text
    assert "\n".join(body[cut:]) + "\n" in text
    assert len(body) < len(inspect.getsource(function).splitlines())


def test_source_of_several_functions():
    both = Source(normal_pdf, scott_bandwidth)
    assert both.code == f"{Source(normal_pdf)!r}\n\n\n{Source(scott_bandwidth)!r}"
    assert both._repr_markdown_() == f"```python\n{both!r}\n```"


def test_source_without_docstring():
    def bare(x):
        return x

    assert repr(Source(bare)) == "def bare(x):\n    return x"
