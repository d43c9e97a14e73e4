"""How fast students train, as ratios: ``python benchmarks/bench.py [--quick] [--threads N] [--only ROW ...]``.

Every row runs in a process of its own (so that its peak memory is its own); what it compares takes turns in that
process, and a ratio is that of neighbours in time. Prints a table and, as its last line, everything as JSON, which
also goes to ``benchmarks/results.json`` with the machine's name; rows that were not asked for stay there as they were.
The row ``growth`` is drawn, too (benchmarks/studies/figures/growth.svg).
The rows ``imagenet`` and ``study`` take many minutes and are measured only when named.
How to read it all: benchmarks/studies/speed.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # where this file is imported, too
import waiting  # noqa: E402


def race(contestants: dict[str, Callable[[], Any]], repeats: int) -> dict[str, Any]:
    """Seconds of every contestant, taking turns, after one round that does not count: name -> (repeats,)."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(repeats + 1):
        for name, run in contestants.items():
            started = time.perf_counter()
            run()
            if turn:
                seconds[name].append(time.perf_counter() - started)
    return {name: np.array(values) for name, values in seconds.items()}


def ratio(of: Any, to: Any, bar: str, factor: float = 1.0) -> dict[str, Any]:
    """Minimum, median and maximum of a ratio round by round, and whether the median is over or under the bar."""
    values = factor * of / to
    kind, limit = bar.split()
    median = float(np.median(values))
    met = median >= float(limit) if kind == "over" else median <= float(limit)
    return {"min": float(values.min()), "median": median, "max": float(values.max()), "bar": bar, "met": bool(met)}


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """Slope of a line through the logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def _adam_data(quick: bool) -> tuple[Any, Any, dict[str, int]]:
    n, d, c, epochs = (600, 32, 10, 2) if quick else (10_000, 384, 100, 20)
    size = {"n": n, "d": d, "c": c, "batch": 100, "epochs": epochs}
    rng = np.random.default_rng(0)
    return rng.standard_normal((n, d), dtype=np.float32), rng.integers(0, c, n), size


def row_adam_one(quick: bool) -> dict[str, Any]:
    from loops import index_loop, products, user_loop

    from cosup.students import train_heads

    X, y, size = _adam_data(quick)
    t = race(
        {
            "user": lambda: user_loop(X, y, size),
            "index": lambda: index_loop(X, y, size),
            "ours": lambda: train_heads(X, y, epochs=size["epochs"], batch_size=size["batch"], device="cpu"),
            "products": lambda: products(1, size),
            "products by torch.mm": lambda: products(1, size, fastest=False),
        },
        5,
    )
    ratios = {
        "loop a user writes / ours": ratio(t["user"], t["ours"], "over 4"),
        "bare index loop / ours": ratio(t["index"], t["ours"], "over 2"),
        "ours / its products alone": ratio(t["ours"], t["products"], "under 4"),
        "ours / torch.mm's products alone": ratio(t["ours"], t["products by torch.mm"], "under 4"),
    }
    return {"size": size, "seconds": _medians(t), "ratios": ratios}


def row_adam_16(quick: bool) -> dict[str, Any]:
    from loops import products

    from cosup.students import train_heads

    X, _, size = _adam_data(quick)
    heads = 3 if quick else 16
    ids = np.random.default_rng(1).integers(0, size["c"], (heads, size["n"]))
    arguments: Any = {"epochs": size["epochs"], "batch_size": size["batch"], "device": "cpu"}
    t = race(
        {
            "one head": lambda: train_heads(X, ids[0], n_classes=size["c"], **arguments),
            "all heads": lambda: train_heads(X, ids, n_classes=size["c"], **arguments),
            "products": lambda: products(heads, size),
            "products by torch.mm": lambda: products(heads, size, fastest=False),
        },
        5,
    )
    ratios = {
        f"{heads} heads / one": ratio(t["all heads"], t["one head"], "under 10"),
        f"{heads} heads / their products alone": ratio(t["all heads"], t["products"], "under 2.5"),
        f"{heads} heads / torch.mm's products alone": ratio(t["all heads"], t["products by torch.mm"], "under 2.5"),
    }
    return {"size": size | {"heads": heads}, "seconds": _medians(t), "ratios": ratios}


def row_ridge(quick: bool) -> dict[str, Any]:
    from scipy.linalg import eigh
    from sklearn.linear_model import RidgeClassifierCV

    from cosup.students import ridge_path

    n, d, c, teachers = (300, 32, 4, 3) if quick else (10_000, 1280, 10, 15)
    asked = 1 if quick else 2  # of scikit-learn, whose time is that of each target times their number
    rng = np.random.default_rng(0)
    alphas = np.logspace(-4, 3, 8)
    X = (rng.standard_normal((n, d)) * np.arange(1, d + 1) ** -0.5).astype(np.float32)
    ids = rng.integers(0, c, (teachers, n))
    targets = np.eye(c, dtype=np.float32)[ids]
    Z = X.astype(np.float64) - X.mean(axis=0)
    square = Z.T @ Z
    alphas = alphas * np.trace(square) / d

    t = race(
        {
            "ours": lambda: ridge_path(X, targets, alphas),
            "eigh": lambda: eigh(square, driver="evd", check_finite=False),
            "features": lambda: eigh(Z.T @ Z, driver="evd", check_finite=False),
            "scikit-learn": lambda: [RidgeClassifierCV(alphas=alphas).fit(X, y) for y in ids[:asked]],
        },
        5,
    )
    ratios = {
        "ours / eigendecomposition of X'X, given": ratio(t["ours"], t["eigh"], "under 2"),
        "ours / eigendecomposition of X'X, formed": ratio(t["ours"], t["features"], "under 2"),
        "RidgeClassifierCV per target / ours": ratio(t["scikit-learn"], t["ours"], "over 10", teachers / asked),
    }
    size = {"n": n, "d": d, "c": c, "targets": teachers, "alphas": 8, "targets asked of scikit-learn": asked}
    return {"size": size, "seconds": _medians(t), "ratios": ratios}


def _logistic_data(n: int, d: int, c: int, decay: float) -> tuple[Any, Any]:
    """Class means plus noise, in a spectrum that falls as a power (backbones' do); 30 % of the labels are wrong."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, c, n)
    X = rng.standard_normal((c, d))[y] * 0.35 + rng.standard_normal((n, d))
    X = (X * np.arange(1, d + 1.0) ** -decay) @ np.linalg.qr(rng.standard_normal((d, d)))[0]
    X -= X.mean(axis=0)
    wrong = rng.random(n) < 0.3
    y[wrong] = rng.integers(0, c, int(wrong.sum()))
    return (X / np.sqrt((X**2).mean())).astype(np.float32), y


def row_logistic(quick: bool) -> dict[str, Any]:
    import torch
    from sklearn.linear_model import LogisticRegression

    from cosup.students.logistic.lbfgs import SoftmaxProblem, second_moment, solve_softmax

    n, d, c = (400, 16, 4) if quick else (10_000, 384, 100)
    ratios, seconds, notes = {}, {}, []
    for name, decay in (("falling spectrum", 0.5), ("flat spectrum", 0.0)):
        X, y = _logistic_data(n, d, c, decay)
        for penalty in (1e-2, 1e-3):
            theirs = LogisticRegression(C=1 / (penalty * n), max_iter=3000)

            def ours(norm: float, X: Any = X, y: Any = y, penalty: float = penalty) -> Any:
                Z = X - X.mean(axis=0)
                problem = SoftmaxProblem(Z, y, c, second_moment(Z))
                return solve_softmax(problem, penalty, start=None, gradient_norm=norm, max_iter=1000)

            def objective(weight: Any, bias: Any, X: Any = X, y: Any = y, penalty: float = penalty) -> float:
                logits = torch.from_numpy(X.astype(np.float64) @ weight + bias)
                loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(y))
                return float(loss) + 0.5 * penalty * float((weight.astype(np.float64) ** 2).sum())

            theirs.fit(X, y)
            goal = objective(theirs.coef_.T, theirs.intercept_)
            # The loosest gradient norm that ends at scikit-learn's objective, or lower.
            for norm in np.geomspace(1e-3, 1e-5, 25):
                solution = ours(norm)
                reached = objective(solution.weight, solution.bias - X.mean(axis=0) @ solution.weight)
                if reached <= goal + 1e-6 * abs(goal):
                    break
            case = f"{name}, penalty {penalty:g}"
            notes.append(
                f"{case}: objective {reached:.6f} after {solution.iterations} steps, scikit-learn {goal:.6f} after "
                f"{int(theirs.n_iter_[0])}, gradient norm {norm:.1e}"
            )
            t = race({"theirs": lambda m=theirs, X=X, y=y: m.fit(X, y), "ours": lambda o=ours, g=norm: o(g)}, 5)
            ratios[f"LogisticRegression / ours ({case})"] = ratio(t["theirs"], t["ours"], "over 3")
            seconds |= {f"{who}, {case}": s for who, s in _medians(t).items()}
    return {"size": {"n": n, "d": d, "c": c}, "seconds": seconds, "ratios": ratios, "notes": notes}


