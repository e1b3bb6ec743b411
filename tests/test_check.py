"""verify: what it accepts, what it prints, and that it refuses what cannot fail."""

import numpy as np
import pytest
import torch

from lib.check import verify


@pytest.mark.parametrize(
    ("measured", "predicted", "options", "line"),
    [
        (1.003, 1.0, {"rtol": 0.02}, "1.003 ≈ 1.000 (rtol 0.02)"),
        (torch.tensor(2.0), np.float64(2), {}, "2.000 ≈ 2.000 (rtol 1e-10)"),
        ([1.0, -3.0], [1.0, -3.0], {}, "-3.000 ≈ -3.000 (rtol 1e-10, 2 values)"),
        (1e-17, 0, {"scale": 1.0}, "0 ≈ 0 (rtol 1e-10)"),
        (-1e-17, 1e-18, {"scale": 1.0}, "0 ≈ 0 (rtol 1e-10)"),
        (0.51, 0.5, {"se": 0.004}, "0.5100 ≈ 0.5000 (4 se of 0.004)"),
        (0.51, 0.5, {"se": 0.004, "z": 3}, "0.5100 ≈ 0.5000 (3 se of 0.004)"),
        ([1.1, 5], [1, 5], {"se": [0.1, 0.2]}, "5.000 ≈ 5.000 (4 se of 0.2, 2 values)"),
        (
            [torch.tensor(2.0, requires_grad=True)],
            [2],
            {},
            "2.000 ≈ 2.000 (rtol 1e-10)",
        ),
        (len("abc"), 3, {}, "3.000 ≈ 3.000 (rtol 1e-10)"),
    ],
    ids=[
        "rtol",
        "exact",
        "list",
        "zero",
        "minus-zero",
        "se",
        "z",
        "ses",
        "grad",
        "int",
    ],
)
def test_line(capsys, measured, predicted, options, line):
    verify("eq-some-name", measured, predicted, **options)
    assert capsys.readouterr().out == f"eq-some-name  ✓  {line}\n"


@pytest.mark.parametrize("noise", [-1e-15, 0.0, 1e-15])
def test_line_does_not_depend_on_the_last_bits(capsys, noise):
    # 13/32 = 0.40625 is a tie at four digits; 2 and 2 tie for the largest element
    verify("eq-tie", 13 / 32 * (1 + noise), torch.tensor(0.40625))
    verify("eq-largest", [2 + 5e-11, 2 + noise], torch.tensor([2.0, 2 + noise]))
    assert capsys.readouterr().out == (
        "eq-tie  ✓  0.4062 ≈ 0.4062 (rtol 1e-10)\n"
        "eq-largest  ✓  2.000 ≈ 2.000 (rtol 1e-10, 2 values)\n"
    )


@pytest.mark.parametrize(
    ("measured", "predicted", "options"),
    [
        (1.0 + 2e-10, 1.0, {}),
        (1.03, 1.0, {"rtol": 0.02}),
        ([1.0, 2.1], [1.0, 2.0], {"rtol": 0.02}),
        ([1.0, 1e-3], [1.0, 0.0], {"scale": 1.0}),
        (0.52, 0.5, {"se": 0.004}),
        ([1.5, 5.0], [1.0, 5.0], {"se": torch.tensor([0.1, 0.2])}),
    ],
    ids=["default", "rtol", "one-element", "scale", "se", "ses"],
)
def test_failure_names_label_and_both_values(measured, predicted, options):
    with pytest.raises(AssertionError, match=r"eq-x: measured .*, predicted .*allowed"):
        verify("eq-x", measured, predicted, **options)


def test_failure_shows_the_worst_element():
    with pytest.raises(
        AssertionError, match=r"measured 2\.5, predicted 2 \(element 1 of 3"
    ):
        verify("eq-x", [1.0, 2.5, 3.1], [1.0, 2.0, 3.0])


shared = torch.tensor([1.0, 2.0])


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("normal", 1.0, 1.5), {}, "label must look like"),
        (("eq-X", 1.0, 1.5), {}, "label must look like"),
        (("eq-x", [1.0], 1.5), {}, r"equal shapes, got \(1,\) and \(\)"),
        (("eq-x", [], []), {}, "measured must have elements"),
        (("eq-x", float("nan"), 1.0), {}, "measured must be finite"),
        (("eq-x", 1.0, float("inf")), {}, "predicted must be finite"),
        (("eq-x", 1j, 1.5), {}, "measured must be real"),
        (("eq-x", shared, shared), {}, "computed apart"),
        (("eq-x", shared, shared.view(2)), {}, "computed apart"),
        (("eq-x", shared, shared.numpy()), {}, "computed apart"),
        (("eq-x", shared.numpy(), shared.numpy()[::-1]), {}, "computed apart"),
        (("eq-x", literal := 1.5, literal), {}, "computed apart"),
        (("eq-x", 1.0, 1.5), {"rtol": 1.0}, r"rtol must lie in \(0, 1\), got 1.0"),
        (("eq-x", 1.0, 1.5), {"rtol": 0}, "rtol must lie in"),
        (("eq-x", 1.0, 0), {}, "scale must be given where predicted is 0"),
        (("eq-x", [1.0, 0.5], [1.0, 0.0]), {}, "scale must be given"),
        (("eq-x", 1.0, 0), {"scale": -1.0}, "scale must be positive"),
        (
            ("eq-x", 1.0, 0),
            {"scale": float("inf")},
            "scale must be positive and finite",
        ),
        (("eq-x", 1.0, 1.5), {"se": 0.5}, "below the size of what is compared"),
        (("eq-x", 1.0, 0), {"se": 0.1}, "scale must be given where predicted is 0"),
        (("eq-x", 1.0, 1.5), {"se": -0.1}, r"z \* se must be positive"),
        (("eq-x", [1.0, 2.0], [1.0, 2.0]), {"se": [0.1, 0.6]}, r"z \* se must be"),
        (("eq-x", 1.0, 1.5), {"se": 0.1, "z": 0}, r"z \* se must be positive"),
        (
            ("eq-x", 1.0, 1.5),
            {"se": 0.1, "rtol": 0.1},
            "rtol must not be given with se",
        ),
    ],
)
def test_refuses(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        verify(*arguments, **options)


def test_keeps_all_digits_of_python_numbers():
    with pytest.raises(AssertionError, match=r"measured 1\.000000001, predicted 1;"):
        verify("eq-x", 1.000000001, 1.0)
