"""Closed forms of the page on Xavier initialisation, as they are printed.

The variances of linear networks are found by listing: every weight has the two values
plus and minus its standard deviation, and all combinations are equally likely.
"""

import itertools
import math
import statistics
from functools import cache

import numpy as np
import torch
from scipy import optimize, stats

from lib.init import _xavier_std, calculate_fan
from tests.as_printed import Draw, Form, data, integer, positive

WIDTHS = torch.tensor([2.0, 1.0, 3.0, 2.0])  # not drawn: widths are whole, and unequal


@cache
def signs(count):
    """All combinations of `count` signs, one in each row."""
    return np.array(list(itertools.product([-1.0, 1.0], repeat=count)))


def second_moments(widths, variances, bottom, top):
    """Second moments in a linear network, by listing all its weights.

    The input has the mean square `bottom`, the gradient at the output `top`; both are
    fixed vectors with unequal entries.
    """
    sizes = list(zip(widths[1:], widths, strict=False))
    total = sum(n_out * n_in for n_out, n_in in sizes)
    columns = np.split(signs(total), np.cumsum([a * b for a, b in sizes])[:-1], 1)
    shapes = zip(columns, sizes, variances, strict=True)
    weights = [w.reshape(-1, *size) * math.sqrt(v) for w, size, v in shapes]
    ends = []
    for n, square in ((widths[0], bottom), (widths[-1], top)):
        vector = 1 + np.arange(n)
        ends.append(vector * math.sqrt(square / (vector**2).mean()))
    h = [np.broadcast_to(ends[0], (len(columns[0]), widths[0]))]
    for w in weights:
        h.append(np.einsum("roi,ri->ro", w, h[-1]))
    grads = [np.broadcast_to(ends[1], (len(columns[0]), widths[-1]))]
    for w in reversed(weights):  # down to the gradient of the input
        grads.insert(0, np.einsum("roi,ro->ri", w, grads[0]))
    products = [
        np.einsum("ro,ri->roi", g, x) for g, x in zip(grads[1:], h, strict=False)
    ]
    return [[float((t**2).mean()) for t in ts] for ts in (h, grads, products)]


def listed(v):
    """Of a network of d = 3 layers with the drawn widths and variances."""
    widths = [int(n) for n in v["n_k"]]
    bottom, top = float(v.get("q_0", 1.0)), float(v.get("r_d", 1.0))
    return second_moments(widths, v["v_k"].tolist(), bottom, top)


def listed_equal(v):
    widths, variances = [2] * 4, [float(v["v"])] * 3
    return second_moments(widths, variances, float(v["q_0"]), float(v["r_d"]))


NETWORK = {
    "n_k": data(4, of=Draw(WIDTHS, WIDTHS), first=0),
    "v_k": data(3, of=positive),
}
DEPTH = {"l": integer(1, 3), "d": integer(3, 3)}


def chosen(rule):
    """What a rule makes of the fans that the library counts."""

    def value(v):
        n_in, n_out = int(v[r"n_{\mathrm{in}}"]), int(v[r"n_{\mathrm{out}}"])
        fan_in, fan_out = calculate_fan(torch.empty(n_out, n_in))
        return rule(fan_in, fan_out)

    return value


FANS = {r"n_{\mathrm{in}}": integer(1, 40), r"n_{\mathrm{out}}": integer(1, 40)}


def uniform_bound(v):
    """The bound at which SciPy's uniform law has the variance of the compromise."""
    fans = [float(v[rf"n_{{\mathrm{{{name}}}}}"]) for name in ("in", "out")]
    variance = statistics.harmonic_mean([1 / fan for fan in fans])
    return optimize.brentq(
        lambda a: stats.uniform(-a, 2 * a).var() / variance - 1, 1e-3, 3, xtol=1e-14
    )


def fans(v):
    size = v[r"C_{\mathrm{out}}"], v[r"C_{\mathrm{in}}"], v["k"], v["k"]
    return calculate_fan(torch.empty(size))


def printed_seven(v):
    """The paper's product, over the variance that the listed networks have."""
    n, scale, layer = v["n_k"], v["v_k"], v["l"]
    below = [n[k - 1] * scale[k - 1] for k in range(1, layer)]
    above = [n[k] * scale[k - 1] for k in range(layer, 3)]
    return float(math.prod(below) * math.prod(above)) / listed(v)[2][layer - 1]


