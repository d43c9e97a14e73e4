"""Images on disk as the data sets lay them out: what they are of, where from, and in which official split."""

from cosup.datasets.layouts._image_list import ImageList
from cosup.datasets.layouts._read import read_image_list
from cosup.datasets.layouts._splits import split_images

__all__ = ["ImageList", "read_image_list", "split_images"]
