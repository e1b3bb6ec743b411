"""The library of *Deep Learning, Derived*: what the chapters derive, and no more.

===============  ================================================================
``normal``       the normal distribution and kernel density estimates
``conv``         convolution and the linear layer
``pool``         pooling, sub-sampling, up-sampling
``activation``   activation functions and their moments under a normal input
``loss``         softmax and cross-entropy
``init``         initialisation of weights
``norm``         batch, layer, instance, group and root-mean-square normalisation
``weightnorm``   weight normalisation, cosine normalisation
``whitening``    PCA and ZCA whitening
``dropout``      dropout of units and of channels
``nn``           the same as modules, and ``convert`` for a model of torch's
``train``        gradient descent, evaluation, statistics of layers
``data``         the data of the experiments
``check``        ``verify``: compare an equation with a measurement
``explore``      the source of a function as a cell's output, and explorers' base
``explorers``    interactive figures
``plot``         the style of the figures
===============  ================================================================

The functions of the rooms from ``normal`` to ``dropout`` are names of ``lib`` itself.
"""

from lib.activation import (
    activation_moments,
    leaky_relu,
    leaky_relu_backward,
    prelu,
    prelu_backward,
    relu,
    relu_backward,
    sigmoid,
    sigmoid_backward,
    softsign,
    softsign_backward,
    tanh,
    tanh_backward,
)
from lib.conv import (
    conv2d,
    conv2d_backward,
    conv2d_input_backward,
    conv2d_weight_backward,
    conv_output_size,
    im2col,
    linear,
    linear_backward,
)
from lib.dropout import (
    dropout,
    dropout2d,
    dropout_backward,
)
from lib.init import (
    calculate_fan,
    calculate_gain,
    fan_in_uniform_,
    kaiming_normal_,
    kaiming_uniform_,
    orthogonal_,
    xavier_normal_,
    xavier_uniform_,
)
from lib.loss import (
    cross_entropy,
    cross_entropy_backward,
    log_softmax,
    log_softmax_backward,
    softmax,
    softmax_backward,
)
from lib.norm import (
    batch_norm,
    batch_norm_backward,
    fold_batch_norm,
    group_norm,
    group_norm_backward,
    instance_norm,
    instance_norm_backward,
    layer_norm,
    layer_norm_backward,
    rms_norm,
    rms_norm_backward,
)
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
from lib.pool import (
    avg_pool2d,
    avg_pool2d_backward,
    max_pool2d,
    max_pool2d_backward,
    subsample2d,
    subsample2d_backward,
    upsample_kronecker,
    upsample_kronecker_backward,
)
from lib.weightnorm import (
    cosine_linear,
    cosine_linear_backward,
    weight_norm,
    weight_norm_backward,
)
from lib.whitening import (
    pca_whitening,
    zca_whitening,
)
