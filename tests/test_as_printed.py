"""The reader of printed formulas: typical ones agree, and misprints are noticed."""

import math
import re
from collections import Counter

import pytest
import torch
from torch.distributions import Binomial, HalfNormal, Normal, kl_divergence
from torch.nn import functional as F
from torch.nn.init import calculate_gain, xavier_uniform_

from tests.as_printed import (
    Form,
    check,
    data,
    integer,
    positive,
    real,
    unit,
)

DENSITY = {"x": real, r"\mu": real, r"\sigma": positive}
SAMPLE = {"n": integer(2, 6), "x_i": data("n")}
DL_DY = r"\frac{\partial L}{\partial y_i}"
DL_DZ = r"\frac{\partial L}{\partial z_i^{(l)}}"
LAYER = {"n": integer(2, 5), "w_{i,j}": data("n", 3), DL_DZ: data("n")}
LAYER |= {"j": integer(1, 3), "l": integer(2, 4)}
BATCH = {
    r"\mu_{\mathcal{B}}": lambda v: v["x_i"].mean(),
    r"\sigma^2_{\mathcal{B}}": lambda v: v["x_i"].var(correction=0),
}
WINDOW = {"n": integer(9, 15), "p": integer(0, 3), "k": integer(1, 4)}
WINDOW |= {"s": integer(1, 4), "d": integer(1, 3)}
FANS = {r"n_{\mathrm{in}}": integer(1, 9), r"n_{\mathrm{out}}": integer(1, 9)}
MOMENTS = {rf"\operatorname{{{f}}}[{x}]": positive for f in ("E", "Var") for x in "wx"}
STANDARD = Normal(torch.zeros((), dtype=torch.float64), 1.0)
GAUSS = {r"\Phi": torch.special.ndtr, r"\varphi": lambda z: STANDARD.log_prob(z).exp()}


def normal(v):
    return Normal(v[r"\mu"], v[r"\sigma"])


def slope(f):
    def derivative(z):
        z = z.detach().requires_grad_()
        return torch.autograd.grad(f(z), z)[0]

    return derivative


def two_points(mean, variance):
    """Two equally likely values with these moments."""
    return mean + variance.sqrt() * torch.tensor([-1.0, 1.0], dtype=torch.float64)


def polar(v):
    return torch.polar((-2 * v["u_1"].log()).sqrt(), 2 * math.pi * v["u_2"])


def product_variance(v):
    w, x = (
        two_points(*(v[rf"\operatorname{{{f}}}[{x}]"] for f in ("E", "Var")))
        for x in "wx"
    )
    return torch.outer(w, x).var(correction=0)


def normalised(v, gamma, beta):
    x = v["x_i"][:, None]
    eps = float(v[r"\epsilon"])
    return F.batch_norm(x, None, None, gamma[None], beta[None], True, eps=eps)[:, 0]


def batch_norm_gradient(v):
    x = v["x_i"].detach().requires_grad_()
    y = normalised(v | {"x_i": x}, v[r"\gamma"], torch.zeros_like(v[r"\gamma"]))
    return torch.autograd.grad(y, x, v[DL_DY])[0][v["i"] - 1]


def cross_entropy_gradient(v):
    z = v["z_k"].detach().requires_grad_()
    target = torch.tensor(v["c"] - 1)
    return torch.autograd.grad(F.cross_entropy(z, target), z)[0][v["i"] - 1]


W = torch.tensor([0.7, -1.1, 0.4], dtype=torch.float64)


def gradient(w):
    """Of the sum of the squares."""
    w = w.clone().requires_grad_()
    return torch.autograd.grad((w**2).sum(), w)[0]


def length(w):
    return w.norm()


def layer_gradient(v):
    x = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    return torch.autograd.grad(v["w_{i,j}"] @ x, x, v[DL_DZ])[0][v["j"] - 1]


def window(v):
    """Length of what a convolution gives."""
    x, w = torch.zeros(1, 1, v["n"]), torch.zeros(1, 1, v["k"])
    options = {"stride": v["s"], "padding": v["p"], "dilation": v.get("d", 1)}
    return F.conv1d(x, w, **options).shape[-1]


