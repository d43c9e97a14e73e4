"""Labels as they come: matrices, tables, frames, probability files, functions and remote answers.

| what there is | how it comes in |
| --- | --- |
| CSV, TSV, parquet, JSON lines, npy, npz, by path or URL; a folder of shards | `read_labels` |
| a data frame, a column a teacher | `from_frame` |
| a long table: task, worker, label | `read_labels`, `from_frame` |
| a Snorkel label matrix | `from_snorkel` |
| labelling functions and rules | `from_functions` |
| answers that leave several classes open | `from_sets`; `read_labels` and `from_frame` with `one_of` |
| probabilities of a model, a file or array a teacher | `from_probabilities` |
| a remote model's answers, batch files of OpenAI and Anthropic | `read_labels`, with `class_names` |
| exports of Label Studio, doccano, Prodigy, Argilla, MTurk, Toloka, SageMaker, Roboflow, COCO, CVAT | `read_labels` |
| a format of one's own | `read_labels`, with a reader under `register_label_format` |
| several of these | `cosup.combine_labels` |
| more samples or teachers than before | `cosup.labels.extend_labels` |
"""

from cosup.utils.lazy_attributes import lazy_attributes

__getattr__, __dir__, __all__ = lazy_attributes(__name__, __file__)
