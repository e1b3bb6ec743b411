"""Layers as modules: they hold the state, the other files hold the functions.

Constructors, attributes, initial values and ``state_dict`` are those of the classes
of the same names in ``torch.nn``; :func:`convert` makes torch's layers into ours.
"""

import numbers
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module, Parameter
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.utils.parametrize import is_parametrized

from lib.activation import leaky_relu, prelu, relu, sigmoid, softsign, tanh
from lib.conv import conv2d, linear
from lib.dropout import dropout, dropout2d
from lib.init import fan_in_uniform_
from lib.norm import (
    batch_norm,
    cosine_linear,
    group_norm,
    instance_norm,
    layer_norm,
    rms_norm,
    weight_norm,
)
from lib.pool import avg_pool2d, max_pool2d

Pair = int | tuple[int, int]
Device = torch.device | str | None
Dtype = torch.dtype | None


class _Layer(Module):
    _shown = ""  # how to write the layer: a format of its attributes

    def extra_repr(self) -> str:
        return self._shown.format(self)

    def _parameter(self, name: str, size: Sequence[int] | None, **like: Any) -> None:
        value = None if size is None else Parameter(torch.empty(size, **like))
        self.register_parameter(name, value)


class _Weighted(_Layer):
    def reset_parameters(self) -> None:
        fan_in_uniform_(self.weight, self.bias)

    def forward(self, input: Tensor) -> Tensor:
        return self._apply_weight(input, self.weight)


