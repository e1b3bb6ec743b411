"""What the functions of the library share: their derivative, their checks."""

import functools
import inspect
from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def differentiable(backward: Callable, *names: str) -> Callable:
    """Make torch differentiate a function by ``backward``, which the book derives.

    ``backward(grad_output, ...)`` takes the function's own arguments, those that it
    needs by their names, or the function's ``output``, and returns the gradients
    with respect to the arguments called ``names``. It is made of differentiable
    operations on these, so that second derivatives are right as well. A parameter
    ``output_mask`` tells it which of the gradients are wanted.
    """
    needs = list(inspect.signature(backward).parameters)[1:]

    def decorate(function: Callable) -> Callable:
        signature = inspect.signature(function)
        order = list(signature.parameters)
        kept = [name for name in needs if name in (*order, "output")]
        defaults = [p.default for p in signature.parameters.values()]
        least = defaults.count(inspect.Parameter.empty)

        class Derived(torch.autograd.Function):
            @staticmethod
            def forward(*args):
                output = function(*args)
                if torch.compiler.is_compiling() and torch.is_tensor(output):
                    # Dynamo of torch 2.11 loses the gradient of what is not new.
                    return output.clone()
                return output

            @staticmethod
            def setup_context(ctx, inputs, output):
                values = dict(zip(order, inputs, strict=True)) | {"output": output}
                values = [values[name] for name in kept]
                tensors = [v if torch.is_tensor(v) else None for v in values]
                ctx.values = [None if torch.is_tensor(v) else v for v in values]
                ctx.save_for_backward(*tensors)

            @staticmethod
            def backward(ctx, grad_output):
                pairs = zip(ctx.values, ctx.saved_tensors, strict=True)
                values = [v if t is None else t for v, t in pairs]
                arguments = dict(zip(kept, values, strict=True))
                if "output_mask" in needs:
                    wanted = [ctx.needs_input_grad[order.index(n)] for n in names]
                    arguments["output_mask"] = wanted
                grads = backward(grad_output, **arguments)
                grads = (grads,) if torch.is_tensor(grads) else grads
                named = dict(zip(names, grads, strict=True))
                return tuple(named.get(name) for name in order)

        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            if kwargs or not least <= len(args) <= len(order):
                arguments = signature.bind(*args, **kwargs)
                arguments.apply_defaults()
                args = arguments.args
            return Derived.apply(*args, *defaults[len(args) :])

        return wrapper

    return decorate


def widen(tensor: Tensor | None) -> Tensor | None:
    """Float32 at least: 16-bit numbers are summed, and exponentiated, in 32 bits."""
    half = tensor is not None and tensor.dtype in (torch.float16, torch.bfloat16)
    return tensor.float() if half else tensor


def check(holds: bool, name: str, rule: str, got: object) -> None:
    """Raise the error that every function raises for an argument it cannot use."""
    if not holds:
        raise ValueError(f"{name} must {rule}, got {got}")


def check_floating(**tensors: object) -> None:
    """Refuse what is no tensor of real numbers; ``None`` stands for one left out."""
    for name, t in tensors.items():
        if t is not None and not (torch.is_tensor(t) and t.is_floating_point()):
            got = t.dtype if torch.is_tensor(t) else type(t).__name__
            raise ValueError(f"{name} must be a tensor of a floating dtype, got {got}")


def check_alike(**tensors: Tensor | None) -> None:
    """Refuse tensors that are not floating, of the first one's dtype and device."""
    check_floating(**tensors)
    first, like = next(iter(tensors.items()))
    for name, t in tensors.items():
        if t is not None and (t.dtype, t.device) != (like.dtype, like.device):
            rule = f"be {like.dtype} on {like.device}, as {first} is"
            check(False, name, rule, f"{t.dtype} on {t.device}")


def check_shape(name: str, tensor: Tensor | None, shape: Sequence[int]) -> None:
    """Refuse a tensor of another shape."""
    if tensor is not None and tensor.shape != tuple(shape):
        check(False, name, f"have shape {tuple(shape)}", tuple(tensor.shape))


def check_images(name: str, size: Sequence[int]) -> None:
    """Refuse a shape that is neither a batch of images nor a single one."""
    rule = "have shape (N, C, H, W) or (C, H, W), only N may be 0"
    check(len(size) in (3, 4) and 0 not in size[-3:], name, rule, tuple(size))


def check_integer(name: str, value: object, least: int) -> None:
    """Refuse all but integers from ``least`` on."""
    ok = isinstance(value, int) and not isinstance(value, bool) and value >= least
    check(ok, name, f"be an integer, at least {least}", value)


def pair(name: str, value: int | Sequence[int], least: int) -> tuple[int, int]:
    """Height and width, from one number for both or from two."""
    values = tuple(value) if isinstance(value, list | tuple) else (value,)
    check(len(values) in (1, 2), name, "be an integer or a pair of integers", value)
    for v in values:
        check_integer(name, v, least)
    return values[0], values[-1]


def check_inplace(input: Tensor) -> None:
    """Refuse to overwrite a leaf (or a view of one) that awaits a gradient."""
    base = input._base if input._is_view() else input
    awaits = torch.is_grad_enabled() and base.requires_grad and base.is_leaf
    rule = "not be (a view of) a leaf that requires grad, to be overwritten"
    check(not awaits, "input", rule, f"shape {tuple(input.shape)}")
