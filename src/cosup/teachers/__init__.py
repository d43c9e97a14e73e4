"""What a hierarchy of weak teachers said.

`TeacherLabels` holds it, `TopK` soft annotations of many classes; and importers take labels as they come, see
`cosup.teachers.importers`.
"""

from cosup.teachers._labels import TeacherLabels
from cosup.teachers._top_k import TopK
from cosup.teachers.importers import (
    ImportedLabels,
    Summary,
    combine_labels,
    extend_labels,
    from_frame,
    from_functions,
    from_probabilities,
    from_snorkel,
    read_labels,
)

__all__ = [
    "ImportedLabels",
    "Summary",
    "TeacherLabels",
    "TopK",
    "combine_labels",
    "extend_labels",
    "from_frame",
    "from_functions",
    "from_probabilities",
    "from_snorkel",
    "read_labels",
]