def moving(v):
    mean = v[r"\mu_0"]
    for x in v["x_k"]:
        mean = torch.lerp(mean, x, v[r"\alpha"])
    return mean


def dropped(v):
    """Variance of x with probability 1 - p, divided by it, and of 0 otherwise."""
    x = two_points(v[r"\mu"], v[r"\sigma"] ** 2) / (1 - v["p"])
    return (1 - v["p"]) * (x**2).mean() - ((1 - v["p"]) * x.mean()) ** 2


def xavier(v):
    """The end of the interval that torch draws from."""
    w = torch.empty(*(v[key] for key in FANS), dtype=torch.float64)
    drawn = [xavier_uniform_(w, generator=torch.Generator().manual_seed(0)).clone()]
    drawn.append(w.uniform_(-1, 1, generator=torch.Generator().manual_seed(0)))
    return (drawn[0] / drawn[1])[0, 0]


FORMULAS = {
    "normal-density": (
        r"f(x) = \frac{1}{\sigma\sqrt{2\pi}} \, e^{-\frac{(x - \mu)^2}{2\sigma^2}}",
        Form(DENSITY, {"f(x)": lambda v: normal(v).log_prob(v["x"]).exp()}),
    ),
    "log-density": (
        r"\ln f(x) = -\frac{(x-\mu)^2}{2\sigma^2} - \ln\sigma - \frac12\ln(2\pi)",
        Form(DENSITY, {r"\ln f(x)": lambda v: normal(v).log_prob(v["x"])}),
    ),
    "log-of-a-function": (
        r"\ln\varphi(z) = -\frac{z^2}{2} - \ln\sqrt{2\pi}",
        Form({"z": real}, functions={r"\varphi": GAUSS[r"\varphi"]}),
    ),
    "distribution-function": (
        r"F(x) = \Phi\left(\frac{x - \mu}{\sigma}\right) = \frac12 \left(1 +"
        r" \operatorname{erf}\left(\frac{x - \mu}{\sigma\sqrt2}\right)\right)",
        Form(
            DENSITY,
            {"F(x)": lambda v: normal(v).cdf(v["x"])},
            {r"\Phi": torch.special.ndtr},
        ),
    ),
    "symmetry": (
        r"\Phi(-z) = 1 - \Phi(z) = \frac12 \operatorname{erfc}(z / \sqrt{2})",
        Form({"z": real}, functions={r"\Phi": torch.special.ndtr}),
    ),
    "quantile": (
        r"F^{-1}(p) = \mu + \sigma \, \Phi^{-1}(p)",
        Form(
            {"p": unit, r"\mu": real, r"\sigma": positive},
            {"F^{-1}(p)": lambda v: normal(v).icdf(v["p"])},
            {r"\Phi^{-1}": torch.special.ndtri},
        ),
    ),
    "tail-bound": (
        r"1 - \Phi(z) \le \frac{\varphi(z)}{z}",
        Form({"z": positive}, functions=GAUSS),
    ),
    "entropy": (
        r"H[f] = \frac{1}{2} \ln(2 \pi e \sigma^2)",
        Form(
            {r"\sigma": positive},
            {"H[f]": lambda v: Normal(0 * v[r"\sigma"], v[r"\sigma"]).entropy()},
        ),
    ),
    "divergence": (
        r"D(f \,\|\, q) = \ln\frac{\sigma_2}{\sigma_1}"
        r" + \frac{\sigma_1^2 + (\mu_1 - \mu_2)^2}{2\sigma_2^2} - \frac12",
        Form(
            {r"\mu_1": real, r"\mu_2": real}
            | {r"\sigma_1": positive, r"\sigma_2": positive},
            {
                r"D(f \,\|\, q)": lambda v: kl_divergence(
                    *(Normal(v[rf"\mu_{k}"], v[rf"\sigma_{k}"]) for k in (1, 2))
                )
            },
        ),
    ),
    "box-muller": (
        r"\begin{aligned} z_1 &= \sqrt{-2 \ln u_1} \cos(2\pi u_2) \\"
        r" z_2 &= \sqrt{-2 \ln u_1} \sin(2\pi u_2) \end{aligned}",
        Form(
            {"u_1": unit, "u_2": unit},
            {"z_1": lambda v: polar(v).real, "z_2": lambda v: polar(v).imag},
        ),
    ),
    "sample-mean": (
        r"\bar{x} = \frac1n \sum_{i=1}^{n} x_i",
        Form(SAMPLE, {r"\bar{x}": lambda v: v["x_i"].mean()}),
    ),
    "sample-variances": (
        r"\hat\sigma^2 = \frac{1}{n} \sum_{i=1}^{n} (x_i - \bar{x})^2"
        r" = \frac1n \sum_{i=1}^n x_i^2 - \bar x^2,"
        r" \qquad s^2 = \frac{n}{n-1} \, \hat{\sigma}^2 .",
        Form(
            SAMPLE,
            {
                r"\hat\sigma^2": lambda v: v["x_i"].var(correction=0),
                "s^2": lambda v: v["x_i"].var(),
                r"\bar{x}": lambda v: v["x_i"].mean(),
            },
        ),
    ),
    "affine-variance": (
        r"\operatorname{Var}[aX + b] = a^2 \operatorname{Var}[X]",
        Form(
            {"a": real, "b": real, r"\operatorname{Var}[X]": positive},
            {
                r"\operatorname{Var}[aX + b]": lambda v: (
                    v["a"] * two_points(v["b"], v[r"\operatorname{Var}[X]"]) + v["b"]
                ).var(correction=0)
            },
        ),
    ),
    "product-variance": (
        r"\operatorname{Var}[wx] = \operatorname{Var}[w] \operatorname{Var}[x]"
        r" + \operatorname{E}[x]^2 \operatorname{Var}[w]"
        r" + \operatorname{E}[w]^2 \operatorname{Var}[x]",
        Form(MOMENTS, {r"\operatorname{Var}[wx]": product_variance}),
    ),
    "kernel-density": (
        r"\hat{f}(x) = \frac{1}{n h} \sum_{i=1}^{n}"
        r" \varphi\left(\frac{x - x_i}{h}\right)",
        Form(
            SAMPLE | {"x": real, "h": positive},
            {
                r"\hat f(x)": lambda v: (
                    Normal(v["x_i"], v["h"]).log_prob(v["x"]).exp().mean()
                )
            },
            {r"\varphi": GAUSS[r"\varphi"]},
        ),
    ),
    "bandwidth": (
        r"h = s \, n^{-1/5}, \qquad \sqrt{s^2 + h^2} = s \sqrt{1 + n^{-2/5}}",
        Form(
            {"s": positive, "n": integer(2, 9)},
            {"h": lambda v: v["s"] * math.exp(-math.log(v["n"]) / 5)},
        ),
    ),
    "binomial": (
        r"p(k) = \binom{n}{k} \theta^k \, (1-\theta)^{n-k}"
        r" = \frac{n!}{k! \, (n-k)!} \theta^k \cdot (1 - \theta)^{n-k}",
        Form(
            {"n": integer(3, 6), "k": integer(0, 3), r"\theta": unit},
            {
                "p(k)": lambda v: (
                    Binomial(v["n"], v[r"\theta"])
                    .log_prob(torch.tensor(v["k"], dtype=torch.float64))
                    .exp()
                )
            },
        ),
    ),
    "sigmoid": (
        r"g(z) = \frac{1}{1 + e^{-z}} = \operatorname{sigmoid}(z),"
        r" \qquad g'(z) = g(z) \, (1 - g(z))",
        Form({"z": real}, functions={"g": torch.sigmoid, "g'": slope(torch.sigmoid)}),
    ),
    "tanh": (
        r"\tanh z = \frac{e^{z} - e^{-z}}{e^{z} + e^{-z}}"
        r" = 2 \operatorname{sigmoid}(2z) - 1 = g(z)",
        Form({"z": real}, functions={"g": torch.tanh}),
    ),
    "softsign": (
        r"g(z) = \frac{z}{1 + |z|}, \qquad g'(z) = \frac{1}{(1 + \left|z\right|)^2}",
        Form({"z": real}, functions={"g": F.softsign, "g'": slope(F.softsign)}),
    ),
    "prelu": (
        r"\max(z, 0) + a \min(z, 0) = g(z)",
        Form(
            {"z": real, "a": unit},
            {"g(z)": lambda v: F.prelu(v["z"][None], v["a"][None])[0]},
        ),
    ),
    "relu-mean": (
        r"\operatorname{E}[\operatorname{ReLU}(z)] = \frac{\sigma}{\sqrt{2\pi}}",
        Form(
            {r"\sigma": positive},
            {
                r"\operatorname{E}[\operatorname{ReLU}(z)]": lambda v: (
                    HalfNormal(v[r"\sigma"]).mean / 2
                )
            },
        ),
    ),
    "softmax": (
        r"p_i = \frac{e^{z_i}}{\sum_{j=1}^{K} e^{z_j}}",
        Form(
            {"i": integer(1, 3), "K": integer(3, 5), "z_i": data("K")},
            {"p_i": lambda v: v["z_i"].softmax(0)[v["i"] - 1]},
        ),
    ),
    "cross-entropy": (
        r"L = \ln\left(\sum_{k=1}^{K} \exp(z_k)\right) - z_c,"
        r" \qquad \frac{\partial L}{\partial z_i} = p_i - t_i",
        Form(
            {"i": integer(1, 3), "c": integer(1, 3)}
            | {"K": integer(3, 5), "z_k": data("K")},
            {
                "L": lambda v: F.cross_entropy(v["z_k"], torch.tensor(v["c"] - 1)),
                "p_i": lambda v: v["z_k"].softmax(0)[v["i"] - 1],
                "t_i": lambda v: float(v["i"] == v["c"]),
                r"\frac{\partial L}{\partial z_i}": cross_entropy_gradient,
            },
        ),
    ),
    "linear-layer": (
        r"z_i = \sum_{j=1}^{n} w_{ij} x_j + b_i",
        Form(
            {"i": integer(1, 3), "n": integer(2, 5), "w_{i,j}": data(3, "n")}
            | {"x_j": data("n"), "b_i": data(3)},
            {"z_i": lambda v: F.linear(v["x_j"], v["w_{i,j}"], v["b_i"])[v["i"] - 1]},
        ),
    ),
    "convolution": (
        r"y_i = b + \sum_{u=1}^{k} w_u x_{s \cdot (i-1) + u}",
        Form(
            {"i": integer(1, 2), "k": integer(1, 3), "s": integer(1, 3), "b": real}
            | {"w_u": data("k"), "x_i": data(9)},
            {
                "y_i": lambda v: F.conv1d(
                    v["x_i"][None], v["w_u"][None, None], v["b"][None], v["s"]
                )[0, v["i"] - 1]
            },
        ),
    ),
    "convolution-from-zero": (
        r"y_a = \sum_{u=0}^{k-1} w_u x_{s a + u}",
        Form(
            {"a": integer(0, 2), "k": integer(1, 3), "s": integer(1, 3)}
            | {"w_u": data("k", first=0), "x_i": data(9, first=0)},
            {
                "y_a": lambda v: F.conv1d(
                    v["x_i"][None], v["w_u"][None, None], stride=v["s"]
                )[0, v["a"]]
            },
        ),
    ),
    "output-size": (
        r"o = \left\lfloor \frac{n + 2p - k}{s} \right\rfloor + 1",
        Form({k: WINDOW[k] for k in "npks"}, {"o": window}),
    ),
    "dilated-output-size": (
        r"o = \left\lfloor \frac{n + 2p - d \cdot (k - 1) - 1}{s} + 1 \right\rfloor",
        Form(WINDOW, {"o": window}),
    ),
    "parameters": (
        r"N = (k^2 c_{\mathrm{in}} + 1) \, c_{\mathrm{out}}",
        Form(
            {r"c_{\mathrm{in}}": integer(1, 4), r"c_\mathrm{out}": integer(1, 5)}
            | {"k": integer(1, 4)},
            {
                "N": lambda v: sum(
                    p.numel()
                    for p in torch.nn.Conv2d(
                        v[r"c_{\mathrm{in}}"], v[r"c_\mathrm{out}"], v["k"]
                    ).parameters()
                )
            },
        ),
    ),
    "xavier": (
        r"\operatorname{Var}[w] = \frac{2}{n_{\mathrm{in}} + n_{\mathrm{out}}}"
        r" = \frac{a^2}{3}, \qquad a = \sqrt{\frac{6}{n_\mathrm{in} + n_\mathrm{out}}}",
        Form(
            FANS, {"a": xavier, r"\operatorname{Var}[w]": lambda v: xavier(v) ** 2 / 3}
        ),
    ),
    "he": (
        r"\operatorname{Var}[w] = \frac{2}{(1 + a^2) \, n_{\mathrm{in}}}",
        Form(
            {r"n_{\mathrm{in}}": integer(1, 9), "a": unit},
            {
                r"\operatorname{Var}[w]": lambda v: (
                    calculate_gain("leaky_relu", float(v["a"])) ** 2
                    / v[r"n_{\mathrm{in}}"]
                )
            },
        ),
    ),
    "depth": (
        r"\operatorname{Var}[z_L] = \operatorname{Var}[x] \prod_{l=1}^{L}"
        r" \frac12 n_l v_l",
        Form(
            {"L": integer(1, 4), "n_l": data("L", of=positive), "v_l": data("L")}
            | {r"\operatorname{Var}[x]": positive},
            {
                r"\operatorname{Var}[z_L]": lambda v: (
                    torch.cumprod(v["n_l"] * v["v_l"] / 2, 0)[-1]
                    * v[r"\operatorname{Var}[x]"]
                )
            },
        ),
    ),
    "batch-norm": (
        r"\hat{x}_i = \frac{x_i - \mu_{\mathcal{B}}}"
        r"{\sqrt{\sigma_{\mathcal{B}}^2 + \epsilon}},"
        r" \qquad y_i = \gamma \hat{x}_i + \beta",
        Form(
            {"i": integer(1, 4), "x_i": data(4), r"\epsilon": unit}
            | {r"\gamma": positive, r"\beta": real},
            BATCH
            | {
                r"\hat{x}_i": lambda v: F.layer_norm(
                    v["x_i"], (4,), eps=float(v[r"\epsilon"])
                )[v["i"] - 1],
                "y_i": lambda v: normalised(v, v[r"\gamma"], v[r"\beta"])[v["i"] - 1],
            },
        ),
    ),
    "batch-norm-backward": (
        r"\begin{aligned} \frac{\partial L}{\partial x_i}"
        r" &= \frac{\gamma}{\sqrt{\sigma_{\mathcal{B}}^2 + \epsilon}} \biggl("
        r" \frac{\partial L}{\partial y_i}"
        r" - \frac1m \sum_{j=1}^{m} \frac{\partial L}{\partial y_j} \\ &\quad"
        r" - \frac{x_i - \mu_{\mathcal{B}}}{m \, (\sigma_{\mathcal{B}}^2 + \epsilon)}"
        r" \sum_{j=1}^{m} \frac{\partial L}{\partial y_j}"
        r" \, (x_j - \mu_{\mathcal{B}}) \biggr) \end{aligned}",
        Form(
            {"i": integer(1, 3), "m": integer(3, 5), "x_i": data("m")}
            | {DL_DY: data("m"), r"\gamma": positive, r"\epsilon": unit},
            BATCH | {r"\frac{\partial L}{\partial x_i}": batch_norm_gradient},
        ),
    ),
    "moving-average": (
        r"\mu_t = (1 - \alpha)^t \mu_0 + \alpha \sum_{k=1}^{t} (1-\alpha)^{t-k} x_k",
        Form(
            {"t": integer(1, 5), r"\alpha": unit, r"\mu_0": real, "x_k": data("t")},
            {r"\mu_t": moving},
        ),
    ),
    "norm-of-a-gradient": (
        r"\|\nabla L(a \mathbf{w})\|^2"
        r" = 4 a^2 \|\mathbf{w}\|^2 = a^2 \|\nabla L(\mathbf{w})\|^2",
        Form(
            {"a": positive},
            {
                r"\|\mathbf{w}\|": lambda v: length(W),
                r"\|\nabla L(\mathbf{w})\|": lambda v: length(gradient(W)),
                r"\|\nabla L(a \mathbf{w})\|": lambda v: length(gradient(v["a"] * W)),
            },
        ),
    ),
    "gradient-of-a-layer": (
        r"\frac{\partial L}{\partial h_j^{(l-1)}}"
        r" = \sum_{i=1}^{n} w_{i,j} \frac{\partial L}{\partial z_i^{(l)}}",
        Form(
            LAYER,
            {r"\frac{\partial L}{\partial h_j^{(l-1)}}": layer_gradient},
        ),
    ),
    "dropout-variance": (
        r"\operatorname{Var}[y] = \frac{\sigma^2 + p \mu^2}{1 - p}"
        r" = \frac{1}{1-p} (\sigma^2 + \mu^2) - \mu^2",
        Form(
            {"p": unit, r"\mu": real, r"\sigma": positive},
            {r"\operatorname{Var}[y]": dropped},
        ),
    ),
    "length-after-layer-norm": (
        r"\|\hat{\mathbf{x}}\|^2 = n \frac{s^2}{s^2 + \varepsilon}",
        Form(
            {"n": integer(2, 6), "x_i": data("n"), r"\varepsilon": unit},
            {
                "s^2": lambda v: v["x_i"].var(correction=0),
                r"\|\hat{\mathbf{x}}\|^2": lambda v: (
                    F.layer_norm(v["x_i"], (v["n"],), eps=float(v[r"\varepsilon"])) ** 2
                ).sum(),
            },
        ),
    ),
    "stirling": (
        r"n! \approx \sqrt{2\pi n} \left(\frac{n}{e}\right)^n",
        Form({"n": integer(5, 9)}, approx=0.02),
    ),
}
OTHER = {
    "+": "-", "-": "+", "^": "", r"\sin": r"\cos", r"\cos": r"\sin", r"\ln": r"\exp",
    r"\exp": r"\ln", r"\sqrt": "", r"\sum": r"\prod", r"\prod": r"\sum",
    r"\max": r"\min", r"\min": r"\max", r"\lfloor": r"\lceil", r"\pi": "",
    r"\tanh": r"\cos", r"\Phi": r"\varphi", r"\varphi": r"\Phi", r"\le": r"\ge",
    r"\frac": r"\binom", r"\operatorname{erf}": r"\operatorname{erfc}", r"\cdot": "+",
    "!": "", "e": "", "'": "",
}  # fmt: skip
SURVIVORS = {"tail-bound": ["0: 1 → "]}  # true as well: a bound may be loose
SYMBOL = re.compile(
    r"\\(?:begin|end|mathrm|mathcal|operatorname|hat|bar)\{\w+\}|\\[A-Za-z]+|\\.|\S"
)


