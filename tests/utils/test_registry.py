"""Registries and plugins: what is shipped, what is added, and that a plugin that fails leaves nothing behind."""

import pytest

from cosup.cosupervision.rejection import REJECTIONS
from cosup.students import STUDENTS
from cosup.utils.plugins import load_plugins, loaded_plugins
from cosup.utils.registry import Registry
from cosup.utils.validation import CosupError


def test_what_is_added_is_told_from_what_is_shipped():
    registry = Registry("colour")
    registry.add("red", 1)
    registry.mark_shipped()
    registry.add("mauve", 2)
    assert list(registry) == ["red", "mauve"]
    assert registry.added == ("mauve",)
    with pytest.raises(CosupError, match="a colour named 'red' is registered already"):
        registry.add("red", 3)
    with pytest.raises(CosupError, match=r"no colour 'mauv'.*'mauve'.*--plugin"):
        registry.find("mauv")
    with pytest.raises(CosupError, match="without commas"):
        registry.add("a,b", 4)


def test_a_plugin_is_known_by_its_whole_path_and_imported_once(tmp_path, monkeypatch):
    file = tmp_path / "stiff.py"
    file.write_text(
        "from cosup import RidgeProbe, register_student\n"
        "@register_student('stiff')\n"
        "def stiff():\n"
        "    return RidgeProbe(alpha=30.0)\n"
    )
    monkeypatch.chdir(tmp_path)
    before = STUDENTS.added  # of other tests of this process
    load_plugins(["stiff.py"])
    load_plugins([str(file)])
    assert STUDENTS.added == (*before, "stiff")
    assert loaded_plugins()[-1] == str(file)


def test_a_plugin_that_fails_can_be_mended_and_loaded_again(tmp_path):
    file, before = tmp_path / "halfway.py", REJECTIONS.added
    rule = (
        "from cosup import register_rejection\n"
        "@register_rejection('halfway', reason='it is halfway')\n"
        "def halfway(evidence):\n"
        "    return evidence.annotation >= 0\n"
    )
    file.write_text(rule + "1 / 0\n")
    with pytest.raises(CosupError, match=r"halfway.py' cannot be imported: ZeroDivisionError"):
        load_plugins([str(file)])
    assert REJECTIONS.added == before
    file.write_text(rule)
    load_plugins([str(file)])
    assert REJECTIONS.added == (*before, "halfway")
