"""Labels as they come: every form of the same votes becomes the same labels, and the summary counts what was said."""

import json

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from cosup import CosupError, CoSupervisedClassifier, ImportedLabels, TopK, combine_labels, read_labels
from cosup.io.labels import from_frame, from_functions, from_probabilities, from_snorkel
from cosup.tasks import annotate

NAMES = ["ant", "bee", "cat"]
VOTES = np.array([[0, 0, -1], [1, 0, 1], [2, 2, -1], [-1, 1, 1], [2, -1, -1], [-1, -1, -1]])
IDS = ["s0", "s1", "s2", "s3", "s4", "s5"]
TEACHERS = ["rule", "old model", "ann"]
CELLS = [[NAMES[v] if v >= 0 else None for v in row] for row in VOTES]
LONG = [(i, t, c) for i, row in zip(IDS, CELLS, strict=True) for t, c in zip(TEACHERS, row, strict=True) if c]


def same(labels, *, ids=True, silent=True):
    """Whether labels are the votes above, whatever the order of samples and teachers."""
    assert labels.class_names == tuple(NAMES)
    columns = [labels.names.index(name) for name in TEACHERS]
    rows = [labels.ids.index(i) for i in (IDS if silent else IDS[:5])] if ids else slice(None)
    np.testing.assert_array_equal(labels.hard()[rows][:, columns], VOTES if silent else VOTES[:5])
    return True


def wide_text():
    return "".join(",".join(row) + "\n" for row in [["id", *TEACHERS], *([i, *(c or "" for c in row)] for i, row in
                   zip(IDS, CELLS, strict=True))])  # fmt: skip


def test_csv_wide_and_long(tmp_path):
    (tmp_path / "wide.csv").write_text(wide_text())
    assert same(read_labels(tmp_path / "wide.csv"))
    (tmp_path / "long.csv").write_text("".join(",".join(row) + "\n" for row in [("task", "worker", "label"), *LONG]))
    assert same(read_labels(tmp_path / "long.csv"), silent=False)
    (tmp_path / "other.csv").write_text("".join(",".join(row) + "\n" for row in [("doc", "who", "what"), *LONG]))
    assert same(read_labels(tmp_path / "other.csv", task="doc", worker="who", label="what"), silent=False)


@pytest.mark.parametrize("dictionary", [False, True])
def test_parquet(tmp_path, dictionary):
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    columns = {name: arrow.array([row[t] for row in CELLS]) for t, name in enumerate(TEACHERS)}
    if dictionary:
        columns = {name: column.dictionary_encode() for name, column in columns.items()}
    table = arrow.table({"id": IDS, **columns})
    parquet.write_table(table, tmp_path / "wide.parquet", row_group_size=2)
    assert same(read_labels(tmp_path / "wide.parquet"))
    assert same(from_frame(table))
    numbers = {name: arrow.array([int(v) if v >= 0 else None for v in VOTES[:, t]]) for t, name in enumerate(TEACHERS)}
    parquet.write_table(arrow.table({"id": IDS, **numbers}), tmp_path / "ids.parquet")
    assert same(read_labels(tmp_path / "ids.parquet", class_names=NAMES))
    long = {name: [row[place] for row in LONG] for place, name in enumerate(("task", "worker", "label"))}
    parquet.write_table(arrow.table(long), tmp_path / "long.parquet")
    assert same(read_labels(tmp_path / "long.parquet"), silent=False)


def test_frames_of_pandas():
    pandas = pytest.importorskip("pandas")
    wide = pandas.DataFrame(CELLS, columns=TEACHERS, index=IDS)
    assert same(from_frame(wide))
    assert same(from_frame(wide.astype("category")))
    assert same(from_frame(wide.reset_index(names="doc"), id="doc"))
    gaps = pandas.DataFrame(np.where(VOTES < 0, np.nan, VOTES), columns=TEACHERS)  # floats, as pandas makes them
    assert same(from_frame(gaps, class_names=NAMES), ids=False)
    assert same(from_frame(pandas.DataFrame(LONG, columns=["task", "worker", "label"])), silent=False)
    with pytest.raises(CosupError, match=r"the data frame, row 1, column 1 \('rule'\) names the class 'bee'"):
        from_frame(wide, class_names=["ant", "cat"], id=None)


