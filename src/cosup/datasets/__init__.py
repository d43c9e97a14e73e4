"""Tasks to measure on, backbones that embed images, and the cache that keeps what they computed.

>>> from cosup.datasets import list_tasks, load_task
>>> [name for name in list_tasks() if name.startswith("digits-")][:2]
['digits-classes', 'digits-domains']
>>> load_task("hierarchy", seed=1, n_classes=6).labels
TeacherLabels(2000 samples, 7 teachers in levels of 1/2/4, 6 classes, hard)

A further task is one function decorated with :func:`register_task`.
"""

from cosup.datasets._registry import list_tasks, load_task, register_member, register_task, task_options
from cosup.datasets._task import Task, Truth
from cosup.datasets.annotate import annotate, save_annotations
from cosup.datasets.backbones import Backbone, list_backbones, make_backbone
from cosup.datasets.cache import FeatureCache, default_cache_folder
from cosup.datasets.digits import Digits, make_class_task, make_domain_task
from cosup.datasets.embedding import embed_images
from cosup.datasets.families import sweep_of
from cosup.datasets.fashion import load_fashion
from cosup.datasets.hierarchy import make_hierarchy
from cosup.datasets.images import list_image_files, read_image, read_image_folder
from cosup.datasets.layouts import ImageList, read_image_list, split_images
from cosup.datasets.photos import PUBLISHED_STUDENT, PUBLISHED_TEACHER
from cosup.datasets.published import published_figures
from cosup.datasets.store import FeatureStore
from cosup.datasets.vision import teach
from cosup.datasets.weak_heads import HeadRecipe

__all__ = [
    "PUBLISHED_STUDENT",
    "PUBLISHED_TEACHER",
    "Backbone",
    "Digits",
    "FeatureCache",
    "FeatureStore",
    "HeadRecipe",
    "ImageList",
    "Task",
    "Truth",
    "annotate",
    "default_cache_folder",
    "embed_images",
    "list_backbones",
    "list_image_files",
    "list_tasks",
    "load_fashion",
    "load_task",
    "make_backbone",
    "make_class_task",
    "make_domain_task",
    "make_hierarchy",
    "published_figures",
    "read_image",
    "read_image_folder",
    "read_image_list",
    "register_member",
    "register_task",
    "save_annotations",
    "split_images",
    "sweep_of",
    "task_options",
    "teach",
]
