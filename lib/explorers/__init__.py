"""The explorers: figures with controls that need neither kernel nor network."""

from lib.explorers.convolution import ConvolutionExplorer
from lib.explorers.dropout import DropoutExplorer
from lib.explorers.initialization import InitializationExplorer
from lib.explorers.normal import NormalExplorer
from lib.explorers.normalization import NormalizationExplorer

__all__ = [
    "ConvolutionExplorer",
    "DropoutExplorer",
    "InitializationExplorer",
    "NormalExplorer",
    "NormalizationExplorer",
]