FORMS = {
    "eq-xavier-forward": Form(
        given={"q_0": positive, "l": integer(1, 3), **NETWORK},
        stated={"q_l": lambda v: listed(v)[0][v["l"]]},
    ),
    "eq-xavier-backward": Form(
        given={"r_d": positive, **DEPTH, **NETWORK},
        stated={"r_l": lambda v: listed(v)[1][v["l"]]},
    ),
    "eq-xavier-weight-gradient": Form(
        given={"q_0": positive, "r_d": positive, **DEPTH, **NETWORK},
        stated={
            r"\operatorname{Var}\left[\frac{\partial L}{\partial w^{(l)}}\right]": (
                lambda v: listed(v)[2][v["l"] - 1]
            ),
            "q_{l-1} r_l": lambda v: listed(v)[0][v["l"] - 1] * listed(v)[1][v["l"]],
        },
    ),
    "eq-xavier-printed-six": Form(
        given={"r_d": positive, **DEPTH, **NETWORK},
        stated={
            r"\operatorname{E}\left[\left(\frac{\partial L}{\partial h_j^{(l-1)}}"
            r"\right)^2\right]": lambda v: listed(v)[1][v["l"] - 1]
        },
    ),
    "eq-xavier-equal-widths": Form(
        given={
            "n": integer(2, 2),
            "v": positive,
            "q_0": positive,
            "r_d": positive,
            **DEPTH,
        },
        stated={
            "q_l": lambda v: listed_equal(v)[0][v["l"]],
            "r_l": lambda v: listed_equal(v)[1][v["l"]],
            "q_{l-1} r_l": lambda v: listed_equal(v)[2][v["l"] - 1],
        },
    ),
    "eq-xavier-standard": Form(
        given={"n": integer(2, 50)},
        stated={
            "n v": lambda v: (
                v["n"] * stats.uniform(-(v["n"] ** -0.5), 2 * v["n"] ** -0.5).var()
            )
        },
    ),
    "eq-xavier-compromise": Form(
        given=FANS,
        stated={
            "v": chosen(lambda a, b: statistics.harmonic_mean([1 / a, 1 / b])),
            r"v_{\mathrm{f}}": chosen(lambda a, b: 1 / a),
            r"v_{\mathrm{b}}": chosen(lambda a, b: 1 / b),
        },
    ),
    "eq-xavier-factors": Form(
        given=FANS,
        stated={"v": chosen(lambda a, b: statistics.harmonic_mean([1 / a, 1 / b]))},
    ),
    "eq-xavier-telescope": Form(
        given={
            "n_k": data(5, of=positive, first=0),
            "l": integer(0, 3),
            "d": integer(4, 4),
        },
        stated={
            r"\frac{n_d}{n_l}": lambda v: math.exp(
                v["n_k"].log().diff()[v["l"] :].sum().item()
            )
        },
    ),
    "eq-xavier-loss": Form(given=FANS),
    "eq-xavier-std": Form(
        given={r"\kappa": positive, **FANS},
        stated={
            "s": lambda v: _xavier_std(
                torch.empty(v[r"n_{\mathrm{out}}"], v[r"n_{\mathrm{in}}"]),
                float(v[r"\kappa"]),
            )
        },
    ),
    "eq-uniform-bound": Form(
        given=FANS,
        stated={
            "a": uniform_bound,
            "s": chosen(lambda a, b: statistics.harmonic_mean([1 / a, 1 / b]) ** 0.5),
        },
    ),
    "eq-fan": Form(
        given={
            "k": integer(1, 5),
            r"C_{\mathrm{in}}": integer(1, 6),
            r"C_{\mathrm{out}}": integer(1, 6),
        },
        stated={
            r"n_{\mathrm{in}}": lambda v: fans(v)[0],
            r"n_{\mathrm{out}}": lambda v: fans(v)[1],
        },
    ),
    "eq-xavier-printed-seven": Form(
        given={"d": integer(3, 3), "l": integer(1, 3), **NETWORK},
        stated={r"\frac{\tilde{s}_l}{q_{l-1} r_l}": printed_seven},
    ),
}
