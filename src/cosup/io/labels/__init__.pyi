from cosup.io.labels.formats import register_label_format as register_label_format
from cosup.io.labels.frame import from_frame as from_frame
from cosup.io.labels.functions import from_functions as from_functions
from cosup.io.labels.probabilities import from_probabilities as from_probabilities
from cosup.io.labels.read import read_labels as read_labels
from cosup.io.labels.snorkel import from_snorkel as from_snorkel
