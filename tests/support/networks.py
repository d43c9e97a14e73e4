"""Tiny networks with random weights, as their libraries save them, and samples for them."""

import numpy as np
import torch
import transformers
from torch import nn

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{i}" for i in range(20))]


def seeded(make, seed=0):
    """What `make` gives with torch's stream at a seed, which is left as it was."""
    with torch.random.fork_rng():
        torch.random.manual_seed(seed)
        return make()


def tiny_net(width=24):
    return seeded(
        lambda: nn.Sequential(nn.Linear(6, width), nn.GELU(), nn.Linear(width, width), nn.GELU(), nn.LayerNorm(width))
    )


def save_bert(path, seed=0, **changed):
    path.mkdir(parents=True)
    (path / "vocab.txt").write_text("\n".join(WORDS))
    transformers.BertTokenizerFast(vocab=str(path / "vocab.txt")).save_pretrained(path)
    options = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32} | changed
    config = transformers.BertConfig(vocab_size=len(WORDS), max_position_embeddings=32, **options)
    seeded(lambda: transformers.BertModel(config), seed).save_pretrained(path)
    return path


def save_vit(path, seed=0, **changed):
    options = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32} | changed
    config = transformers.ViTConfig(image_size=16, patch_size=8, **options)
    seeded(lambda: transformers.ViTModel(config), seed).save_pretrained(path)
    transformers.ViTImageProcessorPil(size={"height": 16, "width": 16}).save_pretrained(path)
    return path


def save_both(root):
    """A network of texts and one of images, each saved in a folder."""
    transformers.utils.logging.disable_progress_bar()
    return {"text": save_bert(root / "bert"), "images": save_vit(root / "vit")}


def save_gpt2(path, seed=0):
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit

    tokens = Tokenizer(WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokens.pre_tokenizer = WhitespaceSplit()
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokens, model_max_length=32).save_pretrained(path)
    config = transformers.GPT2Config(
        vocab_size=len(WORDS), n_positions=32, n_embd=16, n_layer=2, n_head=2, bos_token_id=2, eos_token_id=3
    )
    seeded(lambda: transformers.GPT2Model(config), seed).save_pretrained(path)
    return path


def save_resnet(path, seed=0):
    config = transformers.ResNetConfig(hidden_sizes=[8, 16], depths=[1, 1], embedding_size=8, layer_type="basic")
    seeded(lambda: transformers.ResNetModel(config), seed).save_pretrained(path)
    transformers.ViTImageProcessorPil(size={"height": 16, "width": 16}).save_pretrained(path)
    return path


def sentences(n, seed=0):
    """Sentences of six words, and 0 or 1: whether w0 stands in them."""
    rng = np.random.default_rng(seed)
    words = rng.integers(1, 20, size=(n, 6))
    y = rng.integers(0, 2, size=n)
    words[y == 1, rng.integers(0, 6, size=int(y.sum()))] = 0
    return [" ".join(f"w{i}" for i in row) for row in words], y


def pictures(n, seed=0):
    """Grey noise of 16 x 16, and 0 or 1: whether its upper half is brighter."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, size=n)
    images = rng.integers(0, 160, size=(n, 16, 16)).astype(np.uint8)
    images[y == 1, :8] += 60
    return images, y