def point(n: int, teachers: int) -> dict[str, float]:
    """Seconds of `co_supervise`, MB of data and training, for `teachers` specialists of 32 classes and a generalist."""
    from cosup.cosupervision import co_supervise
    from cosup.tasks import make_hierarchy

    before = peak_mb()
    task = make_hierarchy(
        n_samples=n, n_test=10, n_classes=32, teachers_per_level=(1, teachers), accuracy=(0.5, 0.8), n_features=64
    )
    started, worked = time.perf_counter(), time.process_time()
    co_supervise(task.X_train, task.labels)
    # The processor's time beside the clock's: it does not count what other programs take.
    seconds, cpu = time.perf_counter() - started, time.process_time() - worked
    mb = peak_mb() - before
    return {"n": n, "teachers": teachers, "seconds": seconds, "cpu_seconds": cpu, "mb": mb, "peak_mb": peak_mb()}


def row_growth(quick: bool) -> dict[str, Any]:
    samples = [500, 1000, 2000] if quick else [10_000, 30_000, 100_000, 300_000]
    counts = [1, 4] if quick else [1, 2, 4, 8, 16, 32]
    few, rounds = (500, 1) if quick else (10_000, 5)
    axes = {
        "samples": ("n", [[child("--point", str(n), "4") for n in samples] for _ in range(rounds)]),
        "teachers": ("teachers", [[child("--point", str(few), str(m)) for m in counts] for _ in range(rounds)]),
    }
    ratios = {}
    for what, (axis, runs) in axes.items():
        for measure in ("seconds", "cpu_seconds", "mb"):
            grown = [exponent([p[axis] for p in run], [max(p[measure], 1e-3) for p in run]) for run in runs]
            ratios[f"exponent of {measure} in {what}"] = ratio(np.array(grown), 1.0, "under 1.1")
    points = [p for _, runs in axes.values() for run in runs for p in run]
    return {"size": {"samples": samples, "teachers": counts}, "points": points, "ratios": ratios}


