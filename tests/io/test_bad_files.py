"""Files that are wrong, kind by kind: the message names the file, row and column where there is one, and what to do.

Every kind is a function that writes the file (or files) and calls what reads it, and the words that the message must
hold. `{f}` stands for the file's path.
"""

import json

import numpy as np
import pytest

from cosup import CosupError, ImportedLabels, combine_labels, read_labels
from cosup.io.features import read_features
from cosup.io.labels import from_probabilities
from cosup.io.texts import read_texts

KINDS = {}


def kind(name, file, *words):
    """Register a kind of bad file: `file` is its name, `words` what the message says beside its path."""

    def add(function):
        assert name not in KINDS
        KINDS[name] = (file, words, function)
        return function

    return add


def text(name, file, content, *words, read=read_labels, **options):
    """A kind that is one text (or bytes) in one file."""

    def write_and_read(path):
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read(path, **options)

    kind(name, file, *words)(write_and_read)


def parquet(name, columns, *words, read=read_labels):
    """A kind that is a parquet file."""

    def write_and_read(path):
        arrow = pytest.importorskip("pyarrow")
        pytest.importorskip("pyarrow.parquet").write_table(arrow.table(columns()), path)
        return read(path)

    kind(name, "bad.parquet", *words)(write_and_read)


ANIMALS = ["ant", "bee", "cat"]
WIDE = "id,rule,model\na,ant,bee\nb,bee,\nc,ant,ant\n"

# -- tables of labels --------------------------------------------------------------------------------------
text("empty file", "bad.csv", "", "{f} is empty (0 bytes)", "written completely")
text("blank lines only", "bad.csv", "\n\n", "{f} is empty", "a header and one row a sample")
text("header only", "bad.csv", "id,rule\n", "{f} has a header but no rows", "one row a sample")
text("blank header", "bad.csv", "id,,rule\na,b,c\n", "{f}: column 2 has no name", "name it")
text("two columns of one name", "bad.csv", "id,rule,Rule\na,b,c\n", "{f}: two columns", "(2 and 3)", "rename one")
text("ragged row", "bad.csv", WIDE + "d,ant\n", "{f}, row 5 has 2 cells, but the header has 3", "quote text")
text("a comma that is not quoted", "bad.csv", "id,rule\na,bee\nb,ant, big\n", "{f}, row 3 has 3 cells", "quote text")
text("torn quotes", "bad.csv", 'id,rule\na,"bee\n', "{f}, row 2", "check the quotes")
text(
    "mixed encodings", "bad.csv", b"id,rule\na,caf\xc3\xa9\nb,caf\xe9\n", "{f}, row 3 is not UTF-8", "0xe9", "in UTF-8"
)
text("UTF-16 with its mark", "bad.csv", "id,rule\na,b\n".encode("utf-16"), "{f} is UTF-16", "save it as CSV in UTF-8")
text(
    "UTF-16 without its mark", "bad.csv", "id,rule\na,b\n".encode("utf-16-le"), "{f}, row 1 holds a zero byte", "UTF-8"
)
text("a sheet", "bad.xlsx", "PK", "{f} has the unknown extension '.xlsx'", "save the sheet as CSV")
text("a pickle", "bad.pkl", "\x80", "{f} has the unknown extension", "nothing is unpickled")
text("blank id", "bad.csv", "id,rule\na,ant\n,bee\n", "{f}, row 3, column 1 ('id'): the id is blank", "needs one")
text(
    "id twice", "bad.csv", WIDE + "b,ant,bee\n", "{f}, row 5, column 1 ('id')", "'b' stands in row 3 too", "of its own"
)
text("no teacher", "bad.csv", "id\na\nb\n", "{f} has no column of a teacher")
text("all cells blank", "bad.csv", "id,rule\na,\nb,\n", "{f} names 0 classes", "at least two")
text("one class only", "bad.csv", "id,rule\na,ant\nb,ant\n", "{f} names 1 classes (ant)", "at least two")
text("a teacher who never speaks", "bad.csv", "id,r,s\na,ant,\nb,bee,\n", "{f}: teacher 's' (column 1)", "leave it out")
text("a column of free text", "bad.csv", "id,remark\n" + "".join(f"{i},note {i}\n" for i in range(120)),
     "{f} names 120 different classes in 120 rows", "Keep 'id' and the teachers' columns only")  # fmt: skip
text("unknown class", "bad.csv", WIDE + "d,ant,caat\n", "{f}, row 5, column 3 ('model')", "the class 'caat'",
     "Did you mean 'cat'", class_names=ANIMALS)  # fmt: skip
text("class id out of range", "bad.csv", "rule\n0\n1\n7\n", "{f}, row 4, column 1 ('rule')", "class id 7", "0 to 2",
     class_names=ANIMALS)  # fmt: skip
text("NaN as a class", "bad.csv", "id,rule\na,ant\nb,NaN\nc,bee\n", "{f}, row 3, column 2 ('rule') is 'NaN'",
     "leave the cell blank", "--abstain NaN")  # fmt: skip
