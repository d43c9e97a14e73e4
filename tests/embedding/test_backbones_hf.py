"""Backbones of transformers: random weights of the real classes, against the library called directly."""

import json
import shutil

import numpy as np
import pytest
import torch

from cosup.embedding import make_backbone
from cosup.utils.validation import CosupError

Image = pytest.importorskip("PIL.Image", reason="needs the extra `images`")
transformers = pytest.importorskip("transformers", reason="needs the extra `hf`")

VIT = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "patch_size": 8, "image_size": 32}
CONV = {"hidden_sizes": [8, 16], "depths": [1, 1]}
CLIP = VIT | {"intermediate_size": 32}
PLAIN = {"size": {"height": 32, "width": 32}}
CROPPED = {"size": {"shortest_edge": 40}, "crop_size": {"height": 32, "width": 32}, "do_center_crop": True}


def networks():
    t = transformers
    return {
        "dinov2": (t.Dinov2Config(**VIT), t.Dinov2Model, t.BitImageProcessorPil, CROPPED),
        "registers": (
            t.Dinov2WithRegistersConfig(**VIT, num_register_tokens=3),
            t.Dinov2WithRegistersModel,
            t.BitImageProcessorPil,
            CROPPED,
        ),
        "vit": (t.ViTConfig(**CLIP), t.ViTModel, t.ViTImageProcessorPil, PLAIN),
        "deit": (t.DeiTConfig(**CLIP), t.DeiTModel, t.DeiTImageProcessorPil, CROPPED),
        "clip": (t.CLIPVisionConfig(**CLIP), t.CLIPVisionModel, t.CLIPImageProcessorPil, CROPPED),
        "convnext": (
            t.ConvNextConfig(**CONV, num_stages=2),
            t.ConvNextModel,
            t.ConvNextImageProcessorPil,
            {"size": {"shortest_edge": 32}},
        ),
        "convnextv2": (
            t.ConvNextV2Config(**CONV, num_stages=2),
            t.ConvNextV2Model,
            t.ConvNextImageProcessorPil,
            {"size": {"shortest_edge": 384}, "crop_pct": 0.9},
        ),
        "regnet": (
            t.RegNetConfig(**CONV, embedding_size=8, groups_width=4),
            t.RegNetModel,
            t.ConvNextImageProcessorPil,
            {"size": {"shortest_edge": 48}},
        ),
        "resnet": (
            t.ResNetConfig(**CONV, embedding_size=8, layer_type="basic"),
            t.ResNetModel,
            t.ConvNextImageProcessorPil,
            {"size": {"shortest_edge": 400}},
        ),
    }


