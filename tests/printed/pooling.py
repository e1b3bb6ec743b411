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


def extent(v):
    """From one output down to the image: the last pixel that it sees, plus one."""
    last = 0.0
    for k, s in zip(v["k_i"].tolist()[::-1], v["s_i"].tolist()[::-1], strict=True):
        last = last * s + k - 1
    return last + 1


def apart(v):
    """Where the second output begins to see the image, if the first begins at 0."""
    place = 1.0
    for s in v["s_i"].tolist()[::-1]:
        place *= s
    return place


def slope(of, by):
    """Derivative of a probability, by torch."""

    def value(v):
        jacobian = torch.autograd.functional.jacobian(
            lambda z: F.softmax(z, 0), v["z_i"]
        )
        return jacobian[v[of] - 1, v[by] - 1]

    return value


def probability(index):
    return lambda v: F.softmax(v["z_i"], 0)[v[index] - 1]


TARGETS = torch.tensor([0.1, 0.2, 0.3, 0.15, 0.25], dtype=torch.float64)
SHARES = torch.tensor([0.3, 0.05, 0.25, 0.22, 0.18], dtype=torch.float64)


def loss_slope(v):
    z = v["z_i"].clone().requires_grad_()
    loss = F.cross_entropy(z[None], TARGETS[None])
    return torch.autograd.grad(loss, z)[0][v["k"] - 1]


def softmax_slope(v):
    """Of a loss whose gradient with respect to p is given."""
    z = v["p_i"].log().requires_grad_()
    given = v[r"\frac{\partial L}{\partial p_i}"]
    return torch.autograd.grad(F.softmax(z, 0), z, given)[0][v["k"] - 1]


def log_slope(v):
    """Of a loss whose gradient with respect to ln p is given."""
    z = v["z_i"].clone().requires_grad_()
    given = v[r"\frac{\partial L}{\partial \ln p_i}"]
    return torch.autograd.grad(F.log_softmax(z, 0), z, given)[0][v["k"] - 1]


AXIS = {
    "H": integer(5, 12),
    "p": integer(0, 2),
    "k": integer(1, 4),
    "s": integer(1, 4),
}

FORMS = {
    "eq-centred-filter": Form(
        given={"n": integer(2, 6), "w_i": data("n"), "x_i": data("n")},
        stated={
            r"\bar{w}": lambda v: v["w_i"].mean(),
            r"\bar{x}": lambda v: v["x_i"].mean(),
        },
    ),
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
    "eq-receptive-field": Form(
        given={
            "l": integer(1, 4),
            "k_i": data("l", of=Draw(1.0, 5.0)),
            "s_i": data("l", of=Draw(1.0, 3.0)),
        },
        stated={"J_l": apart, "r_l": extent},
    ),
    "eq-linear": Form(
        given={
            r"n_{\mathrm{in}}": integer(1, 5),
            "j": integer(1, 3),
            "W_{j,i}": data(3, r"n_{\mathrm{in}}"),
            "x_i": data(r"n_{\mathrm{in}}"),
            "b_j": data(3),
        },
        stated={
            "y_j": lambda v: F.linear(v["x_i"], v["W_{j,i}"], v["b_j"])[v["j"] - 1]
        },
    ),
    "eq-softmax": Form(
        given={"K": integer(2, 5), "k": integer(1, 2), "z_i": data("K")},
        stated={"p_k": probability("k")},
    ),
    "eq-log-softmax": Form(
        given={"K": integer(2, 5), "k": integer(1, 2), "m": real, "z_i": data("K")},
        stated={r"\ln p_k": lambda v: F.log_softmax(v["z_i"], 0)[v["k"] - 1]},
    ),
    "eq-cross-entropy": Form(
        given={
            "K": integer(2, 5),
            "t_i": data("K", of=unit),
            "p_i": data("K", of=unit),
        },
        stated={
            "L": lambda v: (
                F.kl_div(v["p_i"].log(), v["t_i"], reduction="sum")
                + torch.special.entr(v["t_i"]).sum()
            )
        },
    ),
    "eq-cross-entropy-logits": Form(
        given={"K": integer(2, 5), "c": integer(1, 2), "z_i": data("K")},
        stated={
            "L": lambda v: F.cross_entropy(v["z_i"][None], torch.tensor([v["c"] - 1]))
        },
    ),
    "eq-softmax-slopes": Form(
        given={"k": integer(1, 2), "j": integer(3, 5), "z_i": data(5)},
        stated={
            r"\frac{\partial p_k}{\partial z_k}": slope("k", "k"),
            r"\frac{\partial p_k}{\partial z_j}": slope("k", "j"),
            "p_k": probability("k"),
            "p_j": probability("j"),
        },
    ),
    "eq-softmax-backward": Form(
        given={
            "K": integer(5, 5),
            "k": integer(1, 5),
            "p_i": data("K", of=Draw(SHARES, SHARES)),  # they must add up to 1
            r"\frac{\partial L}{\partial p_i}": data("K"),
        },
        stated={r"\frac{\partial L}{\partial z_k}": softmax_slope},
    ),
    "eq-cross-entropy-backward": Form(
        given={"k": integer(1, 5), "z_i": data(5)},
        stated={
            r"\frac{\partial L}{\partial z_k}": loss_slope,
            "p_k": probability("k"),
            "t_k": lambda v: TARGETS[v["k"] - 1],
        },
    ),
    "eq-log-softmax-backward": Form(
        given={
            "K": integer(2, 5),
            "k": integer(1, 2),
            "z_i": data("K"),
            r"\frac{\partial L}{\partial \ln p_i}": data("K"),
        },
        stated={
            r"\frac{\partial L}{\partial z_k}": log_slope,
            "p_k": probability("k"),
        },
    ),
}
