"""Tasks to measure on, backbones that embed images, and the cache that keeps what they computed.

>>> from cosup.datasets import list_tasks, load_task
>>> sorted(list_tasks())
['digits-classes', 'digits-domains', 'hierarchy']
>>> load_task("hierarchy", seed=1, n_classes=6).labels
TeacherLabels(2000 samples, 7 teachers in levels of 1/2/4, 6 classes, hard)

A further task is one function decorated with :func:`register_task`.
"""

from cosup.datasets._registry import list_tasks, load_task, register_task, task_options
from cosup.datasets._task import Task, Truth
from cosup.datasets.backbones import Backbone, list_backbones, make_backbone
from cosup.datasets.cache import FeatureCache, default_cache_folder
from cosup.datasets.digits import Digits, make_class_task, make_domain_task
from cosup.datasets.hierarchy import make_hierarchy
from cosup.datasets.images import list_image_files, read_image, read_image_folder

__all__ = [
    "Backbone",
    "Digits",
    "FeatureCache",
    "Task",
    "Truth",
    "default_cache_folder",
    "list_backbones",
    "list_image_files",
    "list_tasks",
    "load_task",
    "make_backbone",
    "make_class_task",
    "make_domain_task",
    "make_hierarchy",
    "read_image",
    "read_image_folder",
    "register_task",
    "task_options",
]
