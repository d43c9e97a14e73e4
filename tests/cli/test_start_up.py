"""The command line answers at once: what is loaded for help and errors, and for commands that look at a fit."""

import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import cosup
from command import run
from cosup.cli import main
from cosup.tasks import make_hierarchy

HEAVY = {
    "numpy", "scipy", "sklearn", "torch", "pandas", "pyarrow", "joblib", "matplotlib", "PIL", "ray", "transformers",
    "mlxtend", "efficientnet_lite_pytorch", "tqdm",
}  # fmt: skip
SOURCE = Path(cosup.__file__).parent
LAZY = sorted(".".join(("cosup", *stub.parent.relative_to(SOURCE).parts)) for stub in SOURCE.rglob("__init__.pyi"))


def loaded(*lines):
    """Heavy packages that are loaded after some lines of Python in a process of their own."""
    code = "\n".join(("import sys", *lines, "print('loaded', *{name.partition('.')[0] for name in sys.modules})"))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    return set(done.stdout.splitlines()[-1].split()[1:]) & HEAVY


def after(*arguments):
    """The same after a command."""
    return loaded("from cosup.cli import main", f"main({list(map(str, arguments))!r}, standalone_mode=False)")


def test_help_of_every_command_and_the_package_load_nothing():
    """All in one process: whatever one of them loads would be seen."""
    lines = [f"main([{name!r}, '--help'], standalone_mode=False)" for name in main.commands_at]
    lines += ["main(['--help'], standalone_mode=False)", "main(['--version'], standalone_mode=False)"]
    assert loaded("import cosup", "dir(cosup)", "from cosup.cli import main", *lines) == set()


@pytest.mark.parametrize(
    "arguments", [["ft"], ["fit", "--labls", "x"], ["fit", "--features", "nowhere.npy"], ["check", "."], []]
)
def test_errors_load_nothing(arguments):
    lines = ("from cosup.cli import main", "try:", f"    main({arguments!r})", "except SystemExit:", "    pass")
    assert loaded(*lines) == set()


def test_completion_loads_nothing():
    lines = (
        "import os",
        "from cosup.cli import main",
        "os.environ.update(_COSUP_COMPLETE='bash_complete', COMP_WORDS='cosup fit --la', COMP_CWORD='2')",
        "try:",
        "    main(prog_name='cosup')",
        "except SystemExit:",
        "    pass",
    )
    assert loaded(*lines) == set()


def test_a_command_that_is_none_is_told_its_near_matches():
    assert "Did you mean 'fit'" in run("fitt", code=2).stderr


@pytest.mark.parametrize("package", LAZY)
def test_stubs_say_what_packages_offer(package):
    module = importlib.import_module(package)
    assert module.__all__ == sorted(module.__all__)
    for name in module.__all__:
        assert getattr(module, name) is not None
    assert set(module.__all__) <= set(dir(module))
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        _ = module.nothing_of_the_kind
    folder = Path(module.__file__).parent
    # Whichever is imported first would be what the name means.
    assert not {path.stem for path in folder.iterdir()} & set(module.__all__)


def test_there_are_lazy_packages():
    assert {"cosup", "cosup.provenance", "cosup.report"} <= set(LAZY)


def test_commands_that_look_at_a_fit_load_neither_torch_nor_scikit_learn(tmp_path):
    task = make_hierarchy(150, 5, n_features=8, n_classes=8)
    np.save(tmp_path / "X.npy", task.X_train)
    np.savez(tmp_path / "L.npz", annotations=task.labels.hard(), levels=task.labels.levels)
    run("fit", "--features", tmp_path / "X.npy", "--labels", tmp_path / "L.npz", "--out", tmp_path / "m")
    slow = {"torch", "sklearn", "scipy", "pandas", "transformers", "matplotlib"}
    assert not slow & after("explain", tmp_path / "m", "5")
    assert not slow & after("look", tmp_path / "m", "--out", tmp_path / "look.csv")
    assert not slow & after("explore", tmp_path / "m", "--out", tmp_path / "e.html")


def test_lists_load_nothing_that_computes():
    lists = ("['methods']", "['tasks']", "['backbones']")
    lines = ("from cosup.cli import main", *(f"main({given}, standalone_mode=False)" for given in lists))
    assert not {"torch", "sklearn", "scipy", "pandas", "joblib", "transformers", "matplotlib"} & loaded(*lines)


def test_a_report_loads_what_it_draws_with():
    records = ("from cosup.benchmark import read_records, task_label", "import cosup.report.bench_report")
    assert not {"torch", "sklearn", "pandas", "joblib", "transformers"} & loaded(*records)