def test_frames_of_polars():
    polars = pytest.importorskip("polars")
    wide = polars.DataFrame({"id": IDS, **{name: [row[t] for row in CELLS] for t, name in enumerate(TEACHERS)}})
    assert same(from_frame(wide))
    assert same(from_frame(polars.DataFrame(LONG, schema=["task", "worker", "label"], orient="row")), silent=False)


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # crowd-kit's own, with pandas 3.1
def test_crowd_kit_takes_and_gives_the_same_table():
    pandas = pytest.importorskip("pandas")
    crowd = pytest.importorskip("crowdkit.aggregation")
    frame = pandas.DataFrame(LONG, columns=["task", "worker", "label"])
    assert set(crowd.MajorityVote().fit_predict(frame).index) == set(from_frame(frame).ids)


def test_snorkel_matrices_and_functions():
    assert same(from_snorkel(VOTES, NAMES, functions=TEACHERS, ids=IDS))

    class Function:  # what Snorkel's LabelingFunction has: a name, and a call
        def __init__(self, place):
            self.name, self.place = TEACHERS[place], place

        def __call__(self, item):
            return int(VOTES[item.row, self.place])

    pandas = pytest.importorskip("pandas")
    items = pandas.DataFrame({"row": range(6)}, index=IDS)
    functions = [Function(0), Function(1), Function(2)]
    assert same(from_functions(functions, items, NAMES))
    named = {name: lambda item, t=t: CELLS[item][t] for t, name in enumerate(TEACHERS)}
    assert same(from_functions(named, range(6), NAMES, ids=IDS))
    silent = from_functions({**named, "never": lambda item: None}, range(6), NAMES)
    assert "never" not in silent.names
    assert "'never' always abstain, and were left out" in str(silent.summary())


def test_a_function_that_fails_is_named_with_the_item():
    def broken(text):
        return NAMES[1] if text["n"] else NAMES[0]

    items = [{"n": 0}, {"n": 1}, {"m": 2}]
    with pytest.raises(CosupError, match=r"'broken' fails on item 2 \(id 'c'\): KeyError: 'n'"):
        from_functions([broken], items, NAMES, ids=["a", "b", "c"])
    labels = from_functions([broken], items, NAMES, fault_tolerant=True)
    assert labels.hard().ravel().tolist() == [0, 1, -1]
    assert "'broken' failed on 1 items" in str(labels.summary())
    for wrong in (True, 7, "be", 0.5):
        with pytest.raises(CosupError, match=r"'odd'.* for item 0"):
            from_functions({"odd": lambda item, wrong=wrong: wrong}, items, NAMES)