def row_gpu(quick: bool) -> dict[str, Any]:
    import torch

    if not torch.cuda.is_available():
        return {"status": "not measured: no GPU"}
    from loops import index_loop, user_loop

    from cosup.students import train_heads

    size = {"n": 2000, "d": 32, "c": 10, "epochs": 2, "batch": 100} if quick else {
        "n": 50_000, "d": 384, "c": 1000, "epochs": 20, "batch": 100
    }  # fmt: skip
    rng = np.random.default_rng(0)
    X = rng.standard_normal((size["n"], size["d"]), dtype=np.float32)
    y = rng.integers(0, size["c"], size["n"])
    settings: Any = {
        "n_classes": size["c"], "epochs": size["epochs"], "batch_size": size["batch"], "device": "cuda",
    }  # fmt: skip
    t = race(
        {
            "loader": lambda: user_loop(X, y, size, "cuda"),
            "index": lambda: index_loop(X, y, size, "cuda"),
            "one": lambda: train_heads(X, y, **settings),
            "many": lambda: train_heads(X, y, seeds=range(16), shared_order=True, **settings),
        },
        3,
    )
    ratios = {
        "loop a user writes / ours": ratio(t["loader"], t["one"], "over 4"),
        "bare index loop / ours": ratio(t["index"], t["one"], "over 2"),
        "seconds of four levels": ratio(4 * t["one"], 1.0, "under 0.5"),
        "16 seeds / one": ratio(t["many"], t["one"], "under 3"),
    }
    return {"size": size, "seconds": _medians(t), "ratios": ratios}


