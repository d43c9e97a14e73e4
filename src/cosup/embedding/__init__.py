"""Features of images and texts by pre-trained backbones, and the stores and caches that keep them."""

from cosup.embedding.backbones import Backbone, list_backbones, make_backbone
from cosup.embedding.feature_cache import FeatureCache, default_cache_folder
from cosup.embedding.feature_store import FeatureStore
from cosup.embedding.images_to_features import embed_images
from cosup.embedding.read_images import list_image_files, read_image, read_image_folder

__all__ = [
    "Backbone",
    "FeatureCache",
    "FeatureStore",
    "default_cache_folder",
    "embed_images",
    "list_backbones",
    "list_image_files",
    "make_backbone",
    "read_image",
    "read_image_folder",
]
