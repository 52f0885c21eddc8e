"""Fresh weights drawn as Keras draws them."""

from typing import Literal

from torch import nn

Initialisation = Literal["torch", "keras"]


def initialise_as_keras(network: nn.Module) -> None:
    """Draw the weights of linear layers and convolutions anew; biases become 0.

    Keras's defaults, Glorot & Bengio 2010, equation 16. PyTorch's own make a linear layer's weights
    about half as large and a depthwise convolution's eight times as large.

    Args:
        network: whose other weights, such as those of normalisation, stay as they are.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