def misprints(tex, form):
    """The formula with one character wrong or missing: (what, TeX)."""
    symbols = {symbol for key in form.given for symbol in SYMBOL.findall(key)}
    symbols = sorted(s for s in symbols if s.isalpha() or s[1:].isalpha())
    for match in SYMBOL.finditer(tex):
        token, (start, end) = match[0], match.span()
        wrong = [OTHER[token]] if token in OTHER else []
        if token.isdigit():
            wrong = [str((int(token) + 1) % 10), ""]
        elif token in symbols:
            wrong += [symbols[symbols.index(token) - 1], ""]
        for other in wrong:
            if other != token:
                yield f"{start}: {token} → {other}", f"{tex[:start]}{other} {tex[end:]}"


@pytest.mark.parametrize("name", FORMULAS)
def test_misprints_are_noticed(name):
    tex, form = FORMULAS[name]
    check(name, tex, form)
    count, survivors = Counter(), []
    for what, wrong in misprints(tex, form):
        try:
            check(name, wrong, form)
        except (AssertionError, ValueError) as error:
            count[type(error).__name__] += 1
        else:
            survivors.append(what)
    print(f"{name}: {dict(count)}, survivors: {survivors}")
    assert survivors == SURVIVORS.get(name, [])
    assert count["AssertionError"] > 0  # it is evaluated, not only refused


