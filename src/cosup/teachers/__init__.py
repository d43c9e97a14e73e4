"""What a hierarchy of weak teachers said: `TeacherLabels`, and `TopK` for soft annotations of many classes."""

from cosup.teachers._labels import TeacherLabels
from cosup.teachers._top_k import TopK

__all__ = ["TeacherLabels", "TopK"]
