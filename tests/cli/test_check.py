"""Labels that come back: what they measure, what they mend, and what is wrong with them."""

import csv
import json

import numpy as np
import pytest

from command import run
from cosup import CosupError, CoSupervisedClassifier, ImportedLabels, TeacherLabels, load
from cosup.estimators.accuracy import Estimates
from cosup.provenance import (
    Account,
    after_looking,
    check_estimates,
    look_first,
    read_account,
    read_answers,
    recalibrate,
    with_person,
)
from cosup.tasks import make_hierarchy

NAMES = ("ant", "bee", "cat", "dog")


@pytest.fixture(scope="module")
def task():
    return make_hierarchy(
        400, 400, n_features=12, n_classes=4, teachers_per_level=(1, 2), accuracy=(0.6, 0.8), separation=2.5
    )


@pytest.fixture(scope="module")
def fitted(task):
    labels = ImportedLabels.of(task.labels, NAMES, ids=[f"s{row:03}" for row in range(400)])
    model = CoSupervisedClassifier(random_state=0).fit(task.X_train, labels)
    account = Account.of(model, labels, task.X_train, class_names=NAMES, ids=labels.ids)
    return labels, model, account


def on(rows, truth):
    known = np.full(len(truth), -1)
    known[rows] = truth[rows]
    return known


def test_what_is_looked_at_speaks_for_itself_and_a_uniform_draw_for_the_rest(task, fitted):
    labels, model, account = fitted
    y = task.truth.y_train
    looked, drawn = on(np.arange(100), y), on(np.arange(80, 130), y)
    checked = check_estimates(account, looked=looked, uniform=drawn, estimates=model.estimates_)
    right = account.answer == y
    assert checked.names == (*labels.names, "the student")
    assert checked.looked[-1] == 130
    assert checked.uniform[-1] == 30
    expected = (right[:100].sum() + 300 * right[100:130].mean()) / 400
    assert checked.measured[-1, 0] == pytest.approx(expected)
    low, high = checked.measured[-1, 1:]
    assert low < expected < high
    # The part that was looked at is known: what is uncertain are three quarters of what it is for thirty labels alone.
    alone = check_estimates(account, uniform=on(np.arange(100, 130), y)).measured[-1]
    assert high - low == pytest.approx(0.75 * (alone[2] - alone[1]))
    speaks = labels.hard()[:, 1] >= 0
    assert checked.looked[1] == speaks[:130].sum()


def test_everything_looked_at_is_known_exactly(task, fitted):
    _, _, account = fitted
    y = task.truth.y_train
    for given in ({"looked": y}, {"uniform": y}, {"looked": on(np.arange(50), y), "uniform": y}):
        measured = check_estimates(account, **given).measured[-1]
        np.testing.assert_allclose(measured, (account.answer == y).mean())


def test_labels_chosen_by_doubt_alone_measure_nothing(task, fitted):
    _, model, account = fitted
    checked = check_estimates(account, looked=on(np.arange(40), task.truth.y_train), estimates=model.estimates_)
    assert np.isnan(checked.measured).all()
    assert set(checked.verdicts) == {"not measured"}
    assert "cosup look --uniform" in str(checked)
    sure = account.confidence[:40].sum()
    assert f"by its own probabilities it would be {sure:.0f}" in str(checked)


def test_a_contradiction_is_said_plainly(task, fitted):
    _, model, account = fitted
    drawn = on(np.arange(200), task.truth.y_train)
    assert "don't contradict" in str(check_estimates(account, uniform=drawn, estimates=model.estimates_))
    wrong = Estimates(
        np.array([0.2, 0.1, 0.3]), np.array([[0.99, 0.98, 1.0], *model.estimates_.teachers[1:]]),
        model.estimates_.by_class,
    )  # fmt: skip
    checked = check_estimates(account, uniform=drawn, estimates=wrong)
    assert checked.verdicts[0] == "too high"
    assert checked.verdicts[-1] == "too low"
    assert f"contradict what was estimated of {checked.names[0]}, the student" in str(checked)


def test_intervals_hold_the_accuracy_as_often_as_they_say(task, fitted):
    """Samples chosen by doubt and a uniform draw, over many draws; the plain share of all labels would be far off."""
    labels, model, account = fitted
    y = task.truth.y_train
    first = on(look_first(task.X_train, labels, model)[0][:60], y)
    truth = np.append((labels.hard() == y[:, None]).sum(axis=0) / (labels.hard() >= 0).sum(axis=0), 0.0)
    truth[-1] = (account.answer == y).mean()
    hits = []
    for seed in range(200):
        drawn = on(np.random.default_rng(seed).permutation(400)[:40], y)
        measured = check_estimates(account, looked=first, uniform=drawn).measured
        hits.append((measured[:, 1] <= truth) & (truth <= measured[:, 2]))
    assert np.mean(hits, axis=0).min() > 0.87
    assert abs((account.answer == first)[first >= 0].mean() - truth[-1]) > 0.1


