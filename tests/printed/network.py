"""Closed forms of the page on the whole network, evaluated as they are printed."""

import torch
import torch.nn.functional as F

from tests.as_printed import Draw, Form, data, integer, real, unit


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


FORMS = {
    "eq-centred-filter": Form(
        given={"n": integer(2, 6), "w_i": data("n"), "x_i": data("n")},
        stated={
            r"\bar{w}": lambda v: v["w_i"].mean(),
            r"\bar{x}": lambda v: v["x_i"].mean(),
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