def test_probability_files_of_every_format(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    P = np.array([[0.7, 0.2, 0.1], [np.nan] * 3, [0.1, 0.1, 0.8]])
    ids = ["a", "b", "c"]
    np.save(tmp_path / "p.npy", P)
    np.savez(tmp_path / "p.npz", probabilities=P, ids=np.array(ids))
    rows = [["cat", "id", "ant", "bee"]] + [[*("" if np.isnan(v) else str(v) for v in (p[2],)), i,
            *("" if np.isnan(v) else str(v) for v in p[:2])] for i, p in zip(ids, P, strict=True)]  # fmt: skip
    (tmp_path / "p.csv").write_text("".join(",".join(row) + "\n" for row in rows))
    table = {name: [None if np.isnan(v) else v for v in P[:, c]] for c, name in enumerate(NAMES)}
    parquet.write_table(arrow.table({"id": ids, **table}), tmp_path / "p.parquet")
    for name in ("npz", "csv", "parquet"):
        labels = from_probabilities({"model": tmp_path / f"p.{name}"}, NAMES)
        assert labels.ids == tuple(ids)
        np.testing.assert_allclose(labels.annotations[:, 0], P)
    both = from_probabilities({"one": tmp_path / "p.npy", "two": P}, NAMES)
    assert both.annotations.shape == (3, 2, 3)


def test_answers_in_json_lines(tmp_path):
    lines = [{"id": i, "teacher": t, "label": c} for i, row in zip(IDS, CELLS, strict=True)
             for t, c in zip(TEACHERS, row, strict=True)]  # fmt: skip
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert same(read_labels(tmp_path / "a.jsonl"))
    soft = {"id": "a", "probabilities": {"ant": 0.25, "bee": 0.75}}
    (tmp_path / "llm.jsonl").write_text(json.dumps(soft) + "\n" + json.dumps({"id": "b", "label": "ant"}) + "\n")
    labels = read_labels(tmp_path / "llm.jsonl")
    assert labels.names == ("llm",)
    np.testing.assert_allclose(labels.annotations[:, 0], [[0.25, 0.75], [1, 0]])


def test_a_batch_file_with_answers_refusals_and_failures(tmp_path):
    def line(name, content, **more):
        body = {"choices": [{"message": {"role": "assistant", "content": content}}]}
        return {
            "id": "batch_1",
            "custom_id": name,
            "response": {"status_code": 200, "body": body},
            "error": None,
            **more,
        }

    lines = [line("a", "Ant."), line("b", '{"label": "bee"}'), line("c", "I cannot tell."),
             line("d", "", response={"status_code": 500, "body": {}}), line("e", "cat")]  # fmt: skip
    for record in lines:
        del record["id"]
    (tmp_path / "batch.jsonl").write_text("".join(json.dumps(record) + "\n" for record in lines))
    labels = read_labels(tmp_path / "batch.jsonl", class_names=NAMES, teacher="gpt")
    assert labels.names == ("gpt",)
    assert labels.hard().ravel().tolist() == [0, 1, -1, -1, 2]
    text = str(labels.summary())
    assert "1 answers name no class (first in row 3: 'I cannot tell.')" in text
    assert "1 answers failed to come (first in row 4)" in text


def test_models_over_features_of_their_own():
    rng = np.random.default_rng(0)
    weak = rng.normal(size=(40, 3))
    y = np.array(NAMES)[(weak[:, 0] > 0).astype(int)]
    model = LogisticRegression().fit(weak, y)
    labels = annotate({"fitted": model}, weak, NAMES)
    assert labels.class_names == tuple(NAMES)
    np.testing.assert_array_equal(np.array(NAMES)[labels.hard()[:, 0]], model.predict(weak))
    rules = from_functions({"rule": lambda row: "cat" if row[1] > 1 else None}, weak, NAMES)
    assert combine_labels([labels, rules]).names == ("fitted", "rule")


def test_sources_are_joined_by_id_with_classes_and_specialties():
    rules = ImportedLabels(VOTES[:5, :2], NAMES, names=TEACHERS[:2], ids=IDS[:5], specialties={"rule": ["cat"]})
    person = ImportedLabels([[1], [0], [1]], ["ape", "bee"], names=["ann"], ids=["s3", "new", "s1"], levels=[0])
    both = combine_labels([rules, person])
    assert both.class_names == ("ant", "ape", "bee", "cat")
    assert both.ids == (*IDS[:5], "new")
    said = np.array(["", *both.class_names])[both.hard() + 1]
    assert said[3].tolist() == ["", "bee", "bee"]
    assert said[5].tolist() == ["", "", "ape"]
    assert [both.class_names[c] for c in both.specialties[0]] == ["cat"]
    soft = from_probabilities({"model": np.full((5, 3), 1 / 3)}, NAMES, ids=IDS[:5])
    assert combine_labels([rules, soft]).is_soft


def test_alignment_keeps_rows_and_ids_together():
    labels = from_snorkel(VOTES, NAMES, functions=TEACHERS, ids=IDS)
    turned = labels.align(IDS[::-1])
    np.testing.assert_array_equal(turned.hard(), VOTES[::-1])
    assert labels[[3, 1]].ids == ("s3", "s1")
    assert labels[VOTES[:, 0] == 2].ids == ("s2", "s4")
    part = labels.align(["s1", "unseen", "s0"], partial=True)
    assert part.hard().tolist() == [[1, 0, 1], [-1, -1, -1], [0, 0, -1]]
    assert "4 ids (s2, s3, s4, s5) have labels, but no features" in str(part.summary())


def test_the_summary_counts_as_one_counts_by_hand():
    labels = from_snorkel(VOTES, NAMES, functions=TEACHERS, ids=IDS)
    summary = labels.summary()
    rule, model, ann = summary.teachers
    assert (rule["votes"], rule["coverage"], rule["overlaps"], rule["conflicts"]) == (4, 4 / 6, 3 / 6, 1 / 6)
    assert (ann["polarity"], ann["overlaps"], ann["conflicts"]) == (("bee",), 2 / 6, 1 / 6)
    # Others of 'old model': s0 one, with it; s1 two, against it; s2 one, with it; s3 one, with it.
    assert model["agreement"] == 3 / 4
    assert (summary.unlabelled, summary.several, summary.conflicts) == (1, 4, 1)
    assert summary.suggestions == {}
    assert str(summary).splitlines()[0].split() == [
        "teacher", "level", "coverage", "overlaps", "conflicts", "agreement", "votes", "names",
    ]  # fmt: skip


def test_the_summary_agrees_with_a_loop_over_cells():
    rng = np.random.default_rng(1)
    votes = rng.integers(-1, 4, size=(300, 5))
    summary = from_snorkel(votes, list("abcd")).summary()
    for t, row in enumerate(summary.teachers):
        spoken = [r for r in votes if r[t] >= 0]
        others = [[v for j, v in enumerate(r) if j != t and v >= 0] for r in spoken]
        assert row["overlaps"] == sum(bool(o) for o in others) / 300
        assert row["conflicts"] == sum(any(v != r[t] for v in o) for r, o in zip(spoken, others, strict=True)) / 300
        right = known = 0
        for r, o in zip(spoken, others, strict=True):
            counts = np.bincount(o, minlength=4)
            rival = np.delete(counts, r[t]).max()
            right += counts[r[t]] > rival
            known += counts[r[t]] != rival
        assert row["agreement"] == pytest.approx(right / known)


def test_specialties_are_suggested_and_slips_doubted_but_nothing_is_assumed():
    votes = np.array([["ant", "ant"], ["bee", "bee"], ["cat", "bee"]] * 40, dtype=object)
    votes[5, 0] = "beee"
    text = "id,a,b\n" + "".join(f"{row},{x},{y}\n" for row, (x, y) in enumerate(votes))
    labels = from_frame_of(text)
    said = str(labels.summary())
    assert "--specialty b=ant,bee" in said
    assert labels.specialties == (None, None)
    assert "'beee' is named 1 times only, and is much like 'bee'" in said


def from_frame_of(text):
    pandas = pytest.importorskip("pandas")
    import io

    return from_frame(pandas.read_csv(io.StringIO(text)))


def test_abstentions_are_blank_or_said():
    frame = {"x": ["ham", "none", "spam"], "y": ["ham", "ham", "?"]}
    pandas = pytest.importorskip("pandas")
    with pytest.raises(CosupError, match=r"row 1, column 1 \('x'\) is 'none'.*--abstain none"):
        from_frame(pandas.DataFrame(frame))
    labels = from_frame(pandas.DataFrame(frame), abstain=["none", "?"])
    assert labels.hard().tolist() == [[0, 0], [-1, 0], [1, -1]]
    minus = from_frame(pandas.DataFrame({"x": [0, -1, 1], "y": [1, 1, 0]}))
    assert minus.hard().tolist() == [[0, 1], [-1, 1], [1, 0]]
    assert "-1 was read as an abstention" in str(minus.summary())


def test_arrangement_by_name():
    labels = from_snorkel(VOTES, NAMES, functions=TEACHERS)
    arranged = labels.arrange({"ann": 1}, {"ann": ["bee", "cat"]})
    assert arranged.levels.tolist() == [0, 0, 1]
    assert arranged.specialties[2].tolist() == [1, 2]
    assert labels.levels.tolist() == [0, 0, 0]
    with pytest.raises(CosupError, match=r"no teacher 'anne'.*Did you mean 'ann'"):
        labels.arrange({"anne": 1})
    with pytest.raises(CosupError, match=r"no class 'be'.*Did you mean 'bee'"):
        labels.arrange(None, {"ann": ["be"]})
    with pytest.raises(CosupError, match=r"2 numbers.*3 teachers"):
        labels.arrange([0, 1])


def test_a_fit_on_imported_labels_predicts_names():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(90, 5)) + 4 * np.eye(5)[np.arange(90) % 3]
    votes = np.where(rng.random((90, 2)) < 0.2, rng.integers(0, 3, (90, 2)), (np.arange(90) % 3)[:, None])
    labels = from_snorkel(votes, NAMES)
    model = CoSupervisedClassifier(random_state=0).fit(X, labels)
    assert model.classes_.tolist() == NAMES
    assert model.score(X, np.array(NAMES)[np.arange(90) % 3]) > 0.9


