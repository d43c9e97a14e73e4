"""The house rules that a machine can check: rooms, sizes, no pickle, no global streams, examples that run."""

import ast
import doctest
import importlib
import itertools
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import cosup

ROOT = Path(__file__).resolve().parents[1]
SOURCE = Path(cosup.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))
MODULES = sorted(
    ".".join(["cosup", *f.relative_to(SOURCE).with_suffix("").parts]).removesuffix(".__init__") for f in FILES
)
NAMES = [str(f.relative_to(SOURCE)) for f in FILES]


@cache
def parsed(file):
    return ast.parse(file.read_text(encoding="utf-8"))


def test_there_is_something_to_check():
    assert {"cosup", "cosup.labels", "cosup.cosupervision.algorithm", "cosup.students"} <= set(MODULES)


def test_rooms_import_only_from_those_to_their_right():
    pytest.importorskip("importlinter")
    command = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(cache_dir=None))"
    done = subprocess.run(
        [sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 kept, 0 broken" in done.stdout


@pytest.mark.parametrize("file", FILES, ids=NAMES)
def test_no_module_holds_two_ideas(file):
    assert len(file.read_text(encoding="utf-8").splitlines()) <= 400


@pytest.mark.parametrize("file", FILES, ids=NAMES)
def test_no_module_is_a_drawer(file):
    assert file.stem.strip("_") not in {"utils", "util", "misc", "helpers", "common"}
    assert not {"misc", "helpers"} & set(file.relative_to(SOURCE).parts)


def test_tests_mirror_the_rooms():
    rooms = {folder.name for folder in SOURCE.iterdir() if (folder / "__init__.py").is_file()}
    tests = (folder for folder in (ROOT / "tests").iterdir() if folder.is_dir())
    folders = {folder.name for folder in tests if any(folder.glob("test_*.py"))}
    assert folders - rooms == set()
    assert rooms - folders == set()


def functions(tree):
    """Every function as (name of its class, itself)."""
    for node in ast.walk(tree):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                yield getattr(node, "name", "") if isinstance(node, ast.ClassDef) else "", child


def test_the_algorithm_stands_on_one_screen():
    tree = parsed(SOURCE / "cosupervision" / "algorithm.py")
    (loop,) = (function for _, function in functions(tree) if function.name == "co_supervise")
    body = loop.body[1:]  # without the docstring
    assert 1 + body[-1].end_lineno - body[0].lineno <= 45
    called = {node.func.id for node in ast.walk(loop) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert {"train_initial", "assign", "train_local_students", "reject", "pool_targets", "train_global"} <= called


def test_few_functions_take_more_than_seven_parameters():
    many = {}
    for file in FILES:
        for owner, function in functions(parsed(file)):
            arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
            count = len([a for a in arguments if a.arg not in ("self", "cls")])
            if count > 7:
                many[f"{file.relative_to(SOURCE)}: {owner}.{function.name}"] = count
    assert len(many) <= 18, many
    # scikit-learn asks an estimator to name every parameter.
    assert max(count for name, count in many.items() if not name.endswith("__init__")) <= 12


PRIVATE_WORDS = r"\b(said|heard|borne|went|let_go)\b"


def test_the_words_are_the_field_s():
    found = [
        f"{file.relative_to(SOURCE)}: {line.strip()}"
        for file in FILES
        for line in file.read_text(encoding="utf-8").splitlines()
        if re.search(PRIVATE_WORDS, line)
    ]
    assert len(found) < 40, "\n".join(found)


def docstrings(tree):
    """Every docstring with its line: of the module, of classes and functions, and those below constants and fields."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if not isinstance(body, list):
            continue
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and body:
            yield from ((child.lineno, child.value.value) for child in body[:1] if is_text(child))
        for before, after in itertools.pairwise(body):
            if isinstance(before, ast.Assign | ast.AnnAssign) and is_text(after):
                yield after.lineno, after.value.value


def is_text(node):
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


@pytest.mark.parametrize("file", FILES, ids=NAMES)
def test_docstrings_say_what_a_thing_is_or_does(file):
    tree = parsed(file)
    assert ast.get_docstring(tree), "no docstring"
    for line, text in docstrings(tree):
        first = text.strip().partition("\n")[0]
        assert not first.startswith(("What ", "How ", "The same")), f"line {line}: {first}"


def imports(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.split(".")[0]


def calls(tree):
    """Every call as (dotted name, keywords)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            constants = {k.arg: getattr(k.value, "value", None) for k in node.keywords if k.arg}
            yield ast.unparse(node.func), constants


@pytest.mark.parametrize("file", FILES, ids=NAMES)
def test_nothing_is_pickled_and_no_global_stream_is_touched(file):
    tree = parsed(file)
    assert not {"cPickle", "_pickle", "dill", "cloudpickle", "shelve", "marshal", "random"} & set(imports(tree))
    for node in ast.walk(tree):
        # The error that torch.load raises may be named; nothing else of pickle may.
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "pickle":
            assert node.attr == "UnpicklingError", f"line {node.lineno} uses pickle.{node.attr}"
        assert not (isinstance(node, ast.ImportFrom) and node.module == "pickle"), f"line {node.lineno}"
    for name, keywords in calls(tree):
        assert keywords.get("allow_pickle") is not True
        if name.endswith("torch.load"):
            assert keywords.get("weights_only") is True
        assert name not in {"np.random.seed", "torch.manual_seed", "torch.random.manual_seed", "joblib.load"}
        if name.startswith("np.random.") and name.count(".") == 2 and "(" not in name:
            assert name in {"np.random.default_rng", "np.random.SeedSequence"}


@pytest.mark.parametrize("file", FILES, ids=NAMES)
def test_no_exception_is_swallowed(file):
    for node in ast.walk(parsed(file)):
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, "a bare except"
            assert not all(isinstance(s, ast.Pass) for s in node.body), f"line {node.lineno} swallows"


@pytest.mark.parametrize("module", MODULES)
def test_examples_in_docstrings_run(module):
    found = doctest.testmod(importlib.import_module(module))
    assert found.failed == 0


def test_the_public_names_have_examples_and_are_there():
    for name in cosup.__all__:
        assert getattr(cosup, name).__doc__
    assert cosup.CoSupervisedClassifier.__doc__.count(">>>") > 3
    assert cosup.TeacherLabels.__doc__.count(">>>") > 3


@pytest.mark.parametrize(("room", "may"), [("cosup", set()), ("cosup.cli", {"click", "tqdm"})])
def test_importing_loads_neither_extras_nor_torch(room, may):
    # pandas and pyarrow are not asked for: scikit-learn imports them itself where they are installed.
    heavy = {"torch", "matplotlib", "PIL", "ray", "transformers", "mlxtend", "efficientnet_lite_pytorch"}
    code = f"import sys, {room}; print(*{heavy | {'click', 'tqdm'} - may} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.split() == []