@pytest.mark.parametrize(
    ("tex", "form", "message"),
    [
        (r"a = b c", Form({"a": real, "b": real}), "x: side bc: c has no value"),
        (r"a = a", Form({"a": real, "b": real}), "b is in the form, but not in the"),
        (r"a = a", Form({"a": real}, {"b": float}), "b is in the form, but not in"),
        (r"a = a", Form({"a": real}, {}, {"f": abs}), "f is in the form, but not in"),
        (r"a = a", Form({"a": real}, {"a": float}), "a is both given and stated"),
        (r"f(a) = b", Form({}, {"f(a)": float, "b": float}), "all are stated"),
        (r"a \\ b", Form({"a": real, "b": real}), "a is compared with nothing"),
        (
            r"a (b + 1) = 1",
            Form({"a": real, "b": real}),
            r"write \\cdot or \\, between",
        ),
        (r"a = \sin", Form({"a": real}), r"side \\sin cannot be read"),
        (r"a = \frac{1}{a", Form({"a": real}), "{ is not closed"),
        (r"a = \frac{1}", Form({"a": real}), "an argument is missing"),
        (r"a = 2 \quad 3 a", Form({"a": real}), "the numbers 2 and 3 stand side by"),
        (r"a = b/c a", Form(dict.fromkeys("abc", real)), "a follows a quotient"),
        (r"a = 1e-5", Form({"a": real}), "write numbers out"),
        (r"a \approx a", Form({"a": real}), "approx must be given"),
        (r"a = a", Form({"a": real}, approx=0.1), "approx must be given"),
        (r"x_3 = 1", Form({"x_i": data(2)}), r"x has no element \[3\] at x_i = \["),
        (r"x_0 = 1", Form({"x_i": data(2)}), r"x has no element \[0\] at x_i = \["),
        (r"x_2 = 1", Form({"x_i": data(2, first=0)}), r"x has no element \[2\] at"),
        (r"x_j = 1", Form({"x_i": data(2)}), "j has no value"),
        (r"\sqrt{-a} = 1", Form({"a": positive}), "a part of it is"),
        (r"1 = \frac{1}{0a}", Form({"a": positive}), "x, equation 1, side"),
        (r"x = 1", Form({"x": data(2)}), "x is data: give it with its index"),
    ],
)
def test_what_cannot_be_checked_is_refused(tex, form, message):
    with pytest.raises(ValueError, match=message):
        check("x", tex, form)


