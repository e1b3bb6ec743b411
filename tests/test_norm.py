"""lib.norm against torch, its own derivatives, and what the formulas promise."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import grad, gradcheck, gradgradcheck

from lib import norm

F64 = torch.float64
# name, further arguments, shape of the input, shape of the parameters
CASES = {
    "batch 2d": ("batch_norm", (), (5, 3), (3,)),
    "batch 4d": ("batch_norm", (), (4, 3, 2, 5), (3,)),
    "layer": ("layer_norm", ((4,),), (5, 3, 4), (4,)),
    "layer 2 axes": ("layer_norm", ((3, 4),), (5, 3, 4), (3, 4)),
    "layer all": ("layer_norm", ((3, 4),), (3, 4), (3, 4)),
    "instance": ("instance_norm", (), (3, 2, 6), (2,)),
    "instance 4d": ("instance_norm", (), (1, 2, 3, 2), (2,)),
    "group": ("group_norm", (2,), (3, 4, 3, 2), (4,)),
    "group 2d": ("group_norm", (2,), (3, 6), (6,)),
    "group 1": ("group_norm", (1,), (3, 4, 2), (4,)),
    "rms": ("rms_norm", ((4,),), (5, 3, 4), (4,)),
    "rms 2 axes": ("rms_norm", ((3, 4),), (5, 3, 4), (3, 4)),
}
every_case = pytest.mark.parametrize("case", CASES)


def random(*shape, dtype=F64, seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=g, dtype=F64).to(dtype)


def calls(case, training=True, module=F, **options):
    """The function of one case as f(x, weight[, bias]), for torch or for ours."""
    name, more, _, _ = CASES[case]
    function, c = getattr(module, name), CASES[case][2][1]
    if name in ("batch_norm", "instance_norm"):
        switch = "training" if name == "batch_norm" else "use_input_stats"
        mean = random(c, seed=8) if not training else None
        var = random(c, seed=9).square() + 0.5 if not training else None
        options |= {switch: training}
        return lambda x, *p: function(
            x, *(t if t is None else t.to(x.dtype) for t in (mean, var)), *p, **options
        )
    return lambda x, *p: function(x, *more, *p, **options)


def tensors(case, dtype=F64):
    name, _, shape, channel = CASES[case]
    x = random(*shape, seed=1) * 2 + 3
    parameters = [random(*channel, seed=2), random(*channel, seed=3)]
    parameters = parameters[: 1 if name == "rms_norm" else 2]
    return [t.to(dtype).requires_grad_() for t in (x, *parameters)]


def compare(ours, theirs, inputs, **tolerance):
    a, b = ours(*inputs), theirs(*inputs)
    torch.testing.assert_close(a, b, **tolerance)
    g = random(*a.shape, dtype=a.dtype, seed=4)
    asked = [t for t in inputs if t is not None and t.requires_grad]
    torch.testing.assert_close(grad(a, asked, g), grad(b, asked, g), **tolerance)


@every_case
@pytest.mark.parametrize("options", [{}, {"eps": 0.3}])
@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_agrees_with_torch(case, dtype, options):
    tolerance = {"rtol": 1e-5, "atol": 5e-6} if dtype == torch.float32 else {}
    inputs = tensors(case, dtype)
    ours, theirs = (calls(case, module=m, **options) for m in (norm, F))
    compare(ours, theirs, inputs, **tolerance)
    compare(ours, theirs, inputs[:1], **tolerance)
    compare(ours, theirs, inputs[:2], **tolerance)
    if len(inputs) == 3:
        one = torch.ones_like(inputs[1])  # torch's own group_norm fails without weight
        compare(
            lambda x, b: ours(x, None, b),
            lambda x, b: theirs(x, one, b),
            [inputs[0], inputs[2]],
            **tolerance,
        )


@pytest.mark.parametrize("case", ["batch 2d", "batch 4d", "instance", "instance 4d"])
def test_fixed_statistics(case):
    ours, theirs = (calls(case, False, m, eps=0.1) for m in (norm, F))
    inputs = tensors(case)
    compare(ours, theirs, inputs)
    assert gradcheck(ours, inputs)
    assert gradgradcheck(ours, inputs)


@every_case
def test_gradients(case):
    """First and second, with weight and bias and without."""
    f, inputs = calls(case, module=norm), tensors(case)
    assert gradcheck(f, inputs)
    assert gradgradcheck(f, inputs)
    assert gradgradcheck(f, inputs[:1])


@every_case
@pytest.mark.parametrize("training", [True, False])
def test_backward_is_the_one_used(case, training):
    name, more, shape, _ = CASES[case]
    c = shape[1]
    x, *parameters = tensors(case)
    args, options = list(more), {}
    if name in ("batch_norm", "instance_norm"):
        args = [random(c), random(c).square() + 1]
        options["training" if name == "batch_norm" else "use_input_stats"] = training
    before = [a.clone() for a in args if torch.is_tensor(a)]
    g = random(*shape, seed=5)
    derived = getattr(norm, f"{name}_backward")(g, x, *args, *parameters, **options)
    for a, b in zip(args, before, strict=False):
        assert not torch.is_tensor(a) or torch.equal(a, b)
    y = getattr(norm, name)(x, *args, *parameters, **options)
    actual = grad(y, (x, *parameters), g)
    torch.testing.assert_close(actual, tuple(derived), rtol=1e-13, atol=1e-13)
    with pytest.raises(ValueError, match="^grad_output must have shape"):
        getattr(norm, f"{name}_backward")(g[:1, :1], x, *args, *parameters, **options)


@pytest.mark.parametrize("name", ["batch_norm", "instance_norm"])
@pytest.mark.parametrize("dtype", [torch.float32, F64, torch.bfloat16])
def test_running_statistics(name, dtype):
    stats = [[random(3).to(dtype), random(3).to(dtype) ** 2] for _ in range(2)]
    for seed in range(3):
        x = random(4, 3, 5, seed=seed).to(dtype).requires_grad_() * 2 + 1
        for f, pair in zip((F, norm), stats, strict=True):
            getattr(f, name)(x, *pair, None, None, True, 0.3)
    # torch rounds to bfloat16 after each operation, we once
    tolerance = {"rtol": 0.02, "atol": 0.01} if dtype == torch.bfloat16 else {}
    torch.testing.assert_close(stats[1], stats[0], **tolerance)
    assert not any(t.requires_grad for t in stats[1])


@every_case
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("wide", [False, True])
def test_small_dtypes(case, dtype, wide):
    """In the parameters' dtype, or with parameters in float32."""
    x, *parameters = (t.detach() for t in tensors(case, dtype))
    parameters = [p.float() if wide else p for p in parameters]
    inputs = [t.requires_grad_() for t in (x, *parameters)]
    f, exact = calls(case, module=norm), [t.detach().to(F64) for t in inputs]
    y, want = f(*inputs), calls(case)(*[t.requires_grad_() for t in exact])
    assert y.dtype == dtype
    eps = torch.finfo(dtype).eps
    torch.testing.assert_close(y.to(F64), want, rtol=eps, atol=1e-4)
    g = random(*y.shape, seed=6).to(dtype)
    for a, b, t in zip(
        grad(y, inputs, g), grad(want, exact, g.to(F64)), inputs, strict=True
    ):
        assert a.dtype == t.dtype
        torch.testing.assert_close(a.to(F64), b, rtol=eps, atol=1e-3)