def row_imagenet(quick: bool) -> dict[str, Any]:
    found = child(*(["2000"] if quick else []), script="imagenet.py")
    held = np.array([found["anonymous_mb"] / 1024])
    return found | {"ratios": {"GB held by the process": ratio(held, 1.0, "under 4")}, "peak_mb": found["anonymous_mb"]}


def row_study(quick: bool) -> dict[str, Any]:
    found = child(*(["--turns", "1", "--seeds", "1"] if quick else []), script="study.py")
    t = {name: np.array(values) for name, values in found.pop("seconds").items()}
    # Of the processor: a study's minutes are not to be those of other programs.
    ratios = {
        f"before / {name}": ratio(t["before"], values, "over 2") for name, values in t.items() if name != "before"
    }
    return {"size": found, "seconds": _medians(t), "ratios": ratios}


def row_start_up(quick: bool) -> dict[str, Any]:
    t = waiting.start_up(quick)
    bars = dict.fromkeys(("cosup explain", "cosup look"), "under 8")
    return _against(t, "import numpy", {name: bars.get(name, "under 2.5") for name in t if name != "import numpy"})


def row_texts(quick: bool) -> dict[str, Any]:
    t = waiting.texts(quick)
    difference = {"difference": t.pop("difference")}
    ratios = {f"{name} / ours": ratio(t[name], t["ours"], "over 1.2") for name in ("loop of 32", "loop of 100")}
    return {"size": difference, "seconds": _medians(t), "ratios": ratios}


def row_images(quick: bool) -> dict[str, Any]:
    t = waiting.images(quick)
    ratios = {
        "lite: loop / ours": ratio(t["lite loop"], t["lite ours"], "over 6"),
        "hf, ViT-S: loop / ours": ratio(t["hf loop"], t["hf ours"], "over 1.2"),
    }
    return {"seconds": _medians(t), "ratios": ratios}


def row_default(quick: bool) -> dict[str, Any]:
    t = waiting.default(quick)
    ratios = {
        "default / vanilla": ratio(t["default"], t["vanilla"], "under 5"),
        "default / majority and scikit-learn": ratio(t["default"], t["majority and scikit-learn"], "under 1"),
    }
    return {"seconds": _medians(t), "ratios": ratios}


def row_adam_method(quick: bool) -> dict[str, Any]:
    t = waiting.adam_method(quick)
    return {"seconds": _medians(t), "ratios": {"loop / ours": ratio(t["loop"], t["ours"], "over 5")}}


def row_gpu_images(quick: bool) -> dict[str, Any]:
    import torch

    if not torch.cuda.is_available():
        return {"status": "not measured: no GPU"}
    t = waiting.embedding_on_gpu(quick)
    return {"seconds": _medians(t), "ratios": {"ours / bare network": ratio(t["ours"], t["bare"], "under 1.2")}}


def _against(t: dict[str, Any], to: str, bars: dict[str, str]) -> dict[str, Any]:
    ratios = {f"{name} / {to}": ratio(t[name], t[to], bar) for name, bar in bars.items()}
    return {"seconds": _medians(t), "ratios": ratios}


ROWS: dict[str, tuple[str, Callable[[bool], dict[str, Any]]]] = {
    "adam-one": ("Adam, one head, CPU", row_adam_one),
    "adam-16": ("Adam, 16 heads at once, CPU", row_adam_16),
    "ridge": ("ridge path with leave-one-out", row_ridge),
    "logistic": ("logistic, at scikit-learn's objective", row_logistic),
    "growth": ("co_supervise, growth in samples and teachers", row_growth),
    "imagenet": ("csl-published at ImageNet's size, features on disk", row_imagenet),
    "study": ("the demo's study before students were made fast, and now (CPU seconds)", row_study),
    "start-up": ("start-up (CPU seconds)", row_start_up),
    "texts": ("texts through MiniLM, against a sorted loop of transformers (CPU seconds)", row_texts),
    "images": ("JPEGs, against a torch loop with a DataLoader of two workers (CPU seconds)", row_images),
    "default": ("the default's fit, 100,000 x 384, 10 teachers (CPU seconds)", row_default),
    "adam-method": ("Adam through make_method, against a DataLoader loop (CPU seconds)", row_adam_method),
    "gpu": ("Adam on a GPU", row_gpu),
    "gpu-images": ("DINOv2 ViT-S's shape on a GPU", row_gpu_images),
}

