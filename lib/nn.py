"""Layers as modules: torch's own classes, computed by this library.

A class here has the constructor, attributes, initial values and ``state_dict`` of its
parent of the same name in ``torch.nn``; only what it computes, and the derivative of
that, is ours. :func:`convert` turns the layers of a model into these.
"""

import functools

import torch
from torch import Tensor, nn
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.utils.parametrize import is_parametrized

from lib._function import check
from lib.activation import leaky_relu, prelu, relu, sigmoid, softsign, tanh
from lib.conv import conv2d, linear
from lib.dropout import dropout, dropout2d
from lib.init import fan_in_uniform_
from lib.norm import batch_norm, group_norm, instance_norm, layer_norm, rms_norm
from lib.pool import avg_pool2d, max_pool2d
from lib.weightnorm import cosine_linear, weight_norm


class Linear(nn.Linear):
    """:func:`lib.conv.linear` with its weight and bias."""

    def reset_parameters(self) -> None:
        """Draw weight and bias by :func:`lib.init.fan_in_uniform_`, as torch does."""
        fan_in_uniform_(self.weight, self.bias)

    def forward(self, input: Tensor) -> Tensor:
        """Apply the layer to ``(*, in_features)``."""
        return self.apply_weight(input, self.weight)

    def apply_weight(self, input: Tensor, weight: Tensor) -> Tensor:
        """Apply the layer with another weight than its own."""
        return linear(input, weight, self.bias)


class Conv2d(nn.Conv2d):
    """:func:`lib.conv.conv2d` with its filters and bias; pads with zeros only."""

    @functools.wraps(nn.Conv2d.__init__)
    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        _check_padding_mode(self)

    def reset_parameters(self) -> None:
        """Draw weight and bias by :func:`lib.init.fan_in_uniform_`, as torch does."""
        fan_in_uniform_(self.weight, self.bias)

    def forward(self, input: Tensor) -> Tensor:
        """Convolve ``(N, C, H, W)`` or ``(C, H, W)``."""
        return self.apply_weight(input, self.weight)

    def apply_weight(self, input: Tensor, weight: Tensor) -> Tensor:
        """Convolve with other filters than the layer's own."""
        options = self.stride, self.padding, self.dilation, self.groups
        return conv2d(input, weight, self.bias, *options)