def test_probabilities_are_softened_where_that_is_borne_out(task, fitted):
    _, model, _ = fitted
    y = task.truth.y_train
    known = on(np.random.default_rng(0).permutation(400)[:100], y)
    sharp = CoSupervisedClassifier.from_arrays(*model.to_arrays())
    sharp.head_ = type(model.head_)(4 * model.head_.weight, 4 * model.head_.bias)
    better, calibration = recalibrate(sharp, task.X_train, known)
    assert calibration.after < calibration.before
    assert calibration.temperature > 2
    np.testing.assert_array_equal(better.predict(task.X_test), model.predict(task.X_test))

    def loss(model):
        return -np.log(model.predict_proba(task.X_test)[np.arange(400), task.truth.y_test]).mean()

    assert loss(better) < loss(sharp) - 0.1
    again, calibration = recalibrate(better, task.X_train, known)
    assert calibration.temperature == 1
    assert "stay as they are" in str(calibration)
    np.testing.assert_array_equal(again.predict_proba(task.X_test), better.predict_proba(task.X_test))
    assert recalibrate(model, task.X_train, on([3], y))[1].temperature == 1


def test_only_linear_students_are_calibrated(task):
    from sklearn.tree import DecisionTreeClassifier

    model = CoSupervisedClassifier(DecisionTreeClassifier(max_depth=2), rounds=1, random_state=0)
    model.fit(task.X_train, task.labels)
    with pytest.raises(CosupError, match="only linear students"):
        recalibrate(model, task.X_train, task.truth.y_train)
    known = on(np.arange(30), task.truth.y_train)
    assert after_looking(task.X_train, task.labels, model, known).score(task.X_test, task.truth.y_test) > 0.3


def test_a_person_may_be_one_more_teacher(task, fitted):
    labels, _, _ = fitted
    known = on(np.arange(60), task.truth.y_train)
    taught = with_person(labels, known)
    assert taught.names[-1] == "person"
    assert taught.levels[-1] == 2
    np.testing.assert_array_equal(taught.hard()[:, -1], known)
    assert taught.class_names == NAMES
    assert with_person(taught, known).names[-1] == "person'"
    assert type(with_person(task.labels, known)) is TeacherLabels
    fitted_on = CoSupervisedClassifier(random_state=0).fit(task.X_train, taught)
    account = Account.of(fitted_on, taught, task.X_train, class_names=NAMES, ids=labels.ids)
    assert account.teacher_levels[-1] == 2


def test_a_student_of_labels_that_came_back_stands_in_the_models_place(task, fitted):
    labels, model, account = fitted
    known = on(np.arange(60), task.truth.y_train)
    better = after_looking(task.X_train, labels, model, known)
    assert better.classes_.tolist() == list(NAMES)
    changed = Account.of(better, labels, task.X_train, class_names=NAMES, ids=labels.ids)
    np.testing.assert_array_equal(changed.answer, better.head_.predict_proba(task.X_train).argmax(axis=1))
    np.testing.assert_array_equal(changed.assigned, account.assigned)
    np.testing.assert_array_equal(account.answer, model.head_.predict_proba(task.X_train).argmax(axis=1))
    sure = [fit.predict_proba(task.X_test).max(axis=1).mean() for fit in (better, model)]
    assert sure[0] == pytest.approx(sure[1], abs=0.02)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,person\ns001,ant\ns999,bee\n", r"row 3, column 1 .*no sample 's999' among the 400.*Did you mean"),
        ("id,person\ns001,ant\ns002,be\n", r"row 3, column 2 .*names the class 'be'. Did you mean 'bee'.*--classes"),
        ("id,person\ns001,ant\ns001,bee\n", r"row 3.*'s001' is 'bee' here, and 'ant' in .*row 2"),
        ("id,person\ns001,\ns002,\n", "holds no answer: the column 'person' is blank"),
        ("id,person\n,ant\n", "the id is blank"),
        ("name,person\ns001,ant\n", "no column 'id'"),
        ("id,when,who\ns001,ant,x\n", "no column 'person'"),
        ("", "is empty"),
    ],
)
def test_bad_files_of_answers_are_named(fitted, tmp_path, text, message):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(CosupError, match=message):
        read_answers(tmp_path / "a.csv", fitted[0].ids, NAMES)


def test_answers_are_read_however_the_column_is_called(fitted, tmp_path):
    ids = fitted[0].ids
    for text in (
        "id,person\ns002,bee\ns001,\ns002,bee\n", "path,Label\ns002,bee\n", "id,mine\ns002,bee\n",
        "id,confidence,class\ns002,0.4,bee\n",
    ):  # fmt: skip
        (tmp_path / "a.csv").write_text(text)
        known = read_answers(tmp_path / "a.csv", ids, NAMES)
        assert known[2] == 1
        assert (known >= 0).sum() == 1


def test_labels_that_contradict_each_other_are_named(task, fitted):
    _, _, account = fitted
    y = task.truth.y_train
    with pytest.raises(CosupError, match="'s003' was given two answers"):
        check_estimates(account, looked=on([3], y), uniform=on([3], (y + 1) % 4))
    with pytest.raises(CosupError, match="no labels are given"):
        check_estimates(account)
    with pytest.raises(CosupError, match="looked has shape"):
        check_estimates(account, looked=y[:5])
    with pytest.raises(CosupError, match="estimates are of 1 teachers, but the account has 3"):
        check_estimates(account, looked=y, estimates=Estimates(np.zeros(3), np.zeros((1, 3)), np.zeros((1, 4, 3))))