@pytest.mark.parametrize(
    ("tex", "given"),
    [
        (r"|a b| \le |a| |b| + |{-a}|^2, \qquad 2|a| = \left|a\right| + |-a|", "ab"),
        (
            r"\begin{aligned} a + b &= b \\ &\quad + a \\[2pt] &= b + a \end{aligned}",
            "ab",
        ),
        (r"\gamma \, (b - a) = \gamma \cdot (b - a) = \gamma b - a\gamma", r"ab\gamma"),
        (r"x^{(1)} x^* + x' = x' + x^* x^{(1)}", ["x^{(1)}", "x^*", "x'"]),
        (r"10\,000 a = 10{,}000 a = 10000a = 100^2 a", "a"),
        (r"a < a + 1, \quad a > a - 1, \quad a \ge a", "a"),
        (r"\sum_{i=1}^{3} \sum_{j=i}^3 i a = 10 a; \; \prod_{k=2}^{3} k = 3!", "a"),
        (r"\tfrac12 \sin^2 a + \dfrac{\cos^2 a}{2} = \sqrt[3]{\frac18}", "a"),
        (r"\ln\exp(a) = a = \log_2 2^a = \lceil 0.5 \rceil a", "a"),
        (r"\mu_{\mathcal B} = \mu_\mathcal{B}", [r"\mu_{\mathcal{B}}"]),
    ],
)
def test_what_is_read(tex, given):
    if isinstance(given, str):
        given = SYMBOL.findall(given)
    check("x", tex, Form(dict.fromkeys(given, positive)))


def test_a_huge_number_on_the_way_hides_nothing():
    with pytest.raises(AssertionError):
        check("x", r"\ln(2^{160}) + a = 150 \ln(2) + a", Form({"a": real}))
    check("x", r"\ln(2^{160}) + a = 160 \ln(2) + a", Form({"a": real}))