def top_k(ids):
    """Two of four classes an annotation, the second sample without one."""
    probabilities = np.array([[[0.6, 0.3]], [[np.nan, np.nan]], [[0.6, 0.4]]], dtype=np.float16)
    labels = TopK(np.array([[[2, 0]], [[-1, -1]], [[1, 3]]]), probabilities, 4)
    return ImportedLabels(labels, list("abcd"), names=["llm"], ids=ids)


def test_most_probable_classes_stand_beside_hard_words_and_more_of_them():
    hard = ImportedLabels([[4], [0]], list("abcde"), names=["ann"], ids=["s2", "s4"])
    wider = ImportedLabels(
        TopK.of(np.array([[[0.1, 0.2, 0.3, 0.4]]], dtype=np.float32), k=3), list("abcd"), names=["v"], ids=["s2"]
    )
    both = combine_labels([top_k(["s1", "s2", "s3"]), hard, wider])
    assert both.is_sparse
    assert both.annotations.k == 3
    assert both.ids == ("s1", "s2", "s3", "s4")
    assert both.hard().tolist() == [[2, -1, -1], [-1, 4, 3], [1, -1, -1], [-1, 0, -1]]
    np.testing.assert_allclose(both.probabilities(0)[0], [0.3, 0.1 / 3, 0.6, 0.1 / 3, 0.1 / 3], atol=1e-3)
    np.testing.assert_allclose(both.probabilities(1)[1], [0, 0, 0, 0, 1])
    assert both.probabilities(1)[0].sum() == 0


def test_most_probable_classes_become_all_beside_probabilities_of_all():
    dense = from_probabilities({"old": np.full((3, 4), 0.25)}, list("abcd"))
    both = combine_labels([ImportedLabels.of(top_k(None), list("abcd")), dense])
    assert not both.is_sparse
    np.testing.assert_allclose(both.probabilities(0)[0], [0.3, 0.05, 0.6, 0.05], atol=1e-3)
    assert both.speaks().tolist() == [[True, True], [False, True], [True, True]]


def test_most_probable_classes_are_joined_in_part():
    joined = top_k(["s1", "s2", "s3"]).align(["s3", "s9", "s1"], partial=True)
    assert joined.hard().tolist() == [[1], [-1], [2]]
    assert joined.speaks().tolist() == [[True], [False], [True]]
    assert "s9" in joined.notes[-2]