class MaxPool2d(nn.MaxPool2d):
    """:func:`lib.pool.max_pool2d`."""

    def forward(self, input: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Take the maximum of each window."""
        options = self.kernel_size, self.stride, self.padding, self.dilation
        return max_pool2d(input, *options, self.ceil_mode, self.return_indices)


class AvgPool2d(nn.AvgPool2d):
    """:func:`lib.pool.avg_pool2d`."""

    def forward(self, input: Tensor) -> Tensor:
        """Take the mean of each window."""
        options = self.kernel_size, self.stride, self.padding, self.ceil_mode
        return avg_pool2d(
            input, *options, self.count_include_pad, self.divisor_override
        )


class _BatchNorm:
    _axes: tuple[int, ...]

    def forward(self, input: Tensor) -> Tensor:
        """Normalise each channel: by the batch in training, else by running values."""
        _check_axes(input, *self._axes)
        momentum = 0.0 if self.momentum is None else self.momentum
        if self.training and self.track_running_stats:
            self.num_batches_tracked.add_(1)
            if self.momentum is None:
                momentum = 1 / self.num_batches_tracked.item()  # eq-cumulative-average
        keep = self.track_running_stats or not self.training
        return batch_norm(
            input,
            self.running_mean if keep else None,
            self.running_var if keep else None,
            self.weight,
            self.bias,
            self.training or self.running_mean is None,
            momentum,
            self.eps,
        )


class BatchNorm1d(_BatchNorm, nn.BatchNorm1d):
    """:func:`lib.norm.batch_norm` of ``(N, C)`` or ``(N, C, L)``, with its state.

    ``momentum`` weighs the new batch; ``None`` weighs all batches so far alike.
    """

    _axes = 2, 3


class BatchNorm2d(_BatchNorm, nn.BatchNorm2d):
    """:func:`lib.norm.batch_norm` of ``(N, C, H, W)``, with its state."""

    _axes = (4,)


class InstanceNorm2d(nn.InstanceNorm2d):
    """:func:`lib.norm.instance_norm` of ``(N, C, H, W)`` or ``(C, H, W)``."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalise each channel of each image."""
        _check_axes(input, 3, 4)
        channels = input.shape[-3]
        rule = f"have num_features = {self.num_features} channels"
        check(not self.affine or channels == self.num_features, "input", rule, channels)
        output = instance_norm(
            input if input.ndim == 4 else input[None],
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            0.0 if self.momentum is None else self.momentum,
            self.eps,
        )
        return output if input.ndim == 4 else output[0]


class LayerNorm(nn.LayerNorm):
    """:func:`lib.norm.layer_norm` over the last axes."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalise each example."""
        parameters = self.weight, self.bias
        return layer_norm(input, self.normalized_shape, *parameters, self.eps)


class GroupNorm(nn.GroupNorm):
    """:func:`lib.norm.group_norm`."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalise each group of channels of each example."""
        return group_norm(input, self.num_groups, self.weight, self.bias, self.eps)


class RMSNorm(nn.RMSNorm):
    """:func:`lib.norm.rms_norm` over the last axes."""

    def forward(self, input: Tensor) -> Tensor:
        """Divide each example by its root mean square."""
        return rms_norm(input, self.normalized_shape, self.weight, self.eps)


class Dropout(nn.Dropout):
    """:func:`lib.dropout.dropout` in training.

    Attributes:
        generator: Source of the masks; ``None``, at first, is torch's global one.
    """

    generator: torch.Generator | None = None

    def forward(self, input: Tensor) -> Tensor:
        """Drop single elements."""
        options = self.p, self.training, self.inplace
        return dropout(input, *options, generator=self.generator)


class Dropout2d(nn.Dropout2d):
    """:func:`lib.dropout.dropout2d` in training.

    Attributes:
        generator: Source of the masks; ``None``, at first, is torch's global one.
    """

    generator: torch.Generator | None = None

    def forward(self, input: Tensor) -> Tensor:
        """Drop whole channels."""
        options = self.p, self.training, self.inplace
        return dropout2d(input, *options, generator=self.generator)


class Sigmoid(nn.Sigmoid):
    """:func:`lib.activation.sigmoid`."""

    def forward(self, input: Tensor) -> Tensor:
        """Apply the function to each element."""
        return sigmoid(input)


class Tanh(nn.Tanh):
    """:func:`lib.activation.tanh`."""

    def forward(self, input: Tensor) -> Tensor:
        """Apply the function to each element."""
        return tanh(input)


class Softsign(nn.Softsign):
    """:func:`lib.activation.softsign`."""

    def forward(self, input: Tensor) -> Tensor:
        """Apply the function to each element."""
        return softsign(input)


class ReLU(nn.ReLU):
    """:func:`lib.activation.relu`."""

    def forward(self, input: Tensor) -> Tensor:
        """Apply the function to each element."""
        return relu(input, self.inplace)


class LeakyReLU(nn.LeakyReLU):
    """:func:`lib.activation.leaky_relu`."""

    def forward(self, input: Tensor) -> Tensor:
        """Apply the function to each element."""
        return leaky_relu(input, self.negative_slope, self.inplace)


class PReLU(nn.PReLU):
    """:func:`lib.activation.prelu` with its slopes."""

    def forward(self, input: Tensor) -> Tensor:
        """Apply the function to each element."""
        return prelu(input, self.weight)


class CosineLinear(nn.Module):
    """:func:`lib.weightnorm.cosine_linear` with its weight: the outputs are cosines.

    Args:
        in_features: Length of the inputs.
        out_features: Number of outputs.
        eps: Least length that a vector is divided by.
        device: Of the weight.
        dtype: Of the weight.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        eps: float = 1e-8,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.in_features, self.out_features, self.eps = in_features, out_features, eps
        weight = torch.empty(out_features, in_features, device=device, dtype=dtype)
        self.weight = nn.Parameter(weight)
        fan_in_uniform_(self.weight)

    def forward(self, input: Tensor) -> Tensor:
        """Take the cosine between the input and each row of the weight."""
        return cosine_linear(input, self.weight, self.eps)

    def extra_repr(self) -> str:
        """Sizes, as ``Linear`` shows them."""
        sizes = f"in_features={self.in_features}, out_features={self.out_features}"
        return f"{sizes}, eps={self.eps}"


class WeightNorm(nn.Module):
    r"""A layer whose weight is given by its length and its direction.

    .. math:: w = g \frac{v}{\lVert v \rVert}

    The layer gives up its own weight, which becomes ``weight_v``; ``weight_g`` starts
    with the lengths of v, so that nothing changes at first.

    Args:
        layer: A :class:`Linear` or :class:`Conv2d`, taken over.
        dim: Axis whose slices have each their own length; ``None`` for one in all.

    Raises:
        ValueError: ``layer`` is neither, or gave up its weight before, or ``dim`` is
            not an axis of it.

    References:
        Salimans and Kingma (2016), arXiv:1602.07868.
    """

    def __init__(self, layer: Linear | Conv2d, dim: int | None = 0) -> None:
        super().__init__()
        ok = isinstance(layer, Linear | Conv2d) and layer.weight is not None
        check(ok, "layer", "be a Linear or Conv2d of lib.nn with a weight", layer)
        v, axes = layer.weight, range(layer.weight.ndim)
        check(dim is None or dim in axes, "dim", f"be None or in {[*axes]}", dim)
        others = [axis for axis in axes if axis != dim]
        length = torch.linalg.vector_norm(v.detach(), dim=others, keepdim=True)
        self.weight_g = nn.Parameter(length.squeeze() if dim is None else length)
        self.dim, self.weight_v = dim, v
        layer.weight = None
        self.layer = layer

    def forward(self, input: Tensor) -> Tensor:
        """Apply the layer with the weight g v / ‖v‖."""
        weight = weight_norm(self.weight_v, self.weight_g, self.dim)
        return self.layer.apply_weight(input, weight)


_OURS = {
    getattr(nn, ours.__name__): ours
    for ours in (
        *(Linear, Conv2d, MaxPool2d, AvgPool2d, Dropout, Dropout2d),
        *(BatchNorm1d, BatchNorm2d, InstanceNorm2d, LayerNorm, GroupNorm, RMSNorm),
        *(Sigmoid, Tanh, Softsign, ReLU, LeakyReLU, PReLU),
    )
}


def convert(model: nn.Module) -> nn.Module:
    """Make every layer of torch that has a counterpart here into it, in place.

    The modules stay the same objects, with the parameters, buffers, hooks and mode
    that they have: an optimiser goes on working, a layer used in several places stays
    one. What has no counterpart is left alone: containers, losses, the reader's own
    layers, also those derived from torch's.

    Args:
        model: Any module, possibly itself such a layer.

    Returns:
        The model.

    Raises:
        ValueError: A layer cannot be converted without a change in what it does: it
            is parametrised or not yet initialised, has a ``forward`` of its own, or a
            ``padding_mode`` other than "zeros". The model is then as it was.
    """
    layers = [m for m in model.modules() if isinstance(m, tuple(_OURS))]
    for layer in layers:
        ready = not isinstance(layer, LazyModuleMixin)
        check(ready, "model", "have no uninitialised layer", layer)
        check(not is_parametrized(layer), "model", "not be parametrised", layer)
        if type(layer) in _OURS:
            own = "forward" in vars(layer)
            check(not own, "model", "have no layer with a forward of its own", layer)
            _check_padding_mode(layer)
    for layer in layers:
        layer.__class__ = _OURS.get(type(layer), type(layer))
    return model


def _check_padding_mode(layer: nn.Module) -> None:
    mode = getattr(layer, "padding_mode", "zeros")
    check(mode == "zeros", "padding_mode", "be 'zeros'", f"{mode!r} in {layer}")


def _check_axes(input: Tensor, *counts: int) -> None:
    rule = f"have {' or '.join(map(str, counts))} axes"
    check(input.ndim in counts, "input", rule, tuple(input.shape))
