"""Closed forms of the page on the relatives of batch normalisation, as printed.

Values of norms come from torch's functions, derivatives from its autograd.
"""

import torch
import torch.nn.functional as F

from tests.as_printed import Draw, Form, data, integer, positive, real


def layer(v, gamma=None, beta=None):
    """Layer normalisation of the drawn values: one index set."""
    y = F.layer_norm(v["x_i"], v["x_i"].shape, gamma, beta, float(v[r"\epsilon"]))
    return y[v["i"] - 1]


def moved(v):
    """A batch with the same normalised values and other statistics."""
    statistics = v[r"\sigma'"].view(1), v[r"\mu'"].view(1)
    y = F.batch_norm(v["x_i"][:, None], None, None, *statistics, True, eps=1e-30)
    return y[v["i"] - 1, 0]


# Normalised values of a set; with ε drawn, its variance makes them just these.
X_HAT = torch.tensor([0.9, -1.1, 0.2, 1.0, -1.0], dtype=torch.float64)
SHARE_KEPT = float((X_HAT**2).mean())  # of σ² in σ² + ε; mean 0


def by_input(v):
    """Derivative through torch's layer normalisation, γ different for each element."""
    eps = v[r"\epsilon"]
    x = (0.8 + X_HAT * (eps / (1 - SHARE_KEPT)).sqrt()).requires_grad_()
    gamma = torch.tensor([0.5, -1.5, 0.8, 2.0, 1.2], dtype=torch.float64)
    y = F.layer_norm(x, x.shape, gamma, None, float(eps))
    return torch.autograd.grad(y, x, v["h_i"] / gamma)[0][v["i"] - 1]


def weight_normed(v):
    return torch._weight_norm(v["v_i"][None], v[r"\gamma"].view(1, 1))[0]


def by_weight(name):
    def value(v):
        w = {key: v[key].clone().requires_grad_() for key in ("v_i", r"\gamma")}
        loss = (weight_normed(w) * v[r"\frac{\partial L}{\partial w_i}"]).sum()
        (slope,) = torch.autograd.grad(loss, w[name])
        return slope[v["i"] - 1] if slope.ndim else slope

    return value


def cosine(x, w):
    return F.cosine_similarity(x, w, dim=0)


def slope_of_cosine(which):
    def value(v):
        leaves = v["x_i"].clone(), v["w_{j,i}"][v["j"] - 1].clone()
        for leaf in leaves:
            leaf.requires_grad_()
        return torch.autograd.grad(cosine(*leaves), leaves[which])[0][v["i"] - 1]

    return value


PAIR = {
    "i": integer(1, 4),
    "j": integer(1, 3),
    "x_i": data(4),
    "w_{j,i}": data(3, 4),
}

FORMS = {
    "eq-relatives-norm": Form(
        given={
            "i": integer(1, 5),
            "x_i": data(5),
            r"\gamma_i": data(5),
            r"\beta_i": data(5),
            r"\epsilon": positive,
        },
        stated={
            r"\mu_i": lambda v: v["x_i"].mean(),
            r"\sigma_i^2": lambda v: v["x_i"].var(correction=0),
            r"\hat{x}_i": layer,
            "y_i": lambda v: layer(v, v[r"\gamma_i"], v[r"\beta_i"]),
        },
    ),
    "eq-relatives-rms": Form(
        given={"i": integer(1, 4), "x_i": data(4), r"\epsilon": positive},
        stated={
            r"\operatorname{RMS}(\mathbf{x})_i": lambda v: F.rms_norm(
                v["x_i"], (4,), eps=float(v[r"\epsilon"])
            )[v["i"] - 1],
            r"\mu": lambda v: v["x_i"].mean(),
            r"\sigma": lambda v: v["x_i"].std(correction=0),
        },
    ),
    "eq-relatives-backward": Form(
        given={
            "m": integer(5, 5),
            "i": integer(1, 5),
            r"\hat{x}_i": data("m", of=Draw(X_HAT, X_HAT)),
            "h_i": data("m"),
            r"\epsilon": positive,
        },
        stated={
            r"\frac{\partial L}{\partial x_i}": by_input,
            r"\sigma_i^2": lambda v: v[r"\epsilon"] * SHARE_KEPT / (1 - SHARE_KEPT),
        },
    ),
    "eq-weight-norm": Form(
        given={"i": integer(1, 4), "v_i": data(4), r"\gamma": real},
        stated={
            "w_i": lambda v: weight_normed(v)[v["i"] - 1],
            "r": lambda v: torch.dist(v["v_i"], torch.zeros(4)),
        },
    ),
    "eq-weight-norm-backward": Form(
        given={
            "n": integer(4, 4),
            "i": integer(1, 4),
            "v_i": data(4),
            r"\gamma": real,
            r"\frac{\partial L}{\partial w_i}": data(4),
        },
        stated={
            r"\frac{\partial L}{\partial \gamma}": by_weight(r"\gamma"),
            r"\frac{\partial L}{\partial v_i}": by_weight("v_i"),
            "r": lambda v: torch.dist(v["v_i"], torch.zeros(4)),
        },
    ),
    "eq-cosine-linear": Form(
        given={"n": integer(4, 4), **PAIR},
        stated={"y_j": lambda v: cosine(v["x_i"], v["w_{j,i}"][v["j"] - 1])},
    ),
    "eq-cosine-linear-backward": Form(
        given=PAIR,
        stated={
            r"\frac{\partial y_j}{\partial x_i}": slope_of_cosine(0),
            r"\frac{\partial y_j}{\partial w_{j,i}}": slope_of_cosine(1),
            "y_j": lambda v: cosine(v["x_i"], v["w_{j,i}"][v["j"] - 1]),
            "r": lambda v: torch.dist(v["x_i"], torch.zeros(4)),
            "r_j": lambda v: torch.dist(v["w_{j,i}"][v["j"] - 1], torch.zeros(4)),
        },
    ),
    "eq-relatives-same": Form(
        given={
            "i": integer(1, 5),
            "x_i": data(5),
            r"\sigma'": positive,
            r"\mu'": real,
        },
        stated={
            "x'_i": moved,
            r"\mu": lambda v: v["x_i"].mean(),
            r"\sigma": lambda v: v["x_i"].std(correction=0),
        },
    ),
}
