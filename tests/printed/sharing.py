"""Closed forms of the page on shared weights and equivariance, as they are printed.

They are compared with PyTorch's own convolution, one through Fourier transforms, and
with the numbers of parameters of PyTorch's layers.
"""

import torch
import torch.nn.functional as F

from tests.as_printed import Form, integer
from tests.printed.convolution import (
    KERNEL,
    OUTPUT,
    PLACE,
    array,
    conv,
    image_with_output,
    unit_image,
)


def shifted(v):
    image = image_with_output(v["y_{a,b}"], 2)
    image = image.roll((2 * v["u"], 2 * v["v"]), (0, 1))
    return conv(image, KERNEL, stride=2)[v["h"], v["w"]]


def toeplitz(v):
    image = unit_image(v["u"], v["v"])
    return conv(image, v["W_{a,b}"], stride=v["s"])[v["h"], v["w"]]


def circular(v):
    """An equivariant map multiplies the Fourier transform by numbers."""
    x = v["x_{a,b}"]
    factors = torch.fft.fft2(v["W_{a,b}"], x.shape).conj()
    return torch.fft.ifft2(factors * torch.fft.fft2(x)).real[v["h"], v["w"]]


def pointwise(v):
    y = F.conv2d(v["x_{a,b,u,v}"], v["W_{a,b,u,v}"], v["b_a"])
    return y[v["n"], v["o"], v["h"], v["w"]]


def spread(v):
    """Weight of a dilated convolution between output (0, 0) and a pixel."""
    image = unit_image(v["d"] * v["i"], v["d"] * v["j"])
    return conv(image, v["W_{a,b}"], dilation=v["d"])[0, 0]


def sizes(v):
    """Channels in and out, sizes in and out."""
    names = (r"C_{\mathrm{in}}", r"C_{\mathrm{out}}", "H", r"H_{\mathrm{out}}")
    return [v[name] for name in names]


def count(*layers):
    return sum(p.numel() for layer in layers for p in layer.parameters())


def dense(v):
    c_in, c_out, size, size_out = sizes(v)
    return count(torch.nn.Linear(c_in * size**2, c_out * size_out**2))


def local(v):
    c_in, c_out, _, size_out = sizes(v)
    one = torch.nn.Conv2d(c_in, c_out, v["k"])
    return count(*[one] * size_out**2)


def shared(v):
    c_in, c_out, *_ = sizes(v)
    return count(torch.nn.Conv2d(c_in, c_out, v["k"]))


def grouped(v):
    c_in, c_out = v[r"C_{\mathrm{in}}"], v[r"C_{\mathrm{out}}"]
    return count(torch.nn.Conv2d(c_in, c_out, v["k"], groups=v["G"]))


NUMBERS = {
    r"C_{\mathrm{in}}": integer(1, 4),
    r"C_{\mathrm{out}}": integer(1, 5),
    "k": integer(1, 4),
}

FORMS = {
    "eq-conv-parameters": Form(
        given=NUMBERS | {"H": integer(4, 7), r"H_{\mathrm{out}}": integer(2, 6)},
        stated={
            r"n_{\mathrm{dense}}": dense,
            r"n_{\mathrm{local}}": local,
            r"n_{\mathrm{shared}}": shared,
        },
    ),
    "eq-conv-toeplitz": Form(
        given={"W_{a,b}": array(6, 6), "s": integer(1, 2), "h": integer(0, 1)}
        | {"w": integer(0, 2), "u": integer(2, 5), "v": integer(4, 5)},
        stated={"T_{(h,w),(u,v)}": toeplitz},
        points=8,
    ),
    "eq-conv-equivariance": Form(
        given={"y_{a,b}": array(5, 5), "h": integer(2, 4), "w": integer(2, 4)}
        | {"u": integer(1, 2), "v": integer(1, 2)},
        stated={"y'_{h,w}": shifted},
    ),
    "eq-conv-characterised": Form(
        given={"k": integer(1, 4), "W_{a,b}": array("k", "k"), "x_{a,b}": array(7, 8)}
        | PLACE,
        stated={"(A x)_{h,w}": circular},
    ),
    "eq-conv-1x1": Form(
        given={"C": integer(2, 4), "W_{a,b,u,v}": array(3, "C", 1, 1), "b_a": array(3)}
        | {"x_{a,b,u,v}": array(2, "C", 4, 5)}
        | OUTPUT,
        stated={"y_{n,o,h,w}": pointwise},
    ),
    "eq-conv-dilation": Form(
        given={"W_{a,b}": array(3, 3), "d": integer(1, 3)}
        | {"i": integer(0, 2), "j": integer(0, 2)},
        stated={r"\tilde{W}_{d i,\,d j}": spread},
    ),
    "eq-conv-grouped-parameters": Form(
        given={"k": integer(1, 4), "G": integer(1, 2)}
        | {r"C_{\mathrm{in}}": integer(6, 6), r"C_{\mathrm{out}}": integer(8, 8)},
        stated={r"n_{\mathrm{grouped}}": grouped},
    ),
}
