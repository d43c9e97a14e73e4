"""The annotations of a hierarchy of weak teachers.

`TeacherLabels` holds them, `TopK` soft annotations of many classes, and `ImportedLabels` adds the names of classes and
samples. `cosup.io.labels` reads them from files and frames.
"""

from cosup.labels.combine import combine_labels, extend_labels
from cosup.labels.imported_labels import ImportedLabels
from cosup.labels.summary import Summary
from cosup.labels.teacher_labels import TeacherLabels
from cosup.labels.top_k import TopK

__all__ = ["ImportedLabels", "Summary", "TeacherLabels", "TopK", "combine_labels", "extend_labels"]