class Linear(_Weighted):
    """:func:`lib.conv.linear` with its weight and bias, as ``torch.nn.Linear``."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: Device = None,
        dtype: Dtype = None,
    ) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        like = {"device": device, "dtype": dtype}
        self._parameter("weight", (out_features, in_features), **like)
        self._parameter("bias", (out_features,) if bias else None, **like)
        self.reset_parameters()

    def _apply_weight(self, input: Tensor, weight: Tensor) -> Tensor:
        return linear(input, weight, self.bias)

    def extra_repr(self) -> str:
        """Write the sizes, and whether there is a bias."""
        sizes = f"in_features={self.in_features}, out_features={self.out_features}"
        return f"{sizes}, bias={self.bias is not None}"


class Conv2d(_Weighted):
    """:func:`lib.conv.conv2d` with its kernels and bias, as ``torch.nn.Conv2d``.

    ``padding_mode`` must be "zeros".
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        stride: Pair = 1,
        padding: Pair | str = 0,
        dilation: Pair = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Device = None,
        dtype: Dtype = None,
    ) -> None:
        super().__init__()
        _check_conv(in_channels, out_channels, stride, padding, groups, padding_mode)
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size = kernel = _pair(kernel_size)
        self.stride, self.dilation = _pair(stride), _pair(dilation)
        self.padding = padding if isinstance(padding, str) else _pair(padding)
        self.transposed, self.output_padding = False, (0, 0)
        self.groups, self.padding_mode = groups, padding_mode
        like = {"device": device, "dtype": dtype}
        self._parameter(
            "weight", (out_channels, in_channels // groups, *kernel), **like
        )
        self._parameter("bias", (out_channels,) if bias else None, **like)
        self.reset_parameters()

    def _apply_weight(self, input: Tensor, weight: Tensor) -> Tensor:
        options = self.stride, self.padding, self.dilation, self.groups
        return conv2d(input, weight, self.bias, *options)

    def extra_repr(self) -> str:
        """Write the sizes, and the options that are not the default."""
        sizes = f"{self.in_channels}, {self.out_channels}"
        usual = {"padding": (0, 0), "dilation": (1, 1), "groups": 1}
        options = {"kernel_size": self.kernel_size, "stride": self.stride}
        options |= {k: v for k in usual if (v := getattr(self, k)) != usual[k]}
        if self.bias is None:
            options["bias"] = False
        return ", ".join([sizes, *(f"{k}={v}" for k, v in options.items())])


class MaxPool2d(_Layer):
    """:func:`lib.pool.max_pool2d`, as ``torch.nn.MaxPool2d``."""

    _shown = (
        "kernel_size={0.kernel_size}, stride={0.stride}, padding={0.padding}, "
        "dilation={0.dilation}, ceil_mode={0.ceil_mode}"
    )

    def __init__(
        self,
        kernel_size: Pair,
        stride: Pair | None = None,
        padding: Pair = 0,
        dilation: Pair = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding, self.dilation = padding, dilation
        self.return_indices, self.ceil_mode = return_indices, ceil_mode

    def forward(self, input: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Take the maximum of each window."""
        return max_pool2d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            ceil_mode=self.ceil_mode,
            return_indices=self.return_indices,
        )


class AvgPool2d(_Layer):
    """:func:`lib.pool.avg_pool2d`, as ``torch.nn.AvgPool2d``."""

    _shown = "kernel_size={0.kernel_size}, stride={0.stride}, padding={0.padding}"

    def __init__(
        self,
        kernel_size: Pair,
        stride: Pair | None = None,
        padding: Pair = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding, self.ceil_mode = padding, ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def forward(self, input: Tensor) -> Tensor:
        """Take the mean of each window."""
        return avg_pool2d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )


class _Affine(_Layer):
    """A normalisation with a weight γ, at first 1, and a bias β, at first 0."""

    def _affine_parameters(
        self, size: Sequence[int], weight: bool, bias: bool, **like: Any
    ) -> None:
        self._parameter("weight", size if weight else None, **like)
        self._parameter("bias", size if weight and bias else None, **like)

    def reset_parameters(self) -> None:
        with torch.no_grad():
            if self.weight is not None:
                self.weight.fill_(1)
            if self.bias is not None:
                self.bias.zero_()

    def extra_repr(self) -> str:
        return self._shown.format(self, self.bias is not None)


class _Running(_Affine):
    """A normalisation that keeps running statistics."""

    _version = 2  # of the state_dict: it has num_batches_tracked
    _shown = (
        "{0.num_features}, eps={0.eps}, momentum={0.momentum}, affine={0.affine}, "
        "bias={1}, track_running_stats={0.track_running_stats}"
    )

    def __init__(
        self,
        num_features: int,
        eps: float,
        momentum: float | None,
        affine: bool,
        track_running_stats: bool,
        device: Device,
        dtype: Dtype,
        bias: bool,
    ) -> None:
        super().__init__()
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        like = {"device": device, "dtype": dtype}
        self._affine_parameters((num_features,), affine, bias, **like)
        names = "running_mean", "running_var"
        for name in names:
            value = torch.empty(num_features, **like) if track_running_stats else None
            self.register_buffer(name, value)
        count = torch.tensor(0, device=device) if track_running_stats else None
        self.register_buffer("num_batches_tracked", count)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        if self.track_running_stats:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        self.reset_running_stats()
        super().reset_parameters()


class _BatchNorm(_Running):
    _axes: tuple[int, ...]

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Device = None,
        dtype: Dtype = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(
            num_features,
            eps,
            momentum,
            affine,
            track_running_stats,
            device,
            dtype,
            bias,
        )

    def forward(self, input: Tensor) -> Tensor:
        _check_axes(input, self._axes)
        momentum = 0.0 if self.momentum is None else self.momentum
        if self.training and self.track_running_stats:
            self.num_batches_tracked.add_(1)
            if self.momentum is None:
                momentum = 1 / self.num_batches_tracked.item()  # eq-cumulative-average
        use_running = not self.training or self.track_running_stats
        return batch_norm(
            input,
            self.running_mean if use_running else None,
            self.running_var if use_running else None,
            self.weight,
            self.bias,
            self.training or self.running_mean is None,
            momentum,
            self.eps,
        )


class BatchNorm1d(_BatchNorm):
    """:func:`lib.norm.batch_norm` of ``(N, C)`` or ``(N, C, L)``, with its state.

    As ``torch.nn.BatchNorm1d``: ``momentum`` weighs the new batch, and ``None`` gives
    every batch so far the same weight.
    """

    _axes = (2, 3)


class BatchNorm2d(_BatchNorm):
    """:func:`lib.norm.batch_norm` of ``(N, C, H, W)``, as ``torch.nn.BatchNorm2d``."""

    _axes = (4,)


class InstanceNorm2d(_Running):
    """:func:`lib.norm.instance_norm` of ``(N, C, H, W)`` or of one image.

    As ``torch.nn.InstanceNorm2d``: by default without parameters or running statistics.
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Device = None,
        dtype: Dtype = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(
            num_features,
            eps,
            momentum,
            affine,
            track_running_stats,
            device,
            dtype,
            bias,
        )

    def forward(self, input: Tensor) -> Tensor:
        """Normalise each channel of each image."""
        _check_axes(input, (3, 4))
        channels = input.shape[-3]
        if channels != self.num_features:
            rule = f"input must have num_features = {self.num_features} channels"
            if self.affine:
                raise ValueError(f"{rule}, got {channels}")
            warnings.warn(f"{rule}, got {channels}: not used", stacklevel=2)
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


class LayerNorm(_Affine):
    """:func:`lib.norm.layer_norm` of the last axes, as ``torch.nn.LayerNorm``."""

    _shown = (
        "{0.normalized_shape}, eps={0.eps}, "
        "elementwise_affine={0.elementwise_affine}, bias={1}"
    )

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Device = None,
        dtype: Dtype = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = _shape(normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        like = {"device": device, "dtype": dtype}
        self._affine_parameters(self.normalized_shape, elementwise_affine, bias, **like)
        self.reset_parameters()

    def forward(self, input: Tensor) -> Tensor:
        """Normalise over the last axes."""
        shape, weight, bias = self.normalized_shape, self.weight, self.bias
        return layer_norm(input, shape, weight, bias, self.eps)


class GroupNorm(_Affine):
    """:func:`lib.norm.group_norm` of groups of channels, as ``torch.nn.GroupNorm``."""

    _shown = (
        "{0.num_groups}, {0.num_channels}, eps={0.eps}, affine={0.affine}, bias={1}"
    )

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Device = None,
        dtype: Dtype = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if num_groups < 1 or num_channels % num_groups:
            rule = f"num_groups must divide num_channels = {num_channels}"
            raise ValueError(f"{rule}, got {num_groups}")
        self.num_groups, self.num_channels = num_groups, num_channels
        self.eps, self.affine = eps, affine
        like = {"device": device, "dtype": dtype}
        self._affine_parameters((num_channels,), affine, bias, **like)
        self.reset_parameters()

    def forward(self, input: Tensor) -> Tensor:
        """Normalise each group of channels of each example."""
        return group_norm(input, self.num_groups, self.weight, self.bias, self.eps)


class RMSNorm(_Layer):
    """:func:`lib.norm.rms_norm` of the last axes, as ``torch.nn.RMSNorm``."""

    _shown = (
        "{0.normalized_shape}, eps={0.eps}, elementwise_affine={0.elementwise_affine}"
    )

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Device = None,
        dtype: Dtype = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = shape = _shape(normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        like = {"device": device, "dtype": dtype}
        self._parameter("weight", shape if elementwise_affine else None, **like)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the weight to 1."""
        if self.weight is not None:
            with torch.no_grad():
                self.weight.fill_(1)

    def forward(self, input: Tensor) -> Tensor:
        """Divide by the root of the mean square over the last axes."""
        return rms_norm(input, self.normalized_shape, self.weight, self.eps)


class _Dropout(_Layer):
    _shown = "p={0.p}, inplace={0.inplace}"

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"p must lie in [0, 1], got {p}")
        self.p, self.inplace = p, inplace


class Dropout(_Dropout):
    """:func:`lib.dropout.dropout` while training, as ``torch.nn.Dropout``."""

    def forward(self, input: Tensor) -> Tensor:
        """Drop single elements."""
        return dropout(input, self.p, self.training, self.inplace)


class Dropout2d(_Dropout):
    """:func:`lib.dropout.dropout2d` while training, as ``torch.nn.Dropout2d``."""

    def forward(self, input: Tensor) -> Tensor:
        """Drop whole channels."""
        return dropout2d(input, self.p, self.training, self.inplace)


class Sigmoid(_Layer):
    """:func:`lib.activation.sigmoid`, as ``torch.nn.Sigmoid``."""

    def forward(self, input: Tensor) -> Tensor:
        """Apply the function."""
        return sigmoid(input)


class Tanh(_Layer):
    """:func:`lib.activation.tanh`, as ``torch.nn.Tanh``."""

    def forward(self, input: Tensor) -> Tensor:
        """Apply the function."""
        return tanh(input)


class Softsign(_Layer):
    """:func:`lib.activation.softsign`, as ``torch.nn.Softsign``."""

    def forward(self, input: Tensor) -> Tensor:
        """Apply the function."""
        return softsign(input)


class ReLU(_Layer):
    """:func:`lib.activation.relu`, as ``torch.nn.ReLU``."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """Apply the function."""
        return relu(input, self.inplace)

    def extra_repr(self) -> str:
        """Write "inplace=True" if so."""
        return "inplace=True" if self.inplace else ""


class LeakyReLU(_Layer):
    """:func:`lib.activation.leaky_relu`, as ``torch.nn.LeakyReLU``."""

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__()
        self.negative_slope, self.inplace = negative_slope, inplace

    def forward(self, input: Tensor) -> Tensor:
        """Apply the function."""
        return leaky_relu(input, self.negative_slope, self.inplace)

    def extra_repr(self) -> str:
        """Write the slope, and "inplace=True" if so."""
        inplace = ", inplace=True" if self.inplace else ""
        return f"negative_slope={self.negative_slope}{inplace}"


class PReLU(_Layer):
    """:func:`lib.activation.prelu` with its slopes, as ``torch.nn.PReLU``."""

    _shown = "num_parameters={0.num_parameters}"

    def __init__(
        self,
        num_parameters: int = 1,
        init: float = 0.25,
        device: Device = None,
        dtype: Dtype = None,
    ) -> None:
        super().__init__()
        self.num_parameters, self.init = num_parameters, init
        self._parameter("weight", (num_parameters,), device=device, dtype=dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set every slope to ``init``."""
        with torch.no_grad():
            self.weight.fill_(self.init)

    def forward(self, input: Tensor) -> Tensor:
        """Apply the function."""
        return prelu(input, self.weight)


class CosineLinear(_Layer):
    """:func:`lib.norm.cosine_linear` with its weight: outputs are cosines.

    Args:
        in_features: Length of the inputs.
        out_features: Number of outputs.
        eps: Least norm that a vector is divided by.
        device: Of the weight.
        dtype: Of the weight.
    """

    _shown = "in_features={0.in_features}, out_features={0.out_features}, eps={0.eps}"

    def __init__(
        self,
        in_features: int,
        out_features: int,
        eps: float = 1e-8,
        device: Device = None,
        dtype: Dtype = None,
    ) -> None:
        super().__init__()
        self.in_features, self.out_features, self.eps = in_features, out_features, eps
        size = out_features, in_features
        self._parameter("weight", size, device=device, dtype=dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weight as :class:`Linear` does."""
        fan_in_uniform_(self.weight)

    def forward(self, input: Tensor) -> Tensor:
        """Take the cosine between the input and each row of the weight."""
        return cosine_linear(input, self.weight, self.eps)


class WeightNorm(_Layer):
    r"""A :class:`Linear` or :class:`Conv2d` whose weight has a length and a direction.

    .. math:: w = g \frac{v}{\lVert v \rVert}

    The layer loses its own weight to ``weight_v``; ``weight_g`` starts with the norms
    of v, so that nothing changes at first.

    Args:
        layer: The layer, taken over.
        dim: Axis whose slices have each their own length; ``None`` for one in all.

    Raises:
        ValueError: ``layer`` is neither, or has no weight of its own any more, or
            ``dim`` is not an axis of it.

    References:
        Salimans and Kingma (2016), arXiv:1602.07868.
    """

    _shown = "dim={0.dim}"

    def __init__(self, layer: Linear | Conv2d, dim: int | None = 0) -> None:
        super().__init__()
        if not isinstance(layer, _Weighted) or layer.weight is None:
            raise ValueError(f"layer must be a Linear or Conv2d of lib, got {layer}")
        v = layer.weight
        if dim is not None and not -v.ndim <= dim < v.ndim:
            raise ValueError(f"dim must be an axis of the weight or None, got {dim}")
        self.dim = dim if dim is None else dim % v.ndim
        axes = [axis for axis in range(v.ndim) if axis != self.dim]
        squares = (v.detach() ** 2).sum(axes, keepdim=dim is not None)
        self.weight_g, self.weight_v = Parameter(squares.sqrt()), v
        layer.weight = None
        self.layer = layer

    def forward(self, input: Tensor) -> Tensor:
        """Apply the layer with the weight g v / ‖v‖."""
        weight = weight_norm(self.weight_v, self.weight_g, self.dim)
        return self.layer._apply_weight(input, weight)


_OURS = (
    Linear,
    Conv2d,
    MaxPool2d,
    AvgPool2d,
    BatchNorm1d,
    BatchNorm2d,
    InstanceNorm2d,
    LayerNorm,
    GroupNorm,
    RMSNorm,
    Dropout,
    Dropout2d,
    Sigmoid,
    Tanh,
    Softsign,
    ReLU,
    LeakyReLU,
    PReLU,
)
_COUNTERPARTS = {getattr(torch.nn, ours.__name__): ours for ours in _OURS}


def convert(model: Module) -> Module:
    """Swap every layer of torch that has a counterpart here for it, in place.

    Parameters, buffers, training mode and every other attribute are the same objects
    as before, so that an optimiser goes on working. A layer that is used in several
    places stays one layer. What has no counterpart is left alone: containers, losses,
    layers of the reader's own, also those derived from torch's.

    Args:
        model: Any module, possibly itself such a layer.

    Returns:
        The model, or what replaces it if it is itself such a layer.

    Raises:
        ValueError: A layer cannot be swapped without changing what it does: it has
            hooks, is parametrised, compiled or not yet initialised, has a ``forward``
            of its own, or a ``padding_mode`` other than "zeros". The model is then as
            it was.
    """
    for name, layer in model.named_modules():
        _check_convertible(name, layer)
    swapped = {
        layer: _counterpart(layer)
        for layer in model.modules()
        if type(layer) in _COUNTERPARTS
    }
    for module in [*model.modules(), *swapped.values()]:
        for name, child in module._modules.items():
            module._modules[name] = swapped.get(child, child)
    return swapped.get(model, model)


def _counterpart(layer: Module) -> Module:
    ours = _COUNTERPARTS[type(layer)]
    new = ours.__new__(ours)
    vars(new).update(vars(layer))  # torch's attributes are ours
    return new


def _check_convertible(name: str, layer: Module) -> None:
    if not isinstance(layer, tuple(_COUNTERPARTS)):
        return
    faults = {
        "initialised": isinstance(layer, LazyModuleMixin),
        "without parametrisation": is_parametrized(layer),
    }
    if type(layer) in _COUNTERPARTS:
        held = vars(layer)
        faults |= {
            "without hooks": any(v for k, v in held.items() if k.endswith("_hooks")),
            "without a forward of its own": "forward" in held,
            "not compiled": held.get("_compiled_call_impl") is not None,
            "padded with zeros": getattr(layer, "padding_mode", "zeros") != "zeros",
        }
    for rule, fault in faults.items():
        if fault:
            raise ValueError(
                f"layer {name!r} must be {rule} to be swapped, got {layer}"
            )


def _pair(value: Pair) -> tuple[int, int]:
    return (value, value) if isinstance(value, numbers.Integral) else tuple(value)


def _shape(value: int | Sequence[int]) -> tuple[int, ...]:
    return (value,) if isinstance(value, numbers.Integral) else tuple(value)


def _check_axes(input: Tensor, axes: tuple[int, ...]) -> None:
    if input.ndim not in axes:
        counts = " or ".join(map(str, axes))
        shape = tuple(input.shape)
        raise ValueError(f"input must have {counts} axes, got shape {shape}")


def _check_conv(
    in_channels: int,
    out_channels: int,
    stride: Pair,
    padding: Pair | str,
    groups: int,
    padding_mode: str,
) -> None:
    if groups < 1 or in_channels % groups or out_channels % groups:
        rule = f"groups must divide {in_channels} and {out_channels} channels"
        raise ValueError(f"{rule}, got {groups}")
    if isinstance(padding, str) and padding not in ("same", "valid"):
        raise ValueError(f"padding must be a size, 'same' or 'valid', got {padding!r}")
    if padding == "same" and _pair(stride) != (1, 1):
        raise ValueError(f"stride must be 1 with padding='same', got {stride}")
    if padding_mode != "zeros":
        raise ValueError(f"padding_mode must be 'zeros', got {padding_mode!r}")
