"""lib.whitening against what the fits promise."""

import pytest
import torch

from lib import whitening

F64 = torch.float64


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


@pytest.mark.parametrize("fit", [whitening.pca_whitening, whitening.zca_whitening])
def test_whitening(fit):
    data = (random(200, 4) @ random(4, 4, seed=1) + 5).requires_grad_()
    mean, transform = fit(data, eps=0)
    assert not transform.requires_grad
    white = (data - mean) @ transform.T
    covariance = white.T @ white / len(data)
    torch.testing.assert_close(covariance, torch.eye(4, dtype=F64))
    torch.testing.assert_close(mean, data.mean(0))
    sigma = torch.cov(data.T, correction=0)
    _, shrunk = fit(data, eps=0.5)
    inverse = torch.linalg.inv(sigma + 0.5 * torch.eye(4, dtype=F64))
    torch.testing.assert_close(shrunk.T @ shrunk, inverse)
    if fit is whitening.zca_whitening:
        torch.testing.assert_close(transform, transform.T)
        assert (torch.linalg.eigvalsh(transform) > 0).all()
    else:
        lengths = transform.norm(dim=1)
        assert (lengths.diff() > 0).all()  # the widest axis first
        top = transform.gather(1, transform.abs().argmax(1, keepdim=True))
        assert (top > 0).all()
    degenerate = data.detach() * torch.tensor([1.0, 1, 1, 0])
    assert fit(degenerate)[1].isfinite().all()
    with pytest.raises(ValueError, match="^data must vary in every direction"):
        fit(degenerate, 0.0)
    assert fit(data.detach().bfloat16())[1].dtype == torch.bfloat16


@pytest.mark.parametrize("fit", [whitening.pca_whitening, whitening.zca_whitening])
def test_defaults_and_limits(fit):
    two = torch.tensor([[0.0], [2.0]], dtype=F64)  # the fewest: variance 1
    mean, transform = fit(two)
    assert mean.item() == 1
    assert transform.item() == pytest.approx((1 + 1e-5) ** -0.5, rel=1e-12)
    narrow = torch.tensor([[0.0, 1e-3], [2.0, -1e-3], [1.0, 2e-3]], dtype=F64)
    assert fit(narrow, 0.0)[1].isfinite().all()
    with pytest.raises(ValueError, match="^data must vary in every direction"):
        fit(narrow * torch.tensor([1.0, 1e-9]), 0.0)


ERRORS = [
    ("pca_whitening", (torch.ones(3),), "data must have shape"),
    ("pca_whitening", (torch.ones(1, 3),), "data must have shape"),
    ("pca_whitening", (torch.ones(3, 3), -1.0), "eps must be non-negative"),
    ("pca_whitening", (torch.ones(3, 3), 0.0), "data must vary in every direction"),
    ("zca_whitening", (torch.ones(3, 3).long(),), "data must be a tensor"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda e: f"{e[0]}: {e[2]}")
def test_errors(error):
    name, args, message = error
    with pytest.raises(ValueError, match=f"^{message}"):
        getattr(whitening, name)(*args)
