"""Answers that leave several classes open: all ways in give the same probabilities, and the default learns of them."""

import json

import numpy as np
import pytest

from cosup import CosupError, CoSupervisedClassifier, TeacherLabels, from_frame, from_functions, from_sets, read_labels
from cosup.tasks import make_hierarchy

ANN = [{"cat", "dog"}, {"dog"}, {"bird", "cat"}, None]
RULE = [{"cat"}, None, {"bird"}, {"dog"}]
NAMES = ("bird", "cat", "dog")
EXPECTED = np.array([
    [[0, 0.5, 0.5], [0, 1, 0]], [[0, 0, 1], [np.nan] * 3], [[0.5, 0.5, 0], [1, 0, 0]], [[np.nan] * 3, [0, 0, 1]],
])  # fmt: skip


def cell(answer, sign="|"):
    return sign.join(sorted(answer)) if answer else ""


def same(labels):
    assert (labels.class_names, labels.names) == (NAMES, ("ann", "rule"))
    np.testing.assert_allclose(np.asarray(labels.annotations), EXPECTED)
    np.testing.assert_array_equal(labels.hard(), [[-1, 1], [2, -1], [-1, 0], [-1, 2]])
    assert any(note.startswith("2 answers leave several classes open") for note in labels.notes)


def test_sets_and_lists_of_python():
    labels = from_sets({"ann": ANN, "rule": RULE}, ids=["a", "b", "c", "d"])
    same(labels)
    assert labels.ids == ("a", "b", "c", "d")
    same(from_sets({"ann": [None if s is None else sorted(s) for s in ANN], "rule": RULE}))


def test_texts_with_a_separator_wide_and_long(tmp_path):
    rows = list(zip("abcd", ANN, RULE, strict=True))
    wide, long = tmp_path / "wide.csv", tmp_path / "long.csv"
    wide.write_text("id,ann,rule\n" + "".join(f"{i},{cell(a)},{cell(r, ' | ')}\n" for i, a, r in rows))
    same(read_labels(wide, one_of="|"))
    told = [(i, t, s) for i, a, r in rows for t, s in (("ann", a), ("rule", r)) if s]
    long.write_text("task,worker,label\n" + "".join(f"{i},{t},{cell(s, '/')}\n" for i, t, s in told))
    same(read_labels(long, one_of="/"))
    long.write_text(long.read_text() + "a,ann,bird\n")
    with pytest.raises(CosupError, match=r"row 2, .*'ann' answers 'cat or dog' for 'a', and in row 8 'bird'"):
        read_labels(long, one_of="/")


def test_lists_in_json_and_frames(tmp_path):
    pandas = pytest.importorskip("pandas")
    answers = [
        {"id": i, "teacher": t, "label": sorted(s) if s else None}
        for t, its in (("ann", ANN), ("rule", RULE)) for i, s in zip("abcd", its, strict=True)
    ]  # fmt: skip
    file = tmp_path / "answers.jsonl"
    file.write_text("\n".join(map(json.dumps, answers)))
    same(read_labels(file, one_of="|"))
    with pytest.raises(CosupError, match=r"row 1: the label .* 2 labels for one sample.*--one-of"):
        read_labels(file)
    frame = pandas.DataFrame({"id": list("abcd"), "ann": [sorted(s) if s else None for s in ANN],
                              "rule": [cell(s) or None for s in RULE]})  # fmt: skip
    same(from_frame(frame, one_of="|"))


def test_functions_return_sets_of_names_or_ids():
    items = list(range(4))

    def ann(item):
        return ANN[item]

    def rule(item):
        return None if RULE[item] is None else [NAMES.index(name) for name in RULE[item]]

    same(from_functions([ann, rule], items, NAMES))
    with pytest.raises(CosupError, match=r"'ann' returns .* for item 0"):
        from_functions([ann], items, ["cat", "mouse"])


def test_whole_numbers_are_ids_of_names_that_are_given(tmp_path):
    (tmp_path / "ids.csv").write_text("id,t,u\na,1|2,0\nb,2,1\n")
    labels = read_labels(tmp_path / "ids.csv", one_of="|", class_names=["x", "y", "z"])
    np.testing.assert_allclose(labels.probabilities(0), [[0, 0.5, 0.5], [0, 0, 1]])


def test_an_answer_of_all_classes_or_beside_an_abstention_abstains(tmp_path):
    (tmp_path / "t.csv").write_text("id,t,u\na,x|y|z,x\nb,unsure|x,y\nc,unsure,z\nd,x|y,z\n")
    labels = read_labels(tmp_path / "t.csv", one_of="|", abstain=["unsure"])
    np.testing.assert_array_equal(labels.speaks()[:, 0], [False, False, False, True])
    assert "2 answers name all classes, or an abstention among several, and abstain" in labels.notes


def test_a_table_of_single_classes_stays_hard(tmp_path):
    (tmp_path / "t.csv").write_text("id,t\na,x\nb,y\n")
    assert not read_labels(tmp_path / "t.csv", one_of="|").is_soft


def test_slips_are_found(tmp_path):
    file = tmp_path / "t.csv"
    file.write_text("id,t,u\na,cat|dgo,cat\nb,dog,cat\n")
    with pytest.raises(CosupError, match=r"t.csv, row 2, column 2 \('t'\) names the class 'dgo'.*dog"):
        read_labels(file, one_of="|", class_names=["cat", "dog"])
    for sign in ("", " ", "x"):
        with pytest.raises(CosupError, match="separator of classes"):
            read_labels(file, one_of=sign)
    file.write_text("id,t,u\na,cat|dog,cat\nb,dog,cat\n")
    assert any("'cat|dog' was read as a class of its own" in note for note in read_labels(file).notes)
    with pytest.raises(CosupError, match="an answer a sample"):
        from_sets({"t": ["cat"], "u": ["cat", "dog"]})


def wide_sets(y, n_classes, rng, most):
    """Sets that hold the truth and up to `most` other classes."""
    return [{str(c), *map(str, rng.choice(n_classes, rng.integers(0, most + 1), replace=False))} for c in y]


@pytest.mark.parametrize("workers", [1, 4])
def test_the_default_learns_from_answers_of_which_few_are_single(workers):
    task = make_hierarchy(600, 500, n_features=16, n_classes=6, separation=4.0)
    y, rng = task.truth.y_train, np.random.default_rng(0)
    labels = from_sets({f"w{t}": wide_sets(y, 6, rng, 4) for t in range(workers)})
    told = [CoSupervisedClassifier(random_state=0).fit(task.X_train, given).predict(task.X_test).astype(int)
            for given in (labels, TeacherLabels(y[:, None]))]  # fmt: skip
    accuracy = [(predicted == task.truth.y_test).mean() for predicted in told]
    assert accuracy[0] > accuracy[1] - 0.05
