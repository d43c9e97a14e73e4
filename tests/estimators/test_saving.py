"""Models on disk: the same predictions in a new process and in ONNX; every format that was ever written is read."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import cosup
from cosup import CosupError, CoSupervisedClassifier, TeacherLabels
from cosup.io.labels import from_snorkel
from cosup.methods import make_method
from cosup.tasks import make_hierarchy

FIRST = Path(__file__).parent / "saved-v1"
NAMES = ("ant", "bee", "käfer")


@pytest.fixture(scope="module")
def task():
    return make_hierarchy(150, 60, n_features=8, n_classes=3, teachers_per_level=(1, 2), accuracy=(0.6, 0.9))


@pytest.fixture(scope="module")
def model(task):
    return CoSupervisedClassifier(random_state=0).fit(task.X_train, from_snorkel(task.labels.hard(), NAMES))


def test_a_model_of_the_first_format_predicts_as_it_did():
    model = cosup.load(FIRST)
    expected = json.loads((FIRST / "expected.json").read_text())
    np.testing.assert_array_equal(model.predict_proba(np.array(expected["X"])), np.array(expected["probabilities"]))
    assert model.class_names_ == ("ham", "spam")
    assert model.predict(np.array(expected["X"])).tolist() == [1, 1, 0]


def test_identical_in_a_new_process(task, model, tmp_path):
    model.save(tmp_path / "model")
    np.save(tmp_path / "X.npy", task.X_test)
    code = (
        "import sys, numpy, cosup; folder = sys.argv[1]; model = cosup.load(folder + '/model');"
        "numpy.save(folder + '/P.npy', model.predict_proba(numpy.load(folder + '/X.npy')));"
        "print(*model.classes_, type(model).__name__, 'torch' in sys.modules)"
    )
    command = [sys.executable, "-X", "utf8", "-c", code, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=120, check=True)
    assert done.stdout.split() == [*NAMES, "CoSupervisedClassifier", "False"]
    np.testing.assert_array_equal(np.load(tmp_path / "P.npy"), model.predict_proba(task.X_test))


def test_parameters_and_inputs_come_back(task, tmp_path):
    model = make_method("csl", rounds=2, reject=("teacher-student",), random_state=3).fit(task.X_train, task.labels)
    model.save(tmp_path, inputs={"backbone": "lite:efficientnet-lite0"})
    back = cosup.load(tmp_path)
    assert back.get_params() == model.get_params()
    assert back.inputs_ == {"backbone": "lite:efficientnet-lite0"}
    again = back.fit(task.X_train, task.labels)
    np.testing.assert_array_equal(again.predict_proba(task.X_test), model.predict_proba(task.X_test))


def test_model_json_holds_what_the_format_says(model, tmp_path):
    model.save(tmp_path)
    content = json.loads((tmp_path / "model.json").read_text())
    assert set(content) == {"schema", "cosup", "class_names", "n_features", "meta", "inputs", "sha256"}
    assert set(content["meta"]) == {"method", "classes", "parameters", "unsaved"}
    said = cosup.estimators.saving.__doc__
    assert all(f"``{key}``" in said for key in {*content} - {"meta"} | {f"meta.{key}" for key in content["meta"]})


def test_keys_of_later_releases_are_ignored(task, model, tmp_path):
    model.save(tmp_path)
    path = tmp_path / "model.json"
    content = json.loads(path.read_text())
    content["calibration"] = {"temperature": 1.1}
    content["meta"]["parameters"]["gate"] = "new"
    path.write_text(json.dumps(content))
    np.testing.assert_array_equal(cosup.load(tmp_path).predict(task.X_test), model.predict(task.X_test))


def test_a_parameter_that_json_does_not_know_is_named(task, tmp_path):
    student = cosup.RidgeProbe()
    CoSupervisedClassifier(student, random_state=0).fit(task.X_train, task.labels).save(tmp_path)
    assert json.loads((tmp_path / "model.json").read_text())["meta"]["unsaved"] == ["student"]
    assert cosup.load(tmp_path).unsaved_ == ("student",)


def test_what_is_damaged_is_said(model, tmp_path):
    model.save(tmp_path)
    path = tmp_path / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    with pytest.raises(CosupError, match=r"model\.safetensors is damaged, or of another model"):
        cosup.load(tmp_path)
    with pytest.raises(CosupError, match=r"model\.json is missing"):
        cosup.load(tmp_path / "nowhere")
    content = json.loads((tmp_path / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps(content | {"schema": 2}))
    with pytest.raises(CosupError, match=r"schema 2, .* reads 1; upgrade cosup"):
        cosup.load(tmp_path)


def test_only_linear_students_are_saved(task, tmp_path):
    from sklearn.naive_bayes import GaussianNB

    model = CoSupervisedClassifier(GaussianNB(), random_state=0).fit(task.X_train, TeacherLabels(task.labels.hard()))
    for write in (model.save, model.to_onnx):
        with pytest.raises(CosupError, match="only linear students can be saved"):
            write(tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("precision", "scale"), [("float32", 1.0), ("float64", 300.0)])
def test_onnx_gives_the_same_probabilities(task, tmp_path, precision, scale):
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    X, Z = scale * task.X_train, (scale * task.X_test).astype(np.float32)
    model = CoSupervisedClassifier(random_state=0).fit(X, from_snorkel(task.labels.hard(), NAMES))
    model.to_onnx(tmp_path / "model.onnx", precision=precision)
    session = runtime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    P, best = session.run(["probabilities", "prediction"], {"features": Z})
    np.testing.assert_allclose(P, model.predict_proba(Z), atol=1e-5, rtol=0)
    names = json.loads(session.get_modelmeta().custom_metadata_map["class_names"])
    assert [names[c] for c in best] == model.predict(Z).tolist()


def test_onnx_needs_its_extra(model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(CosupError, match=r"pip install 'cosup\[onnx\]'"):
        model.to_onnx(tmp_path / "model.onnx")


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["weight", "bias"])
def test_weights_that_are_not_finite_are_no_model(model, tmp_path, name, value):
    arrays, meta = model.to_arrays()
    arrays[name] = arrays[name].copy()
    arrays[name].flat[0] = value
    content = {"class_names": [str(c) for c in model.classes_], "n_features": model.n_features_in_, "meta": meta}
    cosup.estimators.saving.write_saved(tmp_path, cosup.estimators.saving.saved_files(arrays, content))
    with pytest.raises(CosupError, match=f"holds a {name} with NaN or infinite values"):
        cosup.load(tmp_path)


def test_the_same_model_is_the_same_bytes(model, tmp_path):
    for name in ("one", "two"):
        model.save(tmp_path / name)
    for file in ("model.json", "model.safetensors"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
