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
import torch.nn.functional as F

import lib.normal
from lib.conv import conv2d
from lib.explore import Explorer, Source
from lib.explorers import (
    ConvolutionExplorer,
    DropoutExplorer,
    InitializationExplorer,
    NormalExplorer,
    NormalizationExplorer,
)
from lib.normal import (
    gaussian_kde,
    normal_cdf,
    normal_pdf,
    normal_sample,
    scott_bandwidth,
)
from tests.explorers import compare_texts, functions_of, given, page

ROOT = Path(__file__).parents[1]
FOLDER = Path(lib.__file__).parent / "explorers"
SAMPLE = normal_sample((200,), generator=torch.Generator().manual_seed(0))
IMAGE = torch.tensor(
    [
        [1, 1, 1, 0, 0],
        [0, 1, 1, 1, 0],
        [0, 0, 1, 1, 1],
        [0, 0, 1, 1, 0],
        [0, 1, 1, 0, 0],
    ]
)
KERNEL = torch.tensor([[1, 0, 1], [0, 1, 0], [1, 0, 1]])
EXPLORERS = [
    NormalExplorer(SAMPLE),
    ConvolutionExplorer(IMAGE, KERNEL),
    DropoutExplorer(torch.tensor([0.5, 1.0, 2.0]), torch.tensor([1.0, -0.8, 0.6])),
    InitializationExplorer(),
    NormalizationExplorer(torch.arange(48).remainder(7).view(3, 4, 2, 2)),
]
SIZE = ("width", "height")
LAWS = [(0.0, 1.0), (3.0, 0.3), (-3.0, 0.3), (-1.5, 3.0), (0.1, 0.75)]


@pytest.fixture(scope="module")
def js():
    return functions_of(NormalExplorer)


@pytest.fixture(scope="module")
def conv_js():
    return functions_of(ConvolutionExplorer)


# What is stored in a notebook


def test_every_explorer_is_tested():
    assert {type(e) for e in EXPLORERS} == set(Explorer.__subclasses__())
    elements = {e.element for e in EXPLORERS}
    assert {p.stem for p in FOLDER.glob("*.js")} == elements | {*("base", "sliders")}


@pytest.mark.parametrize("explorer", EXPLORERS, ids=lambda e: e.element)
class TestOutput:
    def test_is_the_same_each_time(self, explorer):
        first = explorer._repr_mimebundle_()
        torch.rand(7)
        assert explorer._repr_mimebundle_() == first

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
        assert f'"{name}"' in explorer.script()
        assert explorer._repr_mimebundle_()["text/plain"] == repr(explorer)

    def test_script_is_small(self, explorer):
        assert len(explorer.script().encode()) < 12_500
        assert len(page(explorer).encode()) < 24_000

    def test_script_is_the_files_less_comments_and_indents(self, explorer):
        code = [
            (FOLDER / f"{n}.js").read_text("utf-8")
            for n in (*explorer.parts, explorer.element)
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


# The convolution explorer

KERNELS = {
    "given": KERNEL,
    "edges": torch.tensor([[-1.0, 0.0, 1.0]] * 3),
    "mean": torch.full((2, 3), 1 / 6, dtype=torch.float64),
    "one": torch.tensor([[-2.5]]),
}


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("padding", [0, 1, 2])
@pytest.mark.parametrize("turned", [False, True])
def test_convolution(conv_js, name, stride, padding, turned):
    image = torch.arange(30, dtype=torch.float64).view(5, 6).remainder(7) - 3
    explorer = ConvolutionExplorer(image, KERNELS[name], stride, padding)
    kernel = explorer.kernel.flip(0, 1) if turned else explorer.kernel
    y = conv2d(image[None], kernel[None, None], stride=stride, padding=padding)[0]
    state = given(explorer) | {"turned": turned}
    theirs = conv_js(
        "((x, k, p, s, t) => convolve(pad(x, p), t ? turn(k) : k, s))",
        *(state[k] for k in ("image", "kernel", "padding", "stride", "turned")),
    )
    theirs = torch.tensor(theirs, dtype=torch.float64)
    torch.testing.assert_close(theirs, y, rtol=1e-12, atol=1e-12)
    if not turned:
        torch.testing.assert_close(explorer.output, y, rtol=0, atol=0)
    x = F.pad(image, [padding] * 4)
    for position in range(y.numel()):
        drawn = conv_js("draw", state | {"position": position}, 680)
        row, column = divmod(position, y.shape[1])
        a, b = row * stride, column * stride
        window = x[a : a + kernel.shape[0], b : b + kernel.shape[1]]
        total = conv_js("short", (window * kernel).sum().item())
        assert re.search(rf"[=≈] {total}, in row {row}, ", drawn["sentence"])
        assert not re.search("NaN|Infinity|undefined|null", drawn["picture"])
        assert drawn["picture"].count("data-at") == y.numel()


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (2, 1), (3, 2)])
def test_static_picture_is_the_first_that_is_drawn(conv_js, name, stride, padding):
    explorer = ConvolutionExplorer(IMAGE, KERNELS[name], stride, padding)
    drawn = conv_js("draw", given(explorer), 680)
    width, height, picture = explorer.picture()
    assert (width, height) == (680, drawn["height"])
    compare_texts(picture, drawn["picture"])
    assert repr(explorer).split("sum to ")[1].split(",")[0] in drawn["sentence"]


def test_height_stays_while_the_reader_chooses(conv_js):
    state = given(EXPLORERS[1])
    for width in (270, 680):
        heights = {
            conv_js("draw", state | {"padding": p, "stride": s}, width)["height"]
            for p in (0, 1, 2)
            for s in (1, 2, 3)
        }
        assert len(heights) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image": IMAGE[0]}, r"image must have a shape between \(1, 1\) and \(8, 8\)"),
        ({"image": IMAGE * 10}, r"image must lie in \[-9, 9\], got"),
        ({"image": IMAGE / 2}, "image must hold integers, got"),
        ({"kernel": torch.ones(4, 3)}, r"kernel must .*\(3, 3\), got \(4, 3\)"),
        ({"kernel": KERNEL / 0}, r"kernel must lie in \[-9, 9\], got"),
        ({"stride": 0}, "stride must be 1, 2 or 3, got 0"),
        ({"padding": 3}, "padding must be 0, 1 or 2, got 3"),
        ({"padding": True}, "padding must be 0, 1 or 2, got True"),
    ],
)
def test_convolution_errors(changes, message):
    with pytest.raises(ValueError, match=message):
        ConvolutionExplorer(**{"image": IMAGE, "kernel": KERNEL} | changes)


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