def test_mixed_dtypes_are_those_of_torch():
    x, w = random(4, 3), torch.ones(3)
    for dtype, other in [(torch.float32, F64), (F64, torch.float32)]:
        with pytest.raises(ValueError, match="^weight must have the dtype of input"):
            norm.batch_norm(x.to(dtype), None, None, w.to(other), training=True)
        y = norm.rms_norm(x.to(dtype), (3,), w.to(other))
        torch.testing.assert_close(y, F.rms_norm(x.to(dtype), (3,), w.to(dtype)))
    with pytest.raises(ValueError, match="^weight and bias must have one dtype"):
        norm.layer_norm(x.bfloat16(), (3,), w.bfloat16(), w)
    with pytest.raises(
        ValueError, match="^weight and running_mean and running_var must have one"
    ):
        norm.batch_norm(x.half(), w, w, w.half(), training=True)
    with pytest.raises(ValueError, match=", or float32, got torch.float64$"):
        norm.group_norm(x.half(), 1, w.double())


@every_case
def test_empty(case):
    name, _, shape, _ = CASES[case]
    if case == "layer all":
        return
    _, *parameters = tensors(case)
    x = torch.empty(0, *shape[1:], dtype=F64, requires_grad=True)
    y = calls(case, module=norm)(x, *parameters)
    assert y.shape == x.shape
    grads = grad(y.sum(), (x, *parameters))
    assert all((g == 0).all() for g in grads)
    if name in ("batch_norm", "instance_norm"):
        mean, var = torch.zeros(shape[1]).double(), torch.ones(shape[1]).double()
        getattr(norm, name)(x, mean, var, None, None, True)
        assert (mean == 0).all()
        assert (var == 1).all()


