"""Backbones that are code: a function in a file, a repository of torch.hub, and the options all backbones share."""

import numpy as np
import pytest
import torch

from cosup.embedding import list_backbones, make_backbone
from cosup.embedding.backbones.sources import BACKBONE_SOURCES
from cosup.utils.validation import CosupError

pytest.importorskip("PIL.Image", reason="needs the extra `images`")

PICTURES = [np.random.default_rng(0).integers(0, 256, (30, 50, 3), dtype=np.uint8) for _ in range(3)]

OWN = """
import torch
from dataclasses import dataclass

@dataclass
class Scale:
    factor: float = 0.5

def network():
    layer = torch.nn.Linear(3, 4)
    with torch.no_grad():
        layer.weight.copy_(torch.arange(12.0).reshape(4, 3) * Scale().factor)
        layer.bias.zero_()

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = layer

        def forward(self, batch):
            return self.layer(batch.mean((2, 3)))

    return Net(), {"resize": [16, 24], "mean": [0, 0, 0], "std": [1, 1, 1], "interpolation": "nearest"}

def plain():
    return lambda batch: batch.mean((2, 3)).numpy()

def tokens():
    return lambda batch: batch.flatten(2).transpose(1, 2)[:, :5], {"crop": [8, 8]}

def number():
    return 7

def strange():
    return (lambda batch: batch), {"rezise": 3}

def maps():
    return lambda batch: batch

def infinite():
    return lambda batch: batch.mean((2, 3)) / 0
"""


@pytest.fixture
def own(tmp_path):
    file = tmp_path / "own.py"
    file.write_text(OWN)
    return file


def test_ones_own_network_and_its_preprocessing(own):
    backbone = make_backbone(f"module:{own}:network")
    assert backbone.n_features == 4
    pixels = torch.stack([backbone.prepare(picture) for picture in PICTURES])
    assert pixels.shape == (3, 3, 16, 24)
    assert set((pixels[0] * 255).round().unique().int().tolist()) <= set(np.unique(PICTURES[0]).tolist())
    expected = pixels.mean((2, 3)).numpy() @ (np.arange(12.0).reshape(4, 3) * 0.5).T
    np.testing.assert_allclose(backbone.embed(PICTURES, batch_size=2, progress=False), expected, rtol=1e-5)
    assert backbone.preprocessing["interpolation"] == "nearest"


def test_a_function_will_do_and_tokens_can_be_pooled(own):
    assert make_backbone(f"module:{own}:plain", device="cpu").embed(PICTURES, progress=False).shape == (3, 3)
    pooled = {p: make_backbone(f"module:{own}:tokens", pooling=p) for p in ("cls", "mean", "both")}
    pixels = torch.stack([pooled["cls"].prepare(picture) for picture in PICTURES])
    flat = pixels.flatten(2).transpose(1, 2).numpy()
    np.testing.assert_allclose(pooled["cls"].forward(pixels), flat[:, 0])
    np.testing.assert_allclose(pooled["mean"].forward(pixels), flat[:, 1:5].mean(1), atol=1e-6)
    assert pooled["both"].n_features == 6


def test_another_file_is_another_fingerprint(own):
    first = make_backbone(f"module:{own}:plain").fingerprint
    assert make_backbone(f"module:{own}:plain").fingerprint == first
    own.write_text(OWN + "\n# changed\n")
    assert make_backbone(f"module:{own}:plain").fingerprint != first


@pytest.mark.parametrize(
    ("function", "options", "message"),
    [
        ("netwrok", {}, "Did you mean 'network'"),
        ("number", {}, "must return a torch module or a function"),
        ("strange", {}, "no parameter 'rezise'"),
        ("plain", {"dtype": "bfloat16"}, "no torch module"),
        ("network", {"weights": __file__}, "takes no weights"),
        ("network", {"weights": "gone.pt"}, r"no weights file gone\.pt"),
        ("network", {"dtype": "int8"}, "unknown dtype"),
        ("network", {"device": "nonsense"}, "device 'nonsense' is not here"),
        ("network", {"interpolation": "cubic"}, "Did you mean 'bicubic'"),
        ("network", {"pooling": "max"}, "unknown pooling"),
        ("network", {"image_size": 0}, "image_size"),
    ],
)
def test_what_is_wrong_with_ones_own_is_said(own, function, options, message):
    with pytest.raises(CosupError, match=message):
        make_backbone(f"module:{own}:{function}", **options)


