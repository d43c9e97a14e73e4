"""Backbones of torchvision and timm, with random weights, against the libraries called directly."""

import numpy as np
import pytest
import torch

from cosup.embedding import make_backbone
from cosup.utils.validation import CosupError

Image = pytest.importorskip("PIL.Image", reason="needs the extra `images`")

RNG = np.random.default_rng(0)
PICTURES = [RNG.integers(0, 256, shape, dtype=np.uint8) for shape in ((60, 90, 3), (100, 40, 3), (70, 70))]
RGB = [Image.fromarray(picture).convert("RGB") for picture in PICTURES]


def vision():
    # Built for another torch, it is there but does not import.
    return pytest.importorskip("torchvision", reason="needs the extra `torchvision`", exc_type=Exception)


def timm():
    vision()
    return pytest.importorskip("timm", reason="needs the extra `timm`")


@pytest.fixture
def weights(tmp_path):
    """Save the random weights of a network; returns the network and the file."""

    def save(make, *args, **kwargs):
        with torch.random.fork_rng():
            torch.random.manual_seed(0)
            network = make(*args, **kwargs).eval()
        torch.save(network.state_dict(), tmp_path / "weights.pt")
        return network, tmp_path / "weights.pt"

    return save


def test_resnet_gives_what_its_last_layer_is_given(weights):
    models = vision().models
    network, file = weights(models.resnet18, weights=None)
    backbone = make_backbone("torchvision:resnet18", weights=file, image_size=64)
    assert backbone.n_features == 512
    preset = models.ResNet18_Weights.DEFAULT.transforms(crop_size=64, resize_size=73)
    pixels = torch.stack([preset(picture) for picture in RGB])
    torch.testing.assert_close(torch.stack([backbone.prepare(p) for p in PICTURES]), pixels)
    network.fc = torch.nn.Identity()
    with torch.inference_mode():
        expected = network(pixels)
    np.testing.assert_allclose(backbone.embed(PICTURES, progress=False), expected.numpy(), atol=1e-5)
    assert backbone.fingerprint != make_backbone("torchvision:resnet18", weights=file).fingerprint


def test_alexnet_before_its_last_layer_and_as_the_papers_teachers_see_it(weights):
    network, file = weights(vision().models.alexnet, weights=None)
    whole = make_backbone("torchvision:alexnet", weights=file)
    convolutions = make_backbone("torchvision:alexnet/avgpool", weights=file)
    assert whole.preprocessing["resize"] == [256]
    assert (whole.n_features, convolutions.n_features) == (4096, 9216)
    pixels = torch.stack([whole.prepare(picture) for picture in PICTURES])
    with torch.inference_mode():
        flat = network.avgpool(network.features(pixels)).flatten(1)
        expected = network.classifier[:6](flat)
    np.testing.assert_allclose(convolutions.forward(pixels), flat.numpy(), atol=1e-5)
    np.testing.assert_allclose(whole.forward(pixels), expected.numpy(), atol=1e-5)
    assert whole.fingerprint != convolutions.fingerprint


def test_torchvision_says_what_is_wrong(weights, tmp_path):
    models = vision().models
    with pytest.raises(CosupError, match=r"Did you mean .*'resnet18'"):
        make_backbone("torchvision:resnet-18")
    _, file = weights(models.resnet18, weights=None)
    with pytest.raises(CosupError, match="are of another network"):
        _ = make_backbone("torchvision:alexnet", weights=file).fingerprint
    with pytest.raises(CosupError, match="has no layer 'avgpol'"):
        _ = make_backbone("torchvision:resnet18/avgpol", weights=file).fingerprint
    with pytest.raises(CosupError, match="takes no pooling"):
        make_backbone("torchvision:resnet18", pooling="cls")
    file.write_bytes(b"garbage")
    with pytest.raises(CosupError, match=r"weights\.pt is damaged"):
        _ = make_backbone("torchvision:resnet18", weights=file).fingerprint


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "resnet18"])
def test_timm_features_are_those_of_the_library(weights, name):
    library = timm()
    size = {"img_size": 64} if name.startswith("vit") else {}
    network, file = weights(library.create_model, name, num_classes=0, **size)
    backbone = make_backbone(f"timm:{name}", weights=file, image_size=64)
    config = library.data.resolve_model_data_config(network) | {"input_size": (3, 64, 64)}
    preset = library.data.create_transform(**config, is_training=False)
    pixels = torch.stack([preset(picture) for picture in RGB])
    torch.testing.assert_close(torch.stack([backbone.prepare(p) for p in PICTURES]), pixels)
    with torch.inference_mode():
        expected = network(pixels)
        tokens = network.forward_features(pixels)
    np.testing.assert_allclose(backbone.forward(pixels), expected.numpy(), atol=1e-5)
    if name.startswith("vit"):
        mean = make_backbone(f"timm:{name}", weights=file, image_size=64, pooling="mean")
        np.testing.assert_allclose(mean.forward(pixels), tokens[:, 1:].mean(1).numpy(), atol=1e-5)
    else:
        with pytest.raises(CosupError, match="'mean' only"):
            make_backbone(f"timm:{name}", weights=file, pooling="cls")


def test_timm_lists_near_matches():
    timm()
    with pytest.raises(CosupError, match="Did you mean"):
        make_backbone("timm:vit_tiny_patch16_2244")


@pytest.mark.parametrize("source", ["timm:resnet18", "torchvision:resnet18"])
def test_a_missing_extra_is_named(monkeypatch, source):
    import sys

    module = source.partition(":")[0]
    if module == "timm":
        vision()
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(CosupError, match=rf"pip install 'cosup\[{module}\]'"):
        make_backbone(source)


def test_a_torchvision_of_another_torch_is_said_to_be_one(monkeypatch):
    import importlib

    def broken(name, package=None):
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr(importlib, "import_module", broken)
    from cosup.embedding.backbones import torchvision_models

    with pytest.raises(CosupError, match="does not fit torch"):
        torchvision_models.import_torchvision("torchvision:resnet18")
