"""The library of *Deep Learning, Derived*: what the chapters derive, and no more.

=============  ==================================================================
``normal``     the normal distribution and kernel density estimates
``check``      ``verify``: compare an equation with a measurement
``explore``    explorers (interactive figures) and the source of a function
``plot``       the style of the figures
=============  ==================================================================
"""

from lib.normal import (
    gaussian_kde,
    normal_cdf,
    normal_cdf_backward,
    normal_entropy,
    normal_entropy_backward,
    normal_log_pdf,
    normal_log_pdf_backward,
    normal_pdf,
    normal_pdf_backward,
    normal_quantile,
    normal_quantile_backward,
    normal_sample,
    scott_bandwidth,
)

__all__ = [
    "gaussian_kde",
    "normal_cdf",
    "normal_cdf_backward",
    "normal_entropy",
    "normal_entropy_backward",
    "normal_log_pdf",
    "normal_log_pdf_backward",
    "normal_pdf",
    "normal_pdf_backward",
    "normal_quantile",
    "normal_quantile_backward",
    "normal_sample",
    "scott_bandwidth",
]
