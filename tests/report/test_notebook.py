"""A notebook, executed cell by cell: everything shows itself, and nothing is longer than a screen."""

import ast
import json
from pathlib import Path

import numpy as np
import pytest

from cosup import CosupError, CoSupervisedClassifier, ImportedLabels, TeacherLabels, make_method
from cosup.report import TeachersDisplay
from fits import flat

NOTEBOOK = Path(__file__).parents[2] / "examples" / "notebook.ipynb"


def execute(path):
    """What the last expression of every cell gives, as a notebook would have it."""
    names, out = {}, []
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] != "code":
            continue
        tree = ast.parse("".join(cell["source"]))
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, str(path), "exec"), names)
        if last is not None:
            out.append(eval(compile(ast.Expression(last.value), str(path), "eval"), names))
    return out


def test_every_object_of_the_notebook_renders():
    matplotlib = pytest.importorskip("matplotlib")
    pytest.importorskip("pandas")
    matplotlib.use("agg")
    shown = execute(NOTEBOOK)
    kinds = {type(value).__name__ for value in shown}
    assert kinds >= {"TeacherLabels", "Summary", "History", "Estimates", "Provenance", "Account", "Checked", "Page"}
    assert {"TeachersDisplay", "LevelsDisplay", "DataFrame"} <= kinds
    for value in shown:
        assert len(repr(value).splitlines()) <= 40, type(value)
        if hasattr(value, "plot"):
            if type(value).__name__ != "DataFrame":
                assert value.figure_.axes
            continue
        page = value._repr_html_()
        assert len(page.splitlines()) <= 40 or type(value).__name__ == "DataFrame"
        assert page.count("<tr") == page.count("</tr")


def test_names_from_outside_never_become_markup():
    nasty = "</td><script>alert(1)</script>"
    X, _, said = flat(60)
    labels = ImportedLabels(said, [nasty, "b", "c"], names=[nasty, "two", "three"])
    model = CoSupervisedClassifier(random_state=0).fit(X, labels)
    for value in (labels, labels.summary(), model.history_, model.estimates_, model.report(labels, X)):
        assert nasty not in value._repr_html_()


def test_frames_hold_what_the_arrays_hold(tmp_path):
    pytest.importorskip("pandas")
    X, _, said = flat(90)
    said[::7, 1] = -1
    labels = TeacherLabels(said, names=["ann", "bob", "cid"])
    frame = labels.to_frame()
    assert frame["bob"].isna().sum() == (said[:, 1] < 0).sum()
    assert frame["ann"].tolist() == said[:, 0].tolist()
    assert labels.summary().to_frame().loc["bob", "votes"] == (said[:, 1] >= 0).sum()
    model = CoSupervisedClassifier(random_state=0).fit(X, labels)
    history = model.history_.to_frame()
    assert history.loc[0, "kept"] == model.history_[0]["kept"].sum()
    assert history.loc[0, "teachers"] == "ann, bob, cid"
    rows = model.provenance_.to_frame()
    np.testing.assert_array_equal(rows["kept"], model.provenance_["kept"].ravel())
    assert type(model.provenance_["kept"]) is np.ndarray
    estimates = model.estimates_.to_frame()
    assert list(estimates.index) == ["ann", "bob", "cid", "the student"]
    assert estimates.loc["the student", "estimate"] == model.estimates_.student[0]
    page = model.report(labels, X, tmp_path / "r.html")
    assert (tmp_path / "r.html").read_text() == page.content
    assert len(page._repr_html_().splitlines()) == 1
    with pytest.raises(CosupError, match="estimates nothing"):
        TeachersDisplay.from_estimator(make_method("majority").fit(X, labels))