@every_case
def test_strided(case):
    x, *parameters = tensors(case)
    f = calls(case, module=norm)
    swapped = x.detach().transpose(0, -1).contiguous().transpose(0, -1)
    assert x.ndim < 2 or not swapped.is_contiguous()
    torch.testing.assert_close(f(swapped, *parameters), f(x, *parameters))
    if x.ndim == 4:
        last = x.detach().to(memory_format=torch.channels_last).requires_grad_()
        compare(f, calls(case), [last, *parameters])


@pytest.mark.parametrize("case", ["batch 4d", "layer 2 axes", "instance", "group"])
def test_hard_values(case):
    f, x = calls(case, module=norm), tensors(case)[0]
    constant = torch.full_like(x, 1e4).float()
    y = f(constant)
    torch.testing.assert_close(y, torch.zeros_like(y))
    # Float32 numbers near 1e4 lie 1e-3 apart; deviations here are at least 0.2
    far = (x.detach() + 1e4).float()
    exact = f(far.double())
    torch.testing.assert_close(f(far).double(), exact, rtol=0, atol=1e-3 / 0.2)
    x = torch.full_like(x, math.nan)
    assert f(x).isnan().all()


@pytest.mark.parametrize("name", ["layer_norm", "group_norm", "instance_norm"])
def test_large_inputs_are_worked_on_in_blocks(name):
    x = random(5, 4, 300, 300, seed=1).float().requires_grad_()
    size = (4, 300, 300) if name == "layer_norm" else (4,)
    w, b = (random(*size, seed=i).float().requires_grad_() for i in (2, 3))
    option = {"layer_norm": (size,), "group_norm": (2,)}.get(name, ())
    stats = [[torch.zeros(4), torch.ones(4)] for _ in range(2)]
    calls = [
        (lambda *t, m=m, s=s: getattr(m, name)(t[0], *(option or s), *t[1:]))
        for m, s in zip((norm, F), stats, strict=True)
    ]
    assert norm._layout((5, 1, 4, 90000), (2, 3)).block == 1
    compare(*calls, [x, w, b], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(*stats)


def test_normalises():
    x = random(8, 6, 5) * 3 + 2
    for y, axes in [
        (norm.batch_norm(x, None, None, training=True, eps=1e-12), (0, 2)),
        (norm.layer_norm(x, (6, 5), eps=0), (1, 2)),
        (norm.instance_norm(x, eps=0), 2),
        (norm.group_norm(x, 1, eps=0), (1, 2)),
    ]:
        mean, square = y.mean(axes), y.square().mean(axes)
        torch.testing.assert_close(mean, torch.zeros_like(mean))
        torch.testing.assert_close(square, torch.ones_like(square))
    square = norm.rms_norm(x, (5,), eps=0).square().mean(-1)
    torch.testing.assert_close(square, torch.ones_like(square))


def test_family():
    x, w, b = random(4, 6, 5), random(6), random(6)
    one, each = norm.group_norm(x, 1), norm.group_norm(x, 6, w, b)
    torch.testing.assert_close(one, norm.layer_norm(x, (6, 5)))
    torch.testing.assert_close(each, norm.instance_norm(x, weight=w, bias=b))
    single = norm.batch_norm(x[:1], None, None, w, b, True)
    torch.testing.assert_close(single, norm.instance_norm(x[:1], weight=w, bias=b))


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_any_shape(data):
    draw = data.draw
    kind = draw(st.sampled_from(["batch", "layer", "instance", "group", "rms"]))
    groups, per = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    c, n = groups * per, draw(st.integers(0, 4))
    rest = draw(st.lists(st.integers(1, 4), max_size=3))
    eps = draw(st.sampled_from([1e-5, 1e-2, 1.0]))
    affine = draw(st.integers(0, 2))
    x = random(n, c, *rest, seed=draw(st.integers(0, 99))).requires_grad_()
    last = draw(st.integers(1, 1 + len(rest)))
    shape = x.shape[-last:] if kind in ("layer", "rms") else (c,)
    p = [random(*shape, seed=i).requires_grad_() for i in range(affine)]
    function = f"{kind}_norm"
    first = {
        "batch": (None, None),
        "instance": (None, None),
        "group": (groups,),
        "layer": (shape,),
        "rms": (shape,),
    }[kind]
    p = p[:1] if kind == "rms" else p
    options = {"eps": eps, **({"training": True} if kind == "batch" else {})}
    a = lambda x, *p: getattr(norm, function)(x, *first, *p, **options)  # noqa: E731
    b = lambda x, *p: getattr(F, function)(x, *first, *p, **options)  # noqa: E731
    try:
        b(x, *p)
    except (ValueError, IndexError):  # IndexError: torch on an empty batch
        if n > 0:
            with pytest.raises(ValueError, match="^input must have more than 1"):
                a(x, *p)
        return
    compare(a, b, [x, *p], rtol=1e-6, atol=1e-7)


def test_only_what_is_asked():
    x, w, b = tensors("layer")
    y = norm.layer_norm(x.detach(), (4,), w, b.detach())
    assert grad(y.sum(), w)[0].shape == w.shape
    with torch.no_grad():
        assert not norm.layer_norm(x, (4,), w, b).requires_grad


ERRORS = [
    ("batch_norm", (torch.ones(3, 4).long(), None, None), "input must be a tensor of"),
    ("batch_norm", (1.0, None, None), "input must be a tensor of .*, got float"),
    ("batch_norm", (torch.ones(3), None, None), "input must have at least 2 axes"),
    ("batch_norm", (torch.ones(3, 4), None, None), "running_mean and running_var must"),
    ("batch_norm", (torch.ones(3, 4), torch.ones(4), None), "running_mean and running"),
    ("batch_norm", (torch.ones(3, 4), torch.ones(3), torch.ones(4)), "running_mean m"),
    ("batch_norm", (torch.ones(3, 4), torch.ones(4), torch.ones(3)), "running_var mus"),
    ("batch_norm", (torch.ones(3, 4), None, None, torch.ones(3), None, True), "weight"),
    ("batch_norm", (torch.ones(3, 4), None, None, None, torch.ones(3), True), "bias"),
    ("batch_norm", (torch.ones(1, 4), None, None, None, None, True), "input must have"),
    ("batch_norm", (torch.ones(1, 4, 1), None, None, None, None, True), "input must"),
    (
        "batch_norm",
        (torch.ones(3, 4), None, None, None, None, True, 0.1, 0.0),
        "eps mu",
    ),
    (
        "batch_norm",
        (torch.ones(3, 4), *2 * [torch.ones(4)], None, None, False, 0.1, -1),
        "eps must be non-negative, got -1",
    ),
    (
        "batch_norm",
        (torch.ones(3, 4), torch.ones(4, requires_grad=True), torch.ones(4)),
        "running_mean must not require a gradient",
    ),
    ("layer_norm", (torch.ones(3, 4), ()), "normalized_shape must have at least one"),
    ("layer_norm", (torch.ones(3, 4), (3,)), "normalized_shape must be the last axes"),
    ("layer_norm", (torch.ones(4), (3, 4)), "normalized_shape must be the last axes"),
    (
        "layer_norm",
        (torch.ones(3, 4), (4,), torch.ones(1, 4)),
        "weight must have shape",
    ),
    ("layer_norm", (torch.ones(3, 4), (4,), None, torch.ones(1)), "bias must have sh"),
    ("layer_norm", (torch.ones(3, 4).long(), (4,)), "input must be a tensor"),
    ("layer_norm", (torch.ones(3, 4), (4,), None, None, -1.0), "eps must be non-neg"),
    ("instance_norm", (torch.ones(3, 4),), "input must have more than 1 spatial"),
    ("instance_norm", (torch.ones(3, 4, 1),), "input must have more than 1 spatial"),
    ("instance_norm", (torch.ones(3),), "input must have at least 2 axes"),
    (
        "instance_norm",
        (torch.ones(2, 4, 3), None, None, None, None, False),
        "running_m",
    ),
    ("instance_norm", (torch.ones(2, 4, 3), None, torch.ones(4)), "running_mean and"),
    ("instance_norm", (torch.ones(2, 4, 3), None, None, torch.ones(8)), "weight must"),
    ("group_norm", (torch.ones(4), 2), "input must have at least 2 axes"),
    ("group_norm", (torch.ones(2, 4).long(), 2), "input must be a tensor"),
    ("group_norm", (torch.ones(2, 4), 3), "num_groups must divide .*, 4, got 3"),
    ("group_norm", (torch.ones(2, 4), 0), "num_groups must divide"),
    ("group_norm", (torch.ones(2, 4), -2), "num_groups must divide"),
    (
        "group_norm",
        (torch.ones(1, 4), 4),
        "input must have more than 1 value per group",
    ),
    ("group_norm", (torch.ones(2, 4), 2, torch.ones(2)), "weight must have shape"),
    ("group_norm", (torch.ones(2, 4), 2, None, None, -1.0), "eps must be non-negative"),
    ("rms_norm", (torch.ones(3, 4), (3,)), "normalized_shape must be the last axes"),
    ("rms_norm", (1.0, (3,)), "input must be a tensor"),
    ("rms_norm", (torch.ones(3, 4), (4,), torch.ones(1)), "weight must have shape"),
    ("rms_norm", (torch.ones(3, 4), (4,), None, -1.0), "eps must be non-negative"),
    (
        "fold_batch_norm",
        (torch.ones(3), None, *2 * [torch.ones(3)]),
        "weight must have",
    ),
    ("fold_batch_norm", (torch.ones(3, 2), None, *2 * [torch.ones(2)]), "running_mean"),
    (
        "fold_batch_norm",
        (torch.ones(3, 2), None, *2 * [torch.ones(3)], None, None, -1.0),
        "eps must be non-negative",
    ),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda e: f"{e[0]}: {e[2]}")
def test_errors(error):
    name, args, message = error
    with pytest.raises(ValueError, match=f"^{message}"):
        getattr(norm, name)(*args)


@pytest.mark.parametrize("layer", [F.linear, F.conv2d])
@pytest.mark.parametrize("optional", [True, False])
def test_fold(layer, optional):
    shape = (5, 4) if layer is F.linear else (5, 4, 3, 3)
    x = random(6, 4) if layer is F.linear else random(2, 4, 6, 6)
    w, mean, var = random(*shape, seed=1), random(5, seed=2), random(5, seed=3) ** 2
    b, gamma, beta = (random(5, seed=i) if optional else None for i in (4, 5, 6))
    want = F.batch_norm(layer(x, w, b), mean, var, gamma, beta, eps=1e-3)
    actual = layer(x, *norm.fold_batch_norm(w, b, mean, var, gamma, beta, 1e-3))
    torch.testing.assert_close(actual, want, rtol=1e-12, atol=1e-12)
