"""GELU is fused into a product where that changes nothing, and left where it would."""

import numpy as np
import pytest
import torch
from torch import nn

from cosup.embedding.backbones.fused_gelu import fuse_gelu
from cosup.utils.matmul import onednn_linear

pytestmark = pytest.mark.skipif(onednn_linear() is None, reason="oneDNN's products are not the faster ones here")


class Perceptron(nn.Module):
    """The activation is registered first, as transformers does."""

    def __init__(self, between=None, approximate="none"):
        super().__init__()
        self.activation = nn.GELU(approximate)
        self.first, self.second = nn.Linear(16, 64), nn.Linear(64, 16)
        self.between = between or nn.Identity()

    def forward(self, x):
        return self.second(self.activation(self.between(self.first(x))))


class Doubled(Perceptron):
    def forward(self, x):
        return self.second(self.activation(2 * self.first(x)))


@pytest.mark.parametrize(
    ("network", "is_fused"),
    [
        (Perceptron(), True),
        (Perceptron(between=nn.LayerNorm(64)), False),
        (Perceptron(approximate="tanh"), False),
        (Doubled(), False),
    ],
)
def test_it_is_fused_where_the_features_stay_the_same(network, is_fused):
    network = nn.Sequential(network).eval().requires_grad_(False)
    kinds = [type(part) for part in network.modules()]
    quick = fuse_gelu(network)
    assert (not any(isinstance(part, nn.GELU) for part in quick.modules())) == is_fused
    assert [type(part) for part in network.modules()] == kinds
    x = torch.randn(5, 7, 16, generator=torch.Generator().manual_seed(0))
    np.testing.assert_allclose(quick(x), network(x), rtol=1e-5, atol=1e-6)
    held = {weight.data_ptr() for weight in network.parameters()}
    assert {weight.data_ptr() for weight in quick.parameters()} == held


@pytest.mark.parametrize(("model", "config"), [("ViTModel", "ViTConfig"), ("BertModel", "BertConfig")])
def test_transformers_of_the_library_are_fused(model, config):
    transformers = pytest.importorskip("transformers")
    small = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
    network = getattr(transformers, model)(getattr(transformers, config)(**small), add_pooling_layer=False).eval()
    quick = fuse_gelu(network.requires_grad_(False))
    assert not any(type(part).__name__ == "GELUActivation" for part in quick.modules())
    given = torch.rand(2, 3, 224, 224) if model == "ViTModel" else torch.arange(12).reshape(2, 6)
    expected, found = network(given).last_hidden_state, quick(given).last_hidden_state
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
