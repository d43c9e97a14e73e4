"""Labels as they come: matrices, tables, frames, probability files, functions and remote answers.

| what there is | how it comes in |
| --- | --- |
| CSV, TSV, parquet, JSON lines, npy, npz, by path or URL; a folder of shards | `read_labels` |
| a data frame, a column a teacher | `from_frame` |
| a long table: task, worker, label | `read_labels`, `from_frame` |
| a Snorkel label matrix | `from_snorkel` |
| labelling functions and rules | `from_functions` |
| probabilities of a model, a file or array a teacher | `from_probabilities` |
| a remote model's answers, OpenAI's batch files | `read_labels`, with `class_names` |
| several of these | `combine_labels` |
| more samples or teachers than before | `extend_labels` |
"""

from cosup.teachers.importers._combine import combine_labels, extend_labels
from cosup.teachers.importers._frame import from_frame
from cosup.teachers.importers._functions import from_functions
from cosup.teachers.importers._imported import ImportedLabels
from cosup.teachers.importers._probabilities import from_probabilities
from cosup.teachers.importers._read import read_labels
from cosup.teachers.importers._snorkel import from_snorkel
from cosup.teachers.importers._summary import Summary

__all__ = [
    "ImportedLabels",
    "Summary",
    "combine_labels",
    "extend_labels",
    "from_frame",
    "from_functions",
    "from_probabilities",
    "from_snorkel",
    "read_labels",
]
