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
| several of these | `cosup.combine_labels` |
| more samples or teachers than before | `cosup.labels.extend_labels` |
"""

from cosup.io.labels.frame import from_frame
from cosup.io.labels.functions import from_functions
from cosup.io.labels.probabilities import from_probabilities
from cosup.io.labels.read import read_labels
from cosup.io.labels.snorkel import from_snorkel

__all__ = [
    "from_frame",
    "from_functions",
    "from_probabilities",
    "from_snorkel",
    "read_labels",
]