text("scores in place of classes", "bad.csv", "id,rule\na,0.3\nb,0.7\n", "{f}, row 2, column 2 ('rule') is '0.3'",
     "--probabilities rule=FILE")  # fmt: skip
text(
    "a column that is not there", "bad.csv", WIDE, "{f} has no column 'idd' for the ids", "Did you mean 'id'", id="idd"
)

# -- long tables -------------------------------------------------------------------------------------------
LONG = "task,worker,label\n1,ann,ant\n1,bob,bee\n2,ann,bee\n"
text("unknown worker", "bad.csv", LONG + "2,bobb,ant\n", "{f}, row 5, column 2 ('worker')", "'bobb'",
     "Did you mean 'bob'", workers=["ann", "bob"])  # fmt: skip
text(
    "a task without worker", "bad.csv", LONG + "3,,ant\n", "{f}, row 5, column 2 ('worker') is blank", "needs a worker"
)
text("two answers of a worker", "bad.csv", LONG + "1,ann,bee\n", "{f}, row 2, column 3 ('label')", "in row 5 'bee'",
     "keep one answer")  # fmt: skip

# -- parquet -----------------------------------------------------------------------------------------------
text("no parquet", "bad.parquet", "hello", "{f} is not a readable parquet file", "write it again")
parquet("parquet without rows", lambda: {"id": np.array([], str), "rule": np.array([], str)}, "{f}", "no rows")
parquet("parquet of lists", lambda: {"id": ["a", "b"], "rule": [["ant"], ["ant", "bee"]]},
        "{f}, column 2 ('rule'), row 2", "2 labels for one sample; one class a sample is expected")  # fmt: skip
parquet("a date in features", lambda: {"f": np.array(["2024-01-01", "2024-01-02"], "datetime64[s]")},
        "{f}, column 1 ('f')",         "features must be numbers: leave it out", read=read_features)  # fmt: skip
parquet("lists of other lengths", lambda: {"f": [[1.0, 2.0], [1.0]]}, "{f}, column 1 ('f')", "row 2 has 1 numbers",
        "the same number", read=read_features)  # fmt: skip
parquet("a blank feature", lambda: {"f": [1.0, None]}, "{f}, row 2, column 1 ('f') is blank", "fill it in",
        read=read_features)  # fmt: skip

# -- JSON lines --------------------------------------------------------------------------------------------
GOOD = '{"id": "a", "label": "ant"}\n{"id": "b", "label": "bee"}\n'
text("torn JSON line", "bad.jsonl", GOOD + '{"id": "c", "la', "{f}, row 3 is no JSON", "cut short: fetch it again")
text("JSON that is no object", "bad.jsonl", GOOD + "3\n", "{f}, row 3 is no JSON object")
text("answer without id", "bad.jsonl", GOOD + '{"label": "ant"}\n', "{f}, row 3: there is no 'id'", "found label")
text(
    "answer without label",
    "bad.jsonl",
    '{"id": "a", "lable": "ant"}\n',
    "{f}, row 1: there is neither 'label'",
    "lable",
)
text("answer of no class", "bad.jsonl", GOOD + '{"id": "c", "label": "cta"}\n',
     "{f}, row 3: the label names the class 'cta'", "Did you mean 'cat'", class_names=ANIMALS)  # fmt: skip
text("two answers for a sample", "bad.jsonl", GOOD + '{"id": "a", "label": "bee"}\n', "{f}, row 3", "'a' in row 1 too",
     "keep one answer")  # fmt: skip
text("answer's probabilities", "bad.jsonl", '{"id": "a", "probabilities": {"ant": 0.5, "bee": 0.1}}\n', "{f}, row 1",
     "sum to 0.6, not 1", "normalise")  # fmt: skip
text("a batch without classes", "bad.jsonl", json.dumps({"custom_id": "a", "response": {"body": {}}}) + "\n",
     "{f}, row 1", "--classes")  # fmt: skip
text("a batch's input", "bad.jsonl", json.dumps({"custom_id": "a", "response": {"body": {}}}) + "\n", "{f}, row 1",
     "response.body.choices[0].message.content", "is this a batch's output?", class_names=ANIMALS)  # fmt: skip


# -- probabilities -----------------------------------------------------------------------------------------
def probabilities(path, **options):
    return from_probabilities({"model": path}, **options)


PROBABLE = "id,ant,bee\na,0.2,0.8\nb,0.5,0.5\n"
text("probabilities that sum to less", "bad.csv", PROBABLE + "c,0.2,0.7\n",
     "{f}, row 4 has probabilities that sum to 0.9",      "not 1; normalise", read=probabilities)  # fmt: skip
text(
    "logits", "bad.csv", "ant,bee\n0.2,0.8\n-3,4\n", "{f}, row 3", "negative or infinite", "softmax", read=probabilities
)
text("part of a row", "bad.csv", PROBABLE + "c,1,\n", "{f}, row 4", "some classes only", "leave the row blank",
     read=probabilities)  # fmt: skip
text("a word among probabilities", "bad.csv", PROBABLE + "c,1,o\n", "{f}, row 4, column 3 ('bee') is 'o'",
     "write a number",      read=probabilities)  # fmt: skip
