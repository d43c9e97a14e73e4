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


@cache
def read(file):
    return file.read_text(encoding="utf-8")


@cache
def parsed(file):
    return ast.parse(read(file))


@cache
def nodes(file):
    """Every node of a module, walked once for all rules."""
    return list(ast.walk(parsed(file)))


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


def breaches(rule):
    """What a rule says of each module, a line each: one test a rule, not one a module and rule."""
    return "\n".join(f"{file.relative_to(SOURCE)}: {breach}" for file in FILES for breach in rule(file))


def test_no_module_holds_two_ideas():
    lengths = {file: len(read(file).splitlines()) for file in FILES}
    assert not breaches(lambda file: [f"{lengths[file]} lines"] if lengths[file] > 400 else [])


def test_no_module_is_a_drawer():
    drawers = {"utils", "util", "misc", "helpers", "common"}
    assert not breaches(lambda file: {file.stem.strip("_")} & drawers)
    assert not breaches(lambda file: {"misc", "helpers"} & set(file.relative_to(SOURCE).parts))


def test_tests_mirror_the_rooms():
    rooms = {folder.name for folder in SOURCE.iterdir() if (folder / "__init__.py").is_file()}
    tests = (folder for folder in (ROOT / "tests").iterdir() if folder.is_dir())
    folders = {folder.name for folder in tests if any(folder.glob("test_*.py"))}
    assert folders - rooms == set()
    assert rooms - folders == set()


def functions(file):
    """Every function as (name of its class, itself)."""
    for node in nodes(file):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                yield getattr(node, "name", "") if isinstance(node, ast.ClassDef) else "", child


def test_the_algorithm_stands_on_one_screen():
    functions_there = functions(SOURCE / "cosupervision" / "algorithm.py")
    (loop,) = (function for _, function in functions_there if function.name == "co_supervise")
    body = loop.body[1:]  # without the docstring
    assert 1 + body[-1].end_lineno - body[0].lineno <= 45
    called = {node.func.id for node in ast.walk(loop) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert {"train_initial", "assign", "train_local_students", "reject", "pool_targets", "train_global"} <= called


def test_few_functions_take_more_than_seven_parameters():
    many = {}
    for file in FILES:
        for owner, function in functions(file):
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
        for line in read(file).splitlines()
        if re.search(PRIVATE_WORDS, line)
    ]
    assert len(found) < 40, "\n".join(found)


def docstrings(file):
    """Every docstring with its line: of the module, of classes and functions, and those below constants and fields."""
    for node in nodes(file):
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


def test_docstrings_say_what_a_thing_is_or_does():
    def wrong(file):
        if not ast.get_docstring(parsed(file)):
            yield "no docstring"
        for line, text in docstrings(file):
            first = text.strip().partition("\n")[0]
            if first.startswith(("What ", "How ", "The same")):
                yield f"line {line}: {first}"

    assert not breaches(wrong)


def imports(file):
    for node in nodes(file):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.split(".")[0]


def calls(file):
    """Every call as (line, dotted name, keywords)."""
    for node in nodes(file):
        if isinstance(node, ast.Call):
            constants = {k.arg: getattr(k.value, "value", None) for k in node.keywords if k.arg}
            yield node.lineno, ast.unparse(node.func), constants


def test_nothing_is_pickled_and_no_global_stream_is_touched():
    pickles = {"cPickle", "_pickle", "dill", "cloudpickle", "shelve", "marshal", "random"}
    streams = {"np.random.seed", "torch.manual_seed", "torch.random.manual_seed", "joblib.load"}

    def wrong(file):
        yield from (f"imports {name}" for name in pickles & set(imports(file)))
        for node in nodes(file):
            # The error that torch.load raises may be named; nothing else of pickle may.
            of_pickle = isinstance(node, ast.Attribute) and ast.unparse(node.value) == "pickle"
            if of_pickle and node.attr != "UnpicklingError":
                yield f"line {node.lineno} uses pickle.{node.attr}"
            if isinstance(node, ast.ImportFrom) and node.module == "pickle":
                yield f"line {node.lineno} imports from pickle"
        for line, name, keywords in calls(file):
            loads_all = name.endswith("torch.load") and keywords.get("weights_only") is not True
            of_numpy = name.startswith("np.random.") and name.count(".") == 2 and "(" not in name
            own_stream = name in {"np.random.default_rng", "np.random.SeedSequence"}
            unpickles = keywords.get("allow_pickle") is True
            if unpickles or loads_all or name in streams or (of_numpy and not own_stream):
                yield f"line {line} calls {name}"

    assert not breaches(wrong)


def test_no_exception_is_swallowed():
    def wrong(file):
        for node in nodes(file):
            if isinstance(node, ast.ExceptHandler):
                if node.type is None:
                    yield f"line {node.lineno}: a bare except"
                if all(isinstance(statement, ast.Pass) for statement in node.body):
                    yield f"line {node.lineno} swallows"

    assert not breaches(wrong)


@pytest.mark.parametrize("room", sorted({".".join(module.split(".")[:2]) for module in MODULES}))
def test_examples_in_docstrings_run(room):
    modules = [module for module in MODULES if module == room or (room != "cosup" and module.startswith(f"{room}."))]
    for module in modules:
        assert doctest.testmod(importlib.import_module(module)).failed == 0, module


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
