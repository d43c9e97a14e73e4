"""Inputs in the shape of public reports and of tools' exports, made up here; benchmarks/studies/inputs.md names them.

Each is read as what it means, or refused with its place and what to do.
"""

import json

import numpy as np
import pytest

from cosup import CosupError, read_features, read_labels, read_texts
from cosup.io.labels import from_frame, from_snorkel


def lines(path, *records):
    """Write JSON lines."""
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def votes(labels):
    """Teacher -> sample -> class's name."""
    names = (*labels.class_names, None)
    return {
        teacher: {i: names[c] for i, c in zip(labels.ids, labels.hard()[:, t].tolist(), strict=True)}
        for t, teacher in enumerate(labels.names)
    }


# -- data frames and CSV -----------------------------------------------------------------------------------
def test_a_frame_that_was_written_and_read_again_has_row_numbers_and_floats(tmp_path):
    (tmp_path / "a.csv").write_text("Unnamed: 0,rule,model\n0,1.0,2.0\n1,,0.0\n2,0.0,0.0\n3,2.0,1.0\n")
    labels = read_labels(tmp_path / "a.csv")
    assert labels.names == ("rule", "model")
    assert labels.class_names == ("0", "1", "2")
    assert labels.hard().tolist() == [[1, 2], [-1, 0], [0, 0], [2, 1]]
    assert "'Unnamed: 0'" in str(labels.summary())


@pytest.mark.parametrize("word", ["<null>", "(null)", "\\N", "#N/A", "NaT"])
def test_words_of_databases_for_what_is_missing_are_no_classes(tmp_path, word):
    (tmp_path / "a.csv").write_text(f"id,rule\na,bee\nb,{word}\nc,ant\n")
    with pytest.raises(CosupError, match="row 3, column 2"):
        read_labels(tmp_path / "a.csv")
    assert read_labels(tmp_path / "a.csv", abstain=[word]).hard().ravel().tolist() == [1, -1, 0]