text("a column of no class", "bad.csv", "id,ant,be\na,0.2,0.8\n", "{f}: the column 'be' is no class",
     "Did you mean 'bee'",      read=probabilities, class_names=["ant", "bee"])  # fmt: skip


@kind("columns without names", "bad.npy", "{f}: the columns have no names", "class_names")
def _(path):
    np.save(path, np.full((2, 2), 0.5))
    return probabilities(path)


# -- arrays ------------------------------------------------------------------------------------------------
@kind("an object array", "bad.npy", "{f} is not a readable .npy file", "without objects")
def _(path):
    np.save(path, np.array([{}, {}]), allow_pickle=True)
    return read_labels(path)


@kind("a misspelt array", "bad.npz", "{f} holds an array 'level'", "Did you mean 'levels'")
def _(path):
    np.savez(path, annotations=np.array([[0], [1]]), level=[0])
    return read_labels(path)


@kind("ids of another number", "bad.npz", "{f}: ids must be 2 texts")
def _(path):
    np.savez(path, annotations=np.array([[0], [1]]), ids=np.array(["a", "b", "c"]))
    return read_labels(path)


@kind(
    "annotations out of range", "bad.npy", "{f}: annotation -7 of teacher 'teacher 0' at row 1, column 0", "-1 abstains"
)
def _(path):
    np.save(path, np.array([[0], [-7], [1]]))
    return read_labels(path)


# -- features and texts ------------------------------------------------------------------------------------
text("a word among features", "bad.csv", "id,f,g\na,1,2\nb,3,x\n", "{f}, row 3, column 3 ('g') is 'x'",
     "leave the sample",      read=read_features)  # fmt: skip
text("features without header", "bad.csv", "f,g\nx,2\n", "{f}, row 2, column 1 ('f')", "is the first row a header?",
     read=read_features)  # fmt: skip
text(
    "an infinite feature",
    "bad.csv",
    "f\n1\ninf\n",
    "{f}, row 3, column 1 ('f') is inf",
    "fill it in",
    read=read_features,
)
text("ids only", "bad.csv", "id\na\n", "{f} has no column of features beside 'id'", read=read_features)
text(
    "texts without a column",
    "bad.csv",
    "id,txt\na,hello\n",
    "{f} has no column 'text'",
    "Did you mean",
    read=read_texts,
)
text("a missing text", "bad.csv", "id,text\na,hello\nb,\n", "{f}, row 3, column 2 ('text') is blank",
     "leave the sample",      read=read_texts)  # fmt: skip
text("a text's id twice", "bad.jsonl", '{"id": "a", "text": "x"}\n{"id": "a", "text": "y"}\n', "{f}, row 2",
     "'a' stands in an earlier row too", read=read_texts)  # fmt: skip


# -- files that do not fit together ------------------------------------------------------------------------
@kind("ids that features lack", "bad.csv", "{f} lacks 1 ids (z)", "photos lacks 1 ids (c)", "--partial")
def _(path):
    path.write_text(WIDE)
    return read_labels(path).align(["a", "b", "z"], what="photos")


@kind("ids of another kind", "bad.csv", "no id of {f} is one of photos", "'a'", "'0.png'")
def _(path):
    path.write_text(WIDE)
    return read_labels(path).align(["0.png", "1.png"], what="photos")


@kind("two teachers of one name", "bad.csv", "{f}: there is a teacher 'rule' in another source too", "rename one")
def _(path):
    path.write_text(WIDE)
    return combine_labels(
        [ImportedLabels([[0], [1]], ["ant", "bee"], names=["rule"], ids=["a", "b"]), read_labels(path)]
    )


@kind("ids in one file only", "bad.csv", "{f} has no ids", "give all a column 'id'")
def _(path):
    path.write_text("model\nant\nbee\n")
    return combine_labels(
        [ImportedLabels([[0], [1]], ["ant", "bee"], names=["rule"], ids=["a", "b"]), read_labels(path)]
    )


@pytest.mark.parametrize("name", KINDS)
def test_the_message_names_file_place_and_remedy(name, tmp_path):
    file, words, read = KINDS[name]
    path = tmp_path / file
    with pytest.raises(CosupError) as caught:
        read(path)
    for word in words:
        assert word.format(f=path) in str(caught.value)


def test_there_are_forty_kinds():
    assert len(KINDS) >= 40


def test_a_byte_order_mark_semicolons_and_tabs_are_no_fault(tmp_path):
    expected = [[0, 1], [1, -1], [0, 0]]
    for name, content in (
        ("bom.csv", b"\xef\xbb\xbf" + WIDE.encode()),
        ("semicolons.csv", WIDE.replace(",", ";").encode()),
        ("tabs.tsv", WIDE.replace(",", "\t").replace("\n", "\r\n").encode()),
    ):
        (tmp_path / name).write_bytes(content)
        labels = read_labels(tmp_path / name)
        assert labels.hard().tolist() == expected
        assert labels.ids == ("a", "b", "c")
