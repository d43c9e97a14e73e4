"""The path of a GPU, run without one: torch calls this machine's processor by a second name, which is no "cpu" here."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
import networks  # noqa: E402
from cosup.embedding import embed_images, make_backbone, make_encoder  # noqa: E402

STAND_IN = "cpu:0"


def test_texts(tmp_path, monkeypatch):
    folder = networks.save_bert(tmp_path / "bert")
    texts = [" ".join(["w1"] * length) for length in (1, 9, 0, 4, 20, 9)]
    encoder = make_encoder(f"hf:{folder}", device=STAND_IN)
    shapes = []
    compute = encoder._compute_part
    monkeypatch.setattr(
        encoder, "_compute_part", lambda net, batch: (shapes.append(batch.shape), compute(net, batch))[1]
    )
    features = encoder.embed(texts, progress=False)
    assert len(shapes) == 1  # a GPU takes as many tokens as there are here at once
    alone = make_encoder(f"hf:{folder}", device="cpu").embed(texts, progress=False)
    np.testing.assert_allclose(features, alone, atol=1e-6)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("bfloat16", 0.1)])
def test_images(tmp_path, dtype, tolerance):
    folder = networks.save_vit(tmp_path / "vit")
    images, _ = networks.pictures(37)
    here = make_backbone(f"hf:{folder}", device="cpu").embed(images, progress=False)
    there = make_backbone(f"hf:{folder}", device=STAND_IN, dtype=dtype).embed(images, progress=False)
    assert there.dtype == np.float32
    np.testing.assert_allclose(there, here, atol=tolerance * np.abs(here).max())


def test_a_store(tmp_path):
    pillow = pytest.importorskip("PIL.Image")
    folder = networks.save_vit(tmp_path / "vit")
    images, _ = networks.pictures(7)
    (tmp_path / "photos").mkdir()
    for i, image in enumerate(images):
        pillow.fromarray(image).save(tmp_path / "photos" / f"{i}.png")
    backbone = make_backbone(f"hf:{folder}", device=STAND_IN)
    paths = [f"{i}.png" for i in range(7)]
    store = embed_images(tmp_path / "photos", paths, backbone, tmp_path / "s", dtype="float32", progress=False)
    np.testing.assert_allclose(store.features, backbone.embed(images, progress=False), atol=1e-5)
