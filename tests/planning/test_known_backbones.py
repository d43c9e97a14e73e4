"""Well-known backbones for a plan: right sizes, built without a connection; others are an error at once."""

import socket

import numpy as np
import pytest

from cosup import CosupError

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
from cosup.embedding.backbones.names import HF  # noqa: E402
from cosup.planning.known_backbones import SHAPES, backbone_for_plan  # noqa: E402


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    def refuse(*_):
        raise AssertionError("a plan asked for a network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def test_every_backbone_that_is_listed_is_in_the_table():
    assert {f"hf:{name}" for name in HF} <= set(SHAPES)


@pytest.mark.parametrize("spec", [spec for spec in SHAPES if spec.startswith("hf:") and "large" not in spec])
def test_sizes_are_the_published_ones(spec):
    with torch.device("meta"):
        backbone = backbone_for_plan(spec)
        network = backbone._build()
        assert network(torch.empty(1, 3, 224, 224)).shape == (1, SHAPES[spec].n_features)
    millions = sum(weights.numel() for weights in network.parameters()) / 1e6
    assert millions == pytest.approx(SHAPES[spec].n_parameters, rel=0.06)


def test_a_known_backbone_embeds_and_leaves_the_random_stream():
    state = torch.random.get_rng_state()
    backbone = backbone_for_plan("torchvision:resnet18", 32)
    features = backbone.embed([np.zeros((40, 50), dtype=np.uint8)], progress=False)
    assert features.shape == (1, 512)
    assert backbone.name == "torchvision:resnet18"
    assert torch.equal(torch.random.get_rng_state(), state)


def test_what_would_have_to_be_fetched_is_an_error_at_once():
    with pytest.raises(CosupError, match="Did you mean 'hf:facebook/dinov2-small'"):
        backbone_for_plan("hf:facebook/dinov2-smal")
    with pytest.raises(CosupError, match="copy FOLDER here"):
        backbone_for_plan("hf:somebody/something")
