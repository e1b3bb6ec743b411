"""Closed forms of the page on pooling, evaluated as they are printed."""

import itertools
import math

import torch
import torch.nn.functional as F

from tests.as_printed import Draw, Form, data, integer, positive, real, unit


def mean_pooled(v):
    y = F.avg_pool2d(v["x_{i,j}"][None], v["k"], v["s"])[0]
    return y[v["h"], v["w"]]


def moved(v):
    """Pool an image that has the given output, shifted by a windows."""
    image = v["y_{i,j}"].repeat_interleave(2, 0).repeat_interleave(2, 1)
    y = F.avg_pool2d(image.roll(2 * v["a"], 1)[None], 2)[0]
    return y[v["h"], v["w"]]


def starts(v, incomplete=False):
    """Count windows one by one; the last may be incomplete."""
    length, k, s = v["H"] + 2 * v["p"], v["k"], v["s"]
    count = 0
    for start in itertools.count(0, s):
        if start + k <= length:
            count += 1
        else:
            covered = start - s + k
            return count + (incomplete and covered < length)


def pooled(shifted):
    """A row made of the parts A (2 columns) and B (1 column) of 4 windows."""

    def value(v):
        b, a = v["B_w"], v["A_w"]
        row = torch.stack([b, a - 5, a], 1).flatten()[None, None]
        row = row.roll(2, -1) if shifted else row
        return F.max_pool1d(row, 3)[0, 0, v["w"] - 1]

    return value


def unchanged(v):
    """Of all orders of k + t numbers: the first k and the last k have one maximum."""
    k, t = v["k"], v["t"]
    orders = list(itertools.permutations(range(k + t)))
    return sum(max(order[:k]) == max(order[t:]) for order in orders) / len(orders)


def shifted_mean(v):
    """Of independent pixels: the squared weights of y' - y, times their variance."""
    k, t = v["k"], v["t"]
    image = torch.zeros(1, 1, k, k + t, dtype=torch.float64, requires_grad=True)
    now, then = (F.avg_pool2d(part, k) for part in (image[..., t:], image[..., :k]))
    (weights,) = torch.autograd.grad((then - now).sum(), image)
    return (weights**2).sum() * v[r"\sigma"] ** 2


def dense_inputs(v):
    x = torch.zeros(v["C"], v["H"], v["W"])
    for _ in range(v["r"]):
        x = F.avg_pool2d(x, v["s"])
    return x.numel()


def dice(v):
    """All results of n dice: how often none shows more than x."""
    rolls = itertools.product(range(1, 7), repeat=v["n"])
    return sum(max(roll) <= v["x"] for roll in rolls) / 6 ** v["n"]


def dots(function):
    """Of all patterns of dots in a window of n pixels."""

    def value(v):
        b, q, height, n = float(v["b"]), float(v["q"]), float(v["A"]), v["n"]
        total = 0.0
        for pattern in itertools.product((0, 1), repeat=n):
            chance = math.prod(q if dot else 1 - q for dot in pattern)
            total += chance * function([b + height * dot for dot in pattern])
        return total

    return value


def mean_response(one):
    """Rise of the mean over its standard deviation, both from its weights."""

    def value(v):
        n = v["n"]
        image = torch.zeros(1, 1, n, dtype=torch.float64, requires_grad=True)
        (weights,) = torch.autograd.grad(F.avg_pool1d(image, n).sum(), image)
        deviation = v[r"\sigma"] * weights.norm()
        rise = weights[0, 0, 0] * v["A"] if one else weights.sum() * v["c"]
        return rise / deviation

    return value


AXIS = {
    "H": integer(5, 12),
    "p": integer(0, 2),
    "k": integer(1, 4),
    "s": integer(1, 4),
}

FORMS = {
    "eq-window-equivariance": Form(
        given={
            "h": integer(0, 3),
            "w": integer(3, 5),
            "a": integer(1, 3),
            "y_{i,j}": data(4, 6, first=0),
        },
        stated={"y'_{h,w}": moved},
    ),
    "eq-avg-pool": Form(
        given={
            "k": integer(1, 3),
            "s": integer(1, 3),
            "h": integer(0, 2),
            "w": integer(0, 3),
            "x_{i,j}": data(9, 12, first=0),
        },
        stated={"y_{h,w}": mean_pooled},
    ),
    "eq-pool-output-size": Form(
        given=AXIS,
        stated={
            r"H_{\mathrm{out}}": starts,
            r"H'_{\mathrm{out}}": lambda v: starts(v, incomplete=True),
        },
        points=12,
    ),
    "eq-dense-inputs": Form(
        given={
            "C": integer(1, 4),
            "H": Draw(36, 36, whole=True),
            "W": Draw(72, 72, whole=True),
            "s": integer(2, 3),
            "r": integer(1, 2),
        },
        stated={r"n_{\mathrm{in}}": dense_inputs},
    ),
    "eq-shift-max": Form(
        given={"A_w": data(4), "B_w": data(4), "w": integer(2, 4)},
        stated={"y_w": pooled(False), "y'_w": pooled(True)},
        points=8,
    ),
    "eq-max-unchanged": Form(
        given={"k": integer(2, 4), "t": integer(1, 2)},
        stated={"P(y' = y)": unchanged},
    ),
    "eq-avg-shift": Form(
        given={"k": integer(2, 5), "t": integer(1, 2), r"\sigma": positive},
        stated={r"\operatorname{E}[(y' - y)^2]": shifted_mean},
    ),
    "eq-aliasing": Form(
        given={"f": real, "m": integer(-3, 3), "s": integer(1, 4), "w": integer(1, 5)},
    ),
    "eq-max-law": Form(
        given={"n": integer(1, 4), "x": integer(1, 6)},
        stated={r"P(M_n \le x)": dice},
        functions={"F": lambda x: x / 6},
    ),
    "eq-sparse-dots": Form(
        given={"n": integer(2, 6), "b": real, "q": unit, "A": positive},
        stated={
            r"\operatorname{E}[\mathrm{mean}]": dots(lambda x: sum(x) / len(x)),
            r"\operatorname{E}[\mathrm{maximum}]": dots(max),
        },
    ),
    "eq-mean-response": Form(
        given={"n": integer(2, 9), "A": positive, "c": positive, r"\sigma": positive},
        stated={
            r"d_{\mathrm{one}}": mean_response(True),
            r"d_{\mathrm{all}}": mean_response(False),
        },
    ),
}
