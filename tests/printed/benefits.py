"""Closed forms of the page on what batch normalisation buys, as they are printed."""

import numpy as np
import torch
from scipy.optimize import linprog

from lib.norm import batch_norm
from tests.as_printed import Draw, Form, data, integer, real


def widest(v):
    """Largest distance of two percentiles, from laws on a grid with variance γ²."""
    grid = np.linspace(-2, 2, 41)
    a = -0.5  # the mean in the middle leaves the smallest variance
    outside = np.stack([grid <= a + 1e-9, grid >= a + 1 - 1e-9]).astype(float)
    found = linprog(
        grid**2,
        A_ub=-outside,
        b_ub=[-float(v["p"])] * 2,
        A_eq=np.stack([np.ones_like(grid), grid]),
        b_eq=[1, 0],
    )
    return abs(float(v[r"\gamma"])) / found.fun**0.5


def first_of_pair(v):
    pair = torch.stack([v["x_1"], v["x_2"]])[:, None]
    eps = float(v[r"\epsilon"])
    return batch_norm(pair, None, None, training=True, eps=eps)[0, 0]


FORMS = {
    "eq-benefits-twin": Form(
        given={"n": integer(2, 6), "a_j": data("n"), "h_j": data("n")},
        functions={r"\operatorname{sigmoid}": torch.sigmoid},
    ),
    "eq-benefits-width": Form(
        given={"p": Draw(0.05, 0.5), r"\gamma": real}, stated={"w": widest}
    ),
    "eq-benefits-ensemble": Form(
        given={"K": integer(2, 6), "p_k": data("K"), "t": real},
        stated={r"\bar{p}": lambda v: v["p_k"].mean()},
    ),
    "eq-benefits-pair": Form(
        given={"x_1": real, "x_2": real, r"\epsilon": Draw(0.01, 1.0)},
        stated={r"\hat{x}_1": first_of_pair},
    ),
}