def fill(path, truth):
    """Answer what a file asks for."""
    with path.open(newline="") as file:
        rows = [(row["id"], NAMES[truth[int(row["id"][1:])]]) for row in csv.DictReader(file)]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("id", "person"), *rows])
    return [int(name[1:]) for name, _ in rows]


def test_look_fill_in_check_and_train(task, fitted, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    labels, _, _ = fitted
    y = task.truth.y_train
    np.savez("X.npz", X=task.X_train, ids=np.array(labels.ids))
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        rows = [(name, *(NAMES[v] for v in row)) for name, row in zip(labels.ids, labels.hard(), strict=True)]
        csv.writer(file).writerows([("id", "g", "a", "b"), *rows])
    run("fit", "--features", "X.npz", "--labels", "labels.csv", "--levels", "0,1,1", "--out", "model")
    before = {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()}
    assert "cosup check model --answers look.csv" in run("look", "model", "--first", 60, "--out", "look.csv").stdout
    assert "--uniform check.csv" in run("look", "model", "--uniform", 50, "--out", "check.csv").stdout
    chosen, drawn = fill(tmp_path / "look.csv", y), fill(tmp_path / "check.csv", y)
    assert len(set(drawn)) == 50
    wrong = read_account("model")[0].answer != y
    assert wrong[chosen].mean() > wrong[drawn].mean()

    said = run("check", "model", "--answers", "look.csv").stdout
    assert "None of these labels was drawn uniformly" in said
    assert "Nothing was trained" in said
    said = run("check", "model", "--answers", "look.csv", "--uniform", "check.csv", "--out", "better").stdout
    assert "The labels don't contradict" in said
    assert "Trained with 60 labels" in said
    assert f"Measured on {len(set(drawn) - set(chosen))} uniformly drawn samples" in said
    assert "log loss" in said
    assert {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()} == before
    known = on(chosen, y)
    better = load("better")
    assert better.score(task.X_train, np.array(NAMES)[y]) >= 1 - wrong.mean()
    account, facts = read_account("better")
    assert account.teachers[-1] == "person"
    np.testing.assert_array_equal(account.annotated[:, -1], known)
    assert "60 labels of" in facts["Person"]

    run("look", "better", "--first", 20, "--out", "more.csv")
    assert not set(fill(tmp_path / "more.csv", y)) & set(chosen)
    said = run("check", "better", "--answers", "more.csv", "--out", "best").stdout
    both = int((read_account("best")[0].annotated[:, -1] >= 0).sum())
    assert both == 80
    assert f"Trained with {both} labels" in said
    assert "uniformly drawn samples" in said, "those of the first check count on"
    assert len(json.loads((tmp_path / "best" / "fit.json").read_text())["answers"]) == 2


def test_labels_drawn_uniformly_calibrate_and_are_not_trained_on(task, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("X.npy", task.X_train)
    np.save("L.npy", task.labels.hard())
    run("fit", "--features", "X.npy", "--labels", "L.npy", "--out", "model")
    rows = "".join(f"{row},{task.truth.y_train[row]}\n" for row in range(0, 400, 2))
    (tmp_path / "u.csv").write_text("id,person\n" + rows)
    said = run("check", "model", "--uniform", "u.csv", "--out", "mild").stdout
    assert "Trained with 0 labels: 0 of 400 answers changed" in said
    old, new = load("model").head_, load("mild").head_
    ratio = np.unique(np.round(old.weight / new.weight, 6))
    assert len(ratio) == 1
    assert (ratio[0] == 1) == ("stay as they are" in said)
    assert read_account("mild")[0].teachers == read_account("model")[0].teachers


def test_what_check_cannot_do_is_named(task, fitted, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("X.npz", X=task.X_train)
    np.save("L.npy", task.labels.hard())
    run("fit", "--features", "X.npz", "--labels", "L.npy", "--out", "model")
    (tmp_path / "a.csv").write_text("id,person\n3,1\n")
    (tmp_path / "b.csv").write_text("id,person\n3,2\n")
    for arguments, message in (
        (("--out", "new"), "no labels are named"),
        (("--answers", "a.csv", "--out", "model"), "model is not empty"),
        (("--answers", "a.csv", "--answers", "b.csv"), "'3' is '2' here, and '1' in another file"),
        (("--answers", "a.csv", "--uniform", "b.csv"), "given two answers"),
    ):
        assert message in " ".join(run("check", "model", *arguments, code=2).stderr.split())
    assert not (tmp_path / "new").exists()
    assert "two lists" in run("look", "model", "--first", 3, "--uniform", 3, code=2).stderr
    np.savez("X.npz", X=task.X_train[:-1])
    np.save("L.npy", task.labels.hard()[:-1])
    message = run("check", "model", "--answers", "a.csv", "--out", "new", code=2).stderr
    assert "not what it was fitted on: 399 samples now, 400 then" in " ".join(message.split())