NAMES = ["dinov2", "registers", "vit", "deit", "clip", "convnext", "convnextv2", "regnet", "resnet"]
N_PREFIX = {"dinov2": 1, "registers": 4, "vit": 1, "deit": 2, "clip": 1}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Every network, with random weights, as save_pretrained writes it."""
    transformers.utils.logging.disable_progress_bar()
    root = tmp_path_factory.mktemp("models")
    for name, (config, model_class, processor_class, options) in networks().items():
        with torch.random.fork_rng():
            torch.random.manual_seed(0)
            model = model_class(config)
            # The classes begin with zeros where a pre-trained network has none: registers, positions.
            for parameter in model.parameters():
                parameter.data.normal_(std=0.3)
        model.save_pretrained(root / name)
        processor_class(**options).save_pretrained(root / name)
    return root


def pictures():
    rng = np.random.default_rng(0)
    shapes = [(50, 70, 3), (33, 20, 3), (32, 32, 3), (90, 41), (41, 47, 3)]
    return [
        np.asarray(Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).resize(shape[1::-1]))
        for shape in shapes
    ]


def direct(folder, images):
    """Pixels and output as the library itself gives them."""
    processor = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")
    model_class = networks()[folder.name][1]
    model = model_class.from_pretrained(folder).eval()
    rgb = [Image.fromarray(image).convert("RGB") for image in images]
    pixels = torch.stack([torch.from_numpy(processor(image)["pixel_values"][0]) for image in rgb])
    with torch.inference_mode():
        return pixels, model(pixels)


@pytest.mark.parametrize("name", NAMES)
def test_features_are_those_of_the_library(folders, name):
    images = pictures()[1:]
    pixels, out = direct(folders / name, images)
    backbone = make_backbone(f"hf:{folders / name}")
    torch.testing.assert_close(torch.stack([backbone.prepare(i) for i in images]), pixels, rtol=0, atol=1e-6)
    if name in N_PREFIX:
        cls = out.pooler_output if name == "clip" else out.last_hidden_state[:, 0]
        mean = out.last_hidden_state[:, N_PREFIX[name] :].mean(1)
        expected = {"cls": cls, "mean": mean, "both": torch.cat([cls, mean], dim=1), None: cls}
    else:
        expected = {"mean": out.pooler_output.flatten(1), None: out.pooler_output.flatten(1)}
    for pooling, features in expected.items():
        backbone = make_backbone(f"hf:{folders / name}", pooling=pooling)
        got = backbone.embed(images, batch_size=2, progress=False)
        assert got.dtype == np.float32
        assert got.shape == (4, backbone.n_features)
        np.testing.assert_allclose(got, features.numpy(), atol=1e-5)
        assert np.ptp(got, axis=0).max() > 1e-3


def test_grey_and_rgb_are_the_same_picture(folders):
    backbone = make_backbone(f"hf:{folders / 'vit'}")
    grey = pictures()[3]
    torch.testing.assert_close(backbone.prepare(grey), backbone.prepare(np.dstack([grey] * 3)), rtol=0, atol=0)


def test_another_image_size_interpolates_the_positions(folders):
    for name in ("dinov2", "vit", "clip"):
        backbone = make_backbone(f"hf:{folders / name}", image_size=48)
        assert backbone.prepare(pictures()[0]).shape == (3, 48, 48)
        assert backbone.embed(pictures(), progress=False).shape == (5, 16)
    with pytest.raises(CosupError, match="multiple of its patches' 8"):
        make_backbone(f"hf:{folders / 'vit'}", image_size=50)
    assert make_backbone(f"hf:{folders / 'dinov2'}", image_size=np.int64(48)).preprocessing["resize"] == 60


def test_the_fingerprint_is_of_what_changes_features(folders, tmp_path):
    source = folders / "vit"
    first = make_backbone(f"hf:{source}").fingerprint
    copied = shutil.copytree(source, tmp_path / "elsewhere")
    assert make_backbone(f"hf:{copied}").fingerprint == first
    others = [
        make_backbone(f"hf:{source}", **options).fingerprint
        for options in ({"pooling": "mean"}, {"image_size": 48}, {"dtype": "bfloat16"}, {"interpolation": "bicubic"})
    ]
    model = transformers.ViTModel.from_pretrained(copied)
    model.layernorm.bias.data[0] += 1e-3
    model.save_pretrained(copied)
    others.append(make_backbone(f"hf:{copied}").fingerprint)
    config = json.loads((source / "config.json").read_text())
    shutil.copytree(source, tmp_path / "config")
    (tmp_path / "config" / "config.json").write_text(json.dumps(config | {"layer_norm_eps": 1e-3}))
    others.append(make_backbone(f"hf:{tmp_path / 'config'}").fingerprint)
    assert len({first, *others}) == 7
    assert json.loads(json.dumps(make_backbone(f"hf:{source}").preprocessing))["pooling"] == "cls"


def test_half_precision_is_near_and_equals_the_library_in_it(folders):
    images = pictures()
    pixels, out = direct(folders / "dinov2", images)
    half = make_backbone(f"hf:{folders / 'dinov2'}", dtype="bfloat16", device="cpu").embed(images, progress=False)
    assert half.dtype == np.float32
    np.testing.assert_allclose(half, out.last_hidden_state[:, 0].numpy(), atol=0.2)
    model = transformers.Dinov2Model.from_pretrained(folders / "dinov2", dtype=torch.bfloat16).eval()
    with torch.inference_mode():
        expected = model(pixels.bfloat16()).last_hidden_state[:, 0].float()
    np.testing.assert_array_equal(half, expected.numpy())


def test_a_checkpoint_with_a_head_needs_no_pooler_and_clip_no_text(tmp_path):
    t = transformers
    t.ViTForImageClassification(t.ViTConfig(**CLIP)).save_pretrained(tmp_path / "vit")
    t.ViTImageProcessorPil(**PLAIN).save_pretrained(tmp_path / "vit")
    text = CLIP | {"vocab_size": 9, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
    whole = t.CLIPModel(t.CLIPConfig(text_config=text, vision_config=CLIP, projection_dim=8)).eval()
    whole.save_pretrained(tmp_path / "clip")
    t.CLIPImageProcessorPil(**CROPPED).save_pretrained(tmp_path / "clip")
    for name in ("vit", "clip"):
        prints = {make_backbone(f"hf:{tmp_path / name}").fingerprint for _ in range(2)}
        assert len(prints) == 1
    backbone = make_backbone(f"hf:{tmp_path / 'clip'}")
    pixels = torch.stack([backbone.prepare(image) for image in pictures()])
    with torch.inference_mode():
        expected = whole.vision_model(pixels).pooler_output
    np.testing.assert_allclose(backbone.forward(pixels), expected.numpy(), atol=1e-5)


def test_weights_that_lack_a_layer_are_refused(folders, tmp_path):
    from safetensors.torch import load_file, save_file

    copied = shutil.copytree(folders / "dinov2", tmp_path / "model")
    weights = load_file(copied / "model.safetensors")
    save_file(
        {k: v for k, v in weights.items() if k != "layernorm.weight"}, copied / "model.safetensors", {"format": "pt"}
    )
    with pytest.raises(CosupError, match=r"lack layernorm\.weight .*would be random"):
        _ = make_backbone(f"hf:{copied}").fingerprint
    (copied / "model.safetensors").write_bytes((folders / "dinov2" / "model.safetensors").read_bytes()[:1000])
    with pytest.raises(CosupError, match="cannot be loaded"):
        _ = make_backbone(f"hf:{copied}").fingerprint
    (copied / "preprocessor_config.json").unlink()
    with pytest.raises(CosupError, match="preprocessor_config"):
        make_backbone(f"hf:{copied}")


def test_without_the_network_it_says_how_to_name_a_folder(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(CosupError, match=r"could not be fetched from the hub.*hf:FOLDER"):
        make_backbone("hf:nobody/no-such-model")


def test_what_is_wrong_is_said(folders, tmp_path):
    with pytest.raises(CosupError, match=r"Did you mean 'hf:facebook/dinov2-small'"):
        make_backbone("hf:dinov2-small")
    with pytest.raises(CosupError, match="there is no folder"):
        make_backbone(f"hf:{tmp_path / 'gone'}")
    with pytest.raises(CosupError, match=r"pooled by 'mean' only"):
        make_backbone(f"hf:{folders / 'resnet'}", pooling="cls")
    with pytest.raises(CosupError, match="from its own folder"):
        make_backbone(f"hf:{folders / 'resnet'}", weights=__file__)
    transformers.BertConfig(hidden_size=16).save_pretrained(tmp_path)
    transformers.ViTImageProcessorPil(**PLAIN).save_pretrained(tmp_path)
    with pytest.raises(CosupError, match="family 'bert'"):
        make_backbone(f"hf:{tmp_path}")
    folder = shutil.copytree(folders / "vit", tmp_path / "padded")
    config = json.loads((folder / "preprocessor_config.json").read_text())
    (folder / "preprocessor_config.json").write_text(json.dumps(config | {"size": {"longest_edge": 32}}))
    with pytest.raises(CosupError, match="not known here"):
        make_backbone(f"hf:{folder}")


def test_preparing_is_safe_in_threads(folders):
    from concurrent.futures import ThreadPoolExecutor

    backbone = make_backbone(f"hf:{folders / 'dinov2'}")
    images = pictures() * 20
    alone = torch.stack([backbone.prepare(image) for image in images])
    with ThreadPoolExecutor(8) as pool:
        together = torch.stack(list(pool.map(backbone.prepare, images)))
    torch.testing.assert_close(together, alone, rtol=0, atol=0)