OPT_IN = ("imagenet", "study")
"""Rows that take many minutes (imagenet 1 GB of disk, too; study git's history): measured only when asked for."""


def _medians(seconds: dict[str, Any]) -> dict[str, float]:
    return {name: float(np.median(values)) for name, values in seconds.items()}


def peak_mb() -> float:
    """Largest resident memory of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def child(*arguments: str, threads: int | None = None, script: str = "bench.py") -> dict[str, Any]:
    """What a script prints last in a process of its own."""
    environment = dict(os.environ)
    if threads is not None:
        # Passive: threads that wait by spinning bring a busy machine to a halt.
        environment |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
        environment["OMP_WAIT_POLICY"] = "PASSIVE"
    command = [sys.executable, str(HERE.resolve() / script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def machine(threads: int) -> dict[str, Any]:
    """What a row's numbers were taken on."""
    import sklearn
    import torch

    cpuinfo = Path("/proc/cpuinfo")
    names = [line for line in cpuinfo.read_text().splitlines() if "model name" in line] if cpuinfo.exists() else []
    return {
        "cpu": names[0].split(":")[1].strip() if names else platform.processor(),
        "cores": os.cpu_count(), "threads": threads, "load_at_start": round(os.getloadavg()[0], 2),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__,
        "sklearn": sklearn.__version__,
    }  # fmt: skip


def show(name: str, result: dict[str, Any]) -> None:
    print(f"{ROWS[name][0]}  [{result['peak_mb']:.0f} MB peak]  {result.get('status', '')}")
    for what, r in result.get("ratios", {}).items():
        mark = "ok" if r["met"] else "MISSED"
        print(f"  {what:68s} {r['min']:8.2f} {r['median']:8.2f} {r['max']:8.2f}   {r['bar']:10s} {mark}", flush=True)


def _rows_before(path: Path) -> dict[str, Any]:
    """Rows measured earlier, which stay until they are measured again; each says on what machine."""
    if not path.exists():
        return {}
    found: dict[str, Any] = json.loads(path.read_text())["rows"]
    return found


def main(argv: Sequence[str] | None = None) -> None:
    """Run the rows and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny sizes: does it run? The ratios mean nothing")
    parser.add_argument("--threads", type=int, default=1, help="of BLAS and OpenMP, in every row")
    parser.add_argument("--rows", "--only", nargs="+", choices=list(ROWS), default=[r for r in ROWS if r not in OPT_IN])
    parser.add_argument("--out", type=Path, default=HERE / "results.json")
    parser.add_argument("--row", choices=list(ROWS), help=argparse.SUPPRESS)
    parser.add_argument("--point", nargs=2, type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args(argv)
    warnings.simplefilter("ignore")  # scikit-learn's about convergence; the objective is compared instead
    if asked.point:
        print(json.dumps(point(*asked.point)))
        return
    if asked.row:
        result = ROWS[asked.row][1](asked.quick)
        # Growth measures in children of its own.
        peaks = [p["peak_mb"] for p in result.get("points", [])]
        result.setdefault("peak_mb", max([peak_mb(), *peaks]))
        print(json.dumps(result))
        return
    report: dict[str, Any] = {"rows": _rows_before(asked.out)}
    print(f"{'':70s} {'min':>8s} {'median':>8s} {'max':>8s}   bar")
    for name in asked.rows:
        flags = ["--row", name, *(["--quick"] if asked.quick else [])]
        taken = machine(asked.threads)
        report["rows"][name] = child(*flags, threads=asked.threads) | {"machine": taken, "quick": asked.quick}
        show(name, report["rows"][name])
    scratch = asked.out.with_suffix(".tmp")
    scratch.write_text(json.dumps(report, indent=1) + "\n")
    scratch.replace(asked.out)
    if "growth" in asked.rows and asked.out == HERE / "results.json":
        from curve import FIGURE, draw

        draw(report["rows"]["growth"], FIGURE)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
