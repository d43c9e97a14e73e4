"""Tasks to measure methods on: features, teachers' annotations and the truth, by name.

>>> from cosup.tasks import list_tasks, load_task
>>> [name for name in list_tasks() if name.startswith("digits-")][:2]
['digits-classes', 'digits-domains']
>>> load_task("hierarchy", seed=1, n_classes=6).labels
TeacherLabels(2000 samples, 7 teachers in levels of 1/2/4, 6 classes, hard)

A further task is one function decorated with :func:`register_task`.
"""

from cosup.tasks.annotations import annotate, save_annotations
from cosup.tasks.build_image_task import TeacherDesign, teach
from cosup.tasks.digits import Digits, make_class_task, make_domain_task
from cosup.tasks.families import sweep_of
from cosup.tasks.fashion import load_fashion
from cosup.tasks.image_tasks import PUBLISHED_STUDENT, PUBLISHED_TEACHER
from cosup.tasks.layouts import ImageList, read_image_list, split_images
from cosup.tasks.newsgroups import read_newsgroups
from cosup.tasks.paper_figures import published_figures
from cosup.tasks.planted import make_hierarchy
from cosup.tasks.registry import TASKS, expand_task, list_tasks, load_task, register_member, register_task, task_options
from cosup.tasks.task import Task, Truth
from cosup.tasks.weak_heads import HeadRecipe
from cosup.tasks.weak_labels import read_weak_labels

__all__ = [
    "PUBLISHED_STUDENT",
    "PUBLISHED_TEACHER",
    "Digits",
    "HeadRecipe",
    "ImageList",
    "Task",
    "TeacherDesign",
    "Truth",
    "annotate",
    "expand_task",
    "list_tasks",
    "load_fashion",
    "load_task",
    "make_class_task",
    "make_domain_task",
    "make_hierarchy",
    "published_figures",
    "read_image_list",
    "read_newsgroups",
    "read_weak_labels",
    "register_member",
    "register_task",
    "save_annotations",
    "split_images",
    "sweep_of",
    "task_options",
    "teach",
]

TASKS.mark_shipped()