def test_outputs_that_are_no_features_are_refused(own):
    with pytest.raises(CosupError, match=r"output of shape \(3, 3, 224, 224\)"):
        make_backbone(f"module:{own}:maps").embed(PICTURES, progress=False)
    with pytest.raises(CosupError, match="not finite"):
        make_backbone(f"module:{own}:infinite").embed(PICTURES, progress=False)
    backbone = make_backbone(f"module:{own}:plain")
    with pytest.raises(CosupError, match=r"\(n, 3, s, s\)"):
        backbone.forward(torch.zeros(3, 224, 224))
    with pytest.raises(CosupError, match=r"PATH\.py:FUNCTION"):
        make_backbone("module:something")
    with pytest.raises(CosupError, match="there is no file"):
        make_backbone("module:gone.py:network")


HUB = """
dependencies = ["torch"]
import torch

class Dino(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.patch = torch.nn.Conv2d(3, 6, 16, 16)

    def tokens(self, batch):
        patches = self.patch(batch).flatten(2).transpose(1, 2)
        return torch.cat([patches.amax(1, keepdim=True), patches], 1)

    def forward(self, batch):
        return self.tokens(batch)[:, 0]

class V1(Dino):
    def get_intermediate_layers(self, x, n=1):
        return [self.tokens(x)]

class V2(Dino):
    def get_intermediate_layers(self, x, n=1, reshape=False, return_class_token=False, norm=True):
        tokens = self.tokens(x)
        return ((tokens[:, 1:], tokens[:, 0]),)

def v1(pretrained=True):
    assert not pretrained
    return V1()

def v2(pretrained=True):
    assert not pretrained
    return V2()
"""


@pytest.fixture
def repository(tmp_path):
    folder = tmp_path / "dino"
    folder.mkdir()
    (folder / "hubconf.py").write_text(HUB)
    patch = torch.nn.Conv2d(3, 6, 16, 16)
    torch.save({f"patch.{key}": value for key, value in patch.state_dict().items()}, folder / "weights.pt")
    return folder, patch


@pytest.mark.parametrize("model", ["v1", "v2"])
def test_a_repository_of_hub_is_run_when_it_is_trusted(repository, model):
    folder, patch = repository
    spec = f"hub:{folder}:{model}"
    with pytest.raises(CosupError, match=r"runs the code .* trust_repo=True"):
        make_backbone(spec, weights=folder / "weights.pt")
    options = {"weights": folder / "weights.pt", "trust_repo": True}
    backbone = make_backbone(spec, **options)
    pixels = torch.stack([backbone.prepare(picture) for picture in PICTURES])
    assert pixels.shape == (3, 3, 224, 224)
    with torch.inference_mode():
        patches = patch(pixels).flatten(2).transpose(1, 2)
    cls, mean = patches.amax(1).numpy(), patches.mean(1).numpy()
    np.testing.assert_allclose(backbone.forward(pixels), cls, atol=1e-5)
    both = make_backbone(spec, pooling="both", **options)
    np.testing.assert_allclose(both.forward(pixels), np.hstack([cls, mean]), atol=1e-5)
    assert both.fingerprint != backbone.fingerprint


def test_hub_says_what_is_wrong(repository, monkeypatch):
    folder, _ = repository
    with pytest.raises(
        CosupError, match=r"OWNER/REPOSITORY:MODEL.*Did you mean 'hub:facebookresearch/dino:dino_vits8'"
    ):
        make_backbone("hub:dino_vits8", trust_repo=True)
    with pytest.raises(CosupError, match="v3"):
        _ = make_backbone(f"hub:{folder}:v3", trust_repo=True).fingerprint

    def offline(*args, **kwargs):
        raise OSError("Name or service not known")

    monkeypatch.setattr(torch.hub, "load", offline)
    with pytest.raises(CosupError, match=r"could not be fetched .*hub:FOLDER:NAME"):
        _ = make_backbone("hub:facebookresearch/dino:dino_vits8", trust_repo=True).fingerprint


def test_the_list_names_every_source_and_unknown_ones_get_near_matches():
    lines = list_backbones()
    shipped = {name.partition(":")[0] for name in lines} - set(BACKBONE_SOURCES.added)
    assert shipped == {"lite", "hf", "timm", "torchvision", "hub", "module"}
    with pytest.raises(CosupError, match=r"SOURCE is one of lite, hf, .*Did you mean 'torchvision:alexnet'"):
        make_backbone("torchvison:alexnet")
    with pytest.raises(CosupError, match="SOURCE:NAME"):
        make_backbone("alexnet")


# Importing torch's compiler warns about a part of torch itself.
@pytest.mark.filterwarnings("ignore:.*script_method:DeprecationWarning")
@pytest.mark.slow
def test_a_compiled_network_gives_the_same_features(own):
    plain = make_backbone(f"module:{own}:network").embed(PICTURES, progress=False)
    compiled = make_backbone(f"module:{own}:network", compile=True)
    np.testing.assert_allclose(compiled.embed(PICTURES, batch_size=2, progress=False), plain, atol=1e-5)
    assert compiled.fingerprint == make_backbone(f"module:{own}:network").fingerprint
