"""Backbones that are worth naming: what :func:`list_backbones` lists beside the general forms."""

import difflib
from collections.abc import Iterable

HF = {
    "facebook/dinov2-small": "DINOv2 ViT-S/14, 384 features",
    "facebook/dinov2-base": "DINOv2 ViT-B/14, 768 features",
    "facebook/dinov2-with-registers-small": "DINOv2 ViT-S/14 with registers, 384 features: the paper's student",
    "facebook/dinov2-with-registers-base": "DINOv2 ViT-B/14 with registers, 768 features",
    "facebook/dino-vits8": "DINO ViT-S/8, 384 features",
    "facebook/dino-vitb8": "DINO ViT-B/8, 768 features: the student of Burns et al.",
    "google/vit-base-patch16-224": "ViT-B/16 trained on ImageNet-21k and ImageNet, 768 features",
    "facebook/convnext-tiny-224": "ConvNeXt-T trained on ImageNet, 768 features",
    "microsoft/resnet-50": "ResNet-50 trained on ImageNet, 2,048 features",
    "openai/clip-vit-base-patch32": "the image side of CLIP ViT-B/32, 768 features",
}

TIMM = {
    "vit_small_patch14_reg4_dinov2.lvd142m": "DINOv2 ViT-S/14 with registers, 384 features",
    "vit_small_patch8_224.dino": "DINO ViT-S/8, 384 features",
    "resnet50.a1_in1k": "ResNet-50 trained on ImageNet, 2,048 features",
}

TORCHVISION = {
    "alexnet": "AlexNet trained on ImageNet, 4,096 features (before the last linear layer)",
    "alexnet/avgpool": "AlexNet trained on ImageNet, 9,216 features (its convolutions'): the paper's teachers",
    "resnet18": "ResNet-18 trained on ImageNet, 512 features",
    "resnet50": "ResNet-50 trained on ImageNet, 2,048 features",
}

HUB = {
    "facebookresearch/dino:dino_vits8": "the original DINO ViT-S/8, 384 features",
    "facebookresearch/dino:dino_vitb8": "the original DINO ViT-B/8, 768 features: the student of Burns et al.",
    "facebookresearch/dino:dino_resnet50": "the original DINO ResNet-50, 2,048 features",
    "facebookresearch/dinov2:dinov2_vits14_reg": "the original DINOv2 ViT-S/14 with registers: the paper's student",
    "facebookresearch/dinov2:dinov2_vitb14_reg": "the original DINOv2 ViT-B/14 with registers",
}


def near(name: str, known: Iterable[str]) -> str:
    """Return a sentence with the near matches of an unknown name, where what is known is too long to list."""
    found = difflib.get_close_matches(name, list(known), n=3, cutoff=0.5)
    return f" Did you mean {' or '.join(map(repr, found))}?" if found else ""