def test_a_categorical_with_unsigned_codes_is_read(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    codes = arrow.DictionaryArray.from_arrays(arrow.array([1, 0, None, 1], arrow.uint16()), ["ant", "bee"])
    parquet.write_table(arrow.table({"id": ["a", "b", "c", "d"], "rule": codes}), tmp_path / "a.parquet")
    assert votes(read_labels(tmp_path / "a.parquet"))["rule"] == {"a": "bee", "b": "ant", "c": None, "d": "bee"}


def test_a_parquet_of_a_type_that_is_not_known_is_refused(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1" + b"\x15\x99" * 40 + b"PAR1")
    with pytest.raises(CosupError, match="not a readable parquet file"):
        read_labels(tmp_path / "a.parquet")


def test_truth_values_are_two_classes_however_they_are_written(tmp_path):
    pandas = pytest.importorskip("pandas")
    (tmp_path / "a.csv").write_text("id,sheet,json,r\na,TRUE,true,True\nb,FALSE,false,False\nc,TRUE,false,\n")
    from_csv = read_labels(tmp_path / "a.csv")
    assert from_csv.class_names == ("False", "True")
    lines(tmp_path / "a.jsonl", *({"id": i, "label": v} for i, v in zip("abc", [True, False, True], strict=True)))
    assert read_labels(tmp_path / "a.jsonl").class_names == ("False", "True")
    assert from_frame(pandas.DataFrame({"rule": [True, False, True]})).class_names == ("False", "True")
    assert read_labels(tmp_path / "a.csv", class_names=["true", "false"]).class_names == ("true", "false")


def test_none_in_a_label_matrix_abstains_and_minus_one_of_two_is_asked_about(tmp_path):
    matrix = np.array([[0, None], [1, 1], [None, 0]], dtype=object)
    assert from_snorkel(matrix).hard().tolist() == [[0, -1], [1, 1], [-1, 0]]
    (tmp_path / "a.csv").write_text("id,rule,model\na,1,-1\nb,-1,-1\nc,1,1\n")
    with pytest.raises(CosupError, match="-1 was read as an abstention; if it is a class: --classes=-1"):
        read_labels(tmp_path / "a.csv")
    assert read_labels(tmp_path / "a.csv", class_names=["-1", "1"]).hard().tolist() == [[1, 0], [0, 0], [1, 1]]


# -- doccano -----------------------------------------------------------------------------------------------
def test_doccano_labels_in_a_list(tmp_path):
    path = lines(tmp_path / "a.jsonl", {"id": 7, "text": "x", "labels": ["late"]}, {"id": 8, "text": "y", "labels": []},
                 {"id": 9, "text": "z", "labels": ["early"]})  # fmt: skip
    assert votes(read_labels(path)) == {"a": {"7": "late", "8": None, "9": "early"}}


def test_doccano_annotations_of_users_are_teachers(tmp_path):
    def record(i, *pairs):
        return {"id": i, "text": "x", "annotations": [{"label": c, "user": u} for c, u in pairs]}

    path = lines(tmp_path / "a.jsonl", record(1, (3, 1), (4, 2)), record(2, (4, 1)), record(3))
    assert votes(read_labels(path)) == {
        "user 1": {"1": "3", "2": "4", "3": None}, "user 2": {"1": "4", "2": None, "3": None},
    }  # fmt: skip
    path = lines(tmp_path / "b.jsonl", {"id": 1, "text": "x", "annotations": [{"label": 1, "start_offset": 0}]})
    with pytest.raises(CosupError, match=r"row 1 labels parts of a text \(start_offset\)"):
        read_labels(path)


def test_doccano_spans_are_refused_with_their_row(tmp_path):
    path = lines(tmp_path / "a.jsonl", {"id": 1, "label": "x"}, {"id": 2, "text": "Rome", "label": [[0, 4, "CITY"]]})
    with pytest.raises(CosupError, match=r"row 2: the label is .*'CITY'.*one class a sample"):
        read_labels(path)


def test_texts_under_another_key_are_asked_for(tmp_path):
    path = lines(tmp_path / "a.jsonl", {"id": 1, "data": "a text"})
    with pytest.raises(CosupError, match="row 1 has no 'text'"):
        read_texts(path)


# -- Label Studio ------------------------------------------------------------------------------------------
def studio(task, person, choice, key="annotations", **more):
    """A task of Label Studio's JSON with one answer."""
    result = [{"from_name": "kind", "type": "choices", "value": {"choices": choice}}]
    return {"id": task, "data": {"image": f"/data/upload/1/0a1b2c3d-{task}.png"},
            key: [{"completed_by": person, "result": result, **more}]}  # fmt: skip


def test_label_studio_tasks(tmp_path):
    tasks = [studio(1, 5, ["cat"]), studio(2, {"email": "b@x.org"}, ["dog"]), studio(3, 5, ["dog"], was_cancelled=True)]
    tasks[0]["annotations"].append(tasks[1]["annotations"][0])
    tasks[0]["predictions"] = [{"model_version": "v1", "result": tasks[0]["annotations"][0]["result"]}]
    (tmp_path / "a.json").write_text(json.dumps(tasks))
    assert votes(read_labels(tmp_path / "a.json")) == {
        "annotator 5": {"1.png": "cat", "2.png": None, "3.png": None},
        "b@x.org": {"1.png": "dog", "2.png": "dog", "3.png": None},
        "v1": {"1.png": "cat", "2.png": None, "3.png": None},
    }


def test_label_studio_completions_repeats_and_several_choices(tmp_path):
    old = [studio(1, 5, ["cat"], key="completions"), studio(2, 5, ["dog"], key="completions")]
    (tmp_path / "a.json").write_text(json.dumps([*old, old[0]]))
    labels = read_labels(tmp_path / "a.json")
    assert votes(labels) == {"annotator 5": {"1.png": "cat", "2.png": "dog"}}
    assert "1 answers repeat an earlier one" in str(labels.summary())
    (tmp_path / "b.json").write_text(json.dumps([old[0], studio(2, 5, ["dog", "cat"], key="completions")]))
    with pytest.raises(CosupError, match=r"row 2: the label is .* 2 labels for one sample"):
        read_labels(tmp_path / "b.json")
    spans = [{"id": 1, "data": {"text": "x"}, "annotations": [{"result": [{"value": {"labels": ["A"], "start": 0}}]}]}]
    (tmp_path / "c.json").write_text(json.dumps(spans))
    with pytest.raises(CosupError, match="holds no question"):
        read_labels(tmp_path / "c.json")


def test_label_studio_rows_with_several_choices_are_refused_and_questions_named(tmp_path):
    head = "annotation_id,annotator,created_at,id,lead_time,mood,text,updated_at\n"
    good = head + "1,7,t,a,1.0,glad,x,t\n2,8,t,a,1.0,sad,x,t\n3,7,t,b,1.0,sad,y,t\n"
    (tmp_path / "a.csv").write_text(good)
    assert votes(read_labels(tmp_path / "a.csv")) == {"7": {"a": "glad", "b": "sad"}, "8": {"a": "sad", "b": None}}
    (tmp_path / "b.csv").write_text(good + '4,8,t,b,1.0,"{""choices"": [""glad"", ""sad""]}",y,t\n')
    with pytest.raises(CosupError, match=r"row 5: the label is .* 2 labels for one sample"):
        read_labels(tmp_path / "b.csv")
    (tmp_path / "c.csv").write_text(good.replace("mood", "mood,tone").replace(",x,", ",q,x,").replace(",y,", ",q,y,"))
    with pytest.raises(CosupError, match=r"--label NAME"):
        read_labels(tmp_path / "c.csv")
    assert read_labels(tmp_path / "c.csv", label="mood").class_names == ("glad", "sad")


# -- Prodigy, Argilla --------------------------------------------------------------------------------------
def test_prodigy_choices_and_rejections(tmp_path):
    path = lines(
        tmp_path / "a.jsonl",
        {"id": 1, "label": "hot", "answer": "accept", "_annotator_id": "ann"},
        {"id": 2, "label": "hot", "answer": "reject", "_annotator_id": "ann"},
        {"id": 3, "accept": ["cold"], "options": [], "answer": "accept", "_annotator_id": "ann"},
        {"id": 4, "accept": [], "options": [], "answer": "ignore", "_annotator_id": "ann"},
    )
    labels = read_labels(path)
    assert votes(labels) == {"ann": {"1": "hot", "2": None, "3": "cold", "4": None}}
    assert "1 answers are rejected (first in row 2), and abstain" in str(labels.summary())
    path = lines(
        tmp_path / "b.jsonl", {"text": "x", "label": "hot", "_view_id": "c", "_task_hash": 1, "answer": "accept"}
    )
    with pytest.raises(CosupError, match=r"row 1: there is no 'id'"):
        read_labels(path)


def test_argilla_responses_and_suggestions(tmp_path):
    def record(i, suggestion, *responses):
        given = [{"value": v, "user_id": u, "status": s} for v, u, s in responses]
        return {"id": i, "fields": {"text": "x"}, "responses": {"kind": given},
                "suggestions": {"kind": {"value": suggestion, "agent": "gpt"}}}  # fmt: skip

    path = lines(tmp_path / "a.jsonl", record("a", "yes", ("yes", "u1", "submitted"), ("no", "u2", "draft")),
                 record("b", "no", ("yes", "u1", "submitted"), ("no", "u2", "submitted")))  # fmt: skip
    assert votes(read_labels(path)) == {
        "user u1": {"a": "yes", "b": "yes"}, "user u2": {"a": None, "b": "no"}, "gpt": {"a": "yes", "b": "no"},
    }  # fmt: skip
    flat = lines(tmp_path / "b.jsonl", *(
        {"id": i, "status": "pending", "text": "x", "label.suggestion": c, "label.suggestion.agent": None}
        for i, c in (("a", 0), ("b", 1), ("c", 0))
    ))  # fmt: skip
    assert votes(read_labels(flat, class_names=["bad", "good"])) == {
        "suggestion": {"a": "bad", "b": "good", "c": "bad"}
    }


# -- crowds ------------------------------------------------------------------------------------------------
def test_mechanical_turk_batches(tmp_path):
    head = "HITId,WorkerId,AssignmentStatus,Input.image_url,Answer.mood.label\n"
    (tmp_path / "a.csv").write_text(
        head + "H1,w1,Approved,a.png,glad\nH1,w2,Rejected,a.png,sad\nH2,w1,Approved,b.png,sad\n"
    )
    assert votes(read_labels(tmp_path / "a.csv")) == {"w1": {"a.png": "glad", "b.png": "sad"}}
    ticks = "HITId,WorkerId,AssignmentStatus,Input.image_url,Answer.glad.on,Answer.sad.on\n"
    (tmp_path / "b.csv").write_text(ticks + "H1,w1,Approved,a.png,true,false\nH2,w1,Approved,b.png,false,true\n")
    assert votes(read_labels(tmp_path / "b.csv")) == {"w1": {"a.png": "glad", "b.png": "sad"}}
    many = "HITId,WorkerId,Input.sentence,Answer.Choice1,Answer.Choice2\nH1,w1,x,Yes,No\nH2,w1,y,No,No\n"
    (tmp_path / "c.csv").write_text(many)
    with pytest.raises(CosupError, match=r"2 columns \(Answer.Choice1, Answer.Choice2\) of answers.*--label NAME"):
        read_labels(tmp_path / "c.csv")
    assert votes(read_labels(tmp_path / "c.csv", label="Answer.Choice1")) == {"w1": {"x": "Yes", "y": "No"}}


def test_toloka_assignments_with_blank_rows_between_suites(tmp_path):
    head = "INPUT:image\tOUTPUT:result\tASSIGNMENT:worker_id\tASSIGNMENT:status\n"
    rows = ["a.png\tcat\tw1\tAPPROVED", "b.png\tdog\tw1\tAPPROVED", "\t\t\t", "a.png\tdog\tw2\tREJECTED",
            "b.png\tdog\tw2\tAPPROVED"]  # fmt: skip
    (tmp_path / "a.tsv").write_text(head + "\n".join(rows) + "\n")
    assert votes(read_labels(tmp_path / "a.tsv")) == {
        "w1": {"a.png": "cat", "b.png": "dog"}, "w2": {"a.png": None, "b.png": "dog"},
    }  # fmt: skip


def test_sagemaker_manifests(tmp_path):
    def line(key, value, **meta):
        return {"source-ref": f"s3://bucket/photos/{key}", "check": value, "check-metadata": meta}

    failed = line("c.png", None, **{"failure-reason": "late"})
    good, bad = line("b.png", "0", **{"class-name": "good"}), line("a.png", "1", **{"class-name": "bad"})
    path = lines(tmp_path / "output.manifest", bad, good, failed)
    assert votes(read_labels(path)) == {"check": {"photos/a.png": "bad", "photos/b.png": "good", "photos/c.png": None}}
    several = line("d.png", [0, 1], **{"class-map": {"0": "good", "1": "bad"}})
    path = lines(tmp_path / "multi.manifest", line("a.png", "1", **{"class-name": "bad"}), several)
    with pytest.raises(CosupError, match=r"row 2: the label is .* 2 labels for one sample"):
        read_labels(path)


# -- images ------------------------------------------------------------------------------------------------
def test_cvat_tags_boxes_and_images_without_a_tag(tmp_path):
    tag = '<image id="{i}" name="{i}.jpg"><tag label="{c}"><attribute name="a">v</attribute></tag></image>'
    body = tag.format(i=0, c="cat") + tag.format(i=1, c="dog") + '<image id="2" name="2.jpg"/>'
    (tmp_path / "a.xml").write_text(f"<?xml version='1.0'?><annotations><version>1.1</version>{body}</annotations>")
    assert votes(read_labels(tmp_path / "a.xml")) == {"a": {"0.jpg": "cat", "1.jpg": "dog", "2.jpg": None}}
    box = '<image id="3" name="3.jpg"><box label="cat" xtl="1"/></image>'
    (tmp_path / "b.xml").write_text(f"<annotations>{body}{box}</annotations>")
    with pytest.raises(CosupError, match=r"image 4 \('3.jpg'\) has box and no tag"):
        read_labels(tmp_path / "b.xml")


def test_coco_with_a_category_an_image(tmp_path):
    content = {
        "images": [{"id": i, "file_name": f"{i}.jpg"} for i in range(3)],
        "categories": [{"id": 4, "name": "cat"}, {"id": 9, "name": "dog"}],
        "annotations": [{"image_id": 0, "category_id": 9}, {"image_id": 0, "category_id": 9},
                        {"image_id": 1, "category_id": 4}],
    }  # fmt: skip
    (tmp_path / "coco.json").write_text(json.dumps(content, indent=1))
    assert votes(read_labels(tmp_path / "coco.json")) == {"coco": {"0.jpg": "dog", "1.jpg": "cat", "2.jpg": None}}


def test_one_hot_tables_are_one_teacher_and_rows_of_several_are_refused(tmp_path):
    head, rows = (
        "filename, ant, bee, cat\n",
        [f"{i}.jpg, {i % 3 == 0:d}, {i % 3 == 1:d}, {i % 3 == 2:d}\n" for i in range(20)],
    )
    (tmp_path / "_classes.csv").write_text(head + "".join(rows))
    labels = read_labels(tmp_path / "_classes.csv")
    assert (labels.names, labels.class_names) == (("classes",), ("ant", "bee", "cat"))
    assert labels.hard().ravel().tolist() == [i % 3 for i in range(20)]
    (tmp_path / "_classes.csv").write_text(head + "".join(rows) + "20.jpg, 1, 1, 0\n")
    with pytest.raises(CosupError, match=r"row 22: the label is .*2 labels for one sample"):
        read_labels(tmp_path / "_classes.csv")
    (tmp_path / "rules.csv").write_text("id,r,s\n" + "".join(f"{i},{i % 2},{i % 3 == 0:d}\n" for i in range(20)))
    assert read_labels(tmp_path / "rules.csv").names == ("r", "s")


def test_metadata_of_an_image_folder(tmp_path):
    path = lines(
        tmp_path / "metadata.jsonl", {"file_name": "b/1.jpg", "label": 1}, {"file_name": "a/0.jpg", "label": 0}
    )
    assert votes(read_labels(path)) == {"metadata": {"b/1.jpg": "1", "a/0.jpg": "0"}}
    (tmp_path / "metadata.csv").write_text("file_name,text,label\na.jpg,one,cat\nb.jpg,two,dog\nc.jpg,three,cat\n")
    labels = read_labels(tmp_path / "metadata.csv")
    assert votes(labels) == {"label": {"a.jpg": "cat", "b.jpg": "dog", "c.jpg": "cat"}}
    assert "1 columns ('text') name no classes and were left out" in str(labels.summary())


def test_batches_of_remote_models(tmp_path):
    def anthropic(i, text, kind="succeeded"):
        return {"custom_id": i, "result": {"type": kind, "message": {"content": [{"type": "text", "text": text}]}}}

    path = lines(tmp_path / "a.jsonl", anthropic("a", "Ham."), anthropic("b", "", "errored"), anthropic("c", "spam"))
    assert votes(read_labels(path, class_names=["ham", "spam"], teacher="m")) == {
        "m": {"a": "ham", "b": None, "c": "spam"}
    }
    path = lines(tmp_path / "b.jsonl", {"custom_id": "a", "response": {"status_code": 200}})
    with pytest.raises(CosupError, match=r"row 1: there is no response.body"):
        read_labels(path, class_names=["ham", "spam"])


def test_features_of_a_frame_with_an_index_that_is_shuffled(tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"f": [1.0, 2.0, 3.0], "g": [4.0, 5.0, 6.0]}, index=[2, 0, 1])
    frame.to_parquet(tmp_path / "numbers.parquet")
    assert read_features(tmp_path / "numbers.parquet").names == ("f", "g")
    frame.index = ["c", "a", "b"]
    frame.to_parquet(tmp_path / "names.parquet")
    assert read_features(tmp_path / "names.parquet").ids == ("c", "a", "b")
    frame.reset_index(names="index").assign(index=range(3)).to_csv(tmp_path / "a.csv", index=False)
    assert read_features(tmp_path / "a.csv").names == ("f", "g")
