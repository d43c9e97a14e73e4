"""Images on disk as the data sets lay them out: what they are of, where from, and in which official split."""

from cosup.tasks.layouts.image_list import ImageList
from cosup.tasks.layouts.read import read_image_list
from cosup.tasks.layouts.splits import split_images

__all__ = ["ImageList", "read_image_list", "split_images"]
