"""How fast students and fits train, against what a user would write or the products alone; rows of ``bench.py``."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from ratios import child, exponent, medians, peak_mb, race, ratio


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
    return {"size": size, "seconds": medians(t), "ratios": ratios}


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
    return {"size": size | {"heads": heads}, "seconds": medians(t), "ratios": ratios}


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
    return {"size": size, "seconds": medians(t), "ratios": ratios}


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
            seconds |= {f"{who}, {case}": s for who, s in medians(t).items()}
    return {"size": {"n": n, "d": d, "c": c}, "seconds": seconds, "ratios": ratios, "notes": notes}


def point(n: int, teachers: int, classes: int, columns: int, files: int) -> dict[str, float]:
    """Seconds of `co_supervise`, MB of data and training, for `teachers` specialists and a generalist.

    With `files`, features and annotations lie in so many files each, and are read first.
    """
    from cosup.cosupervision import co_supervise
    from cosup.tasks import make_hierarchy

    before = peak_mb()
    task = make_hierarchy(
        n_samples=n, n_test=10, n_classes=classes, teachers_per_level=(1, teachers), accuracy=(0.5, 0.8),
        n_features=columns,
    )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="cosup-bench-") as folder:
        if files:
            _write(task, Path(folder), files)
        started, worked = time.perf_counter(), time.process_time()
        X, labels = _read(folder) if files else (task.X_train, task.labels)
        co_supervise(X, labels)
    # The processor's time beside the clock's: it does not count what other programs take.
    seconds, cpu = time.perf_counter() - started, time.process_time() - worked
    mb = peak_mb() - before
    sizes = {"n": n, "teachers": teachers, "classes": classes, "columns": columns, "files": files}
    return sizes | {"seconds": seconds, "cpu_seconds": cpu, "mb": mb, "peak_mb": peak_mb()}


def _write(task: Any, folder: Path, files: int) -> None:
    for kind in ("features", "labels"):
        (folder / kind).mkdir()
    covers = np.array([task.labels.covers(t) for t in range(task.labels.n_teachers)])
    about = {"n_classes": task.labels.n_classes, "levels": task.labels.levels, "specialties": covers}
    for at, rows in enumerate(np.array_split(np.arange(len(task.X_train)), files)):
        np.save(folder / "features" / f"part-{at}.npy", task.X_train[rows])
        np.savez(folder / "labels" / f"part-{at}.npz", annotations=task.labels.hard()[rows], **about)


def _read(folder: str) -> tuple[Any, Any]:
    from cosup import read_labels
    from cosup.io.features import check_shards, read_features

    features, labels = read_features(f"file://{folder}/features"), read_labels(f"file://{folder}/labels")
    check_shards(features, labels)
    return features.X, labels


def row_growth(quick: bool) -> dict[str, Any]:
    sizes: dict[str, list[int]] = {
        "n": [500, 1000, 2000] if quick else [10_000, 30_000, 100_000, 300_000],
        "teachers": [1, 4] if quick else [1, 2, 4, 8, 16, 32],
        "classes": [8, 16] if quick else [8, 16, 32, 64, 128],
        "columns": [16, 32] if quick else [64, 128, 256, 512],
        "files": [1, 2] if quick else [4, 16, 64, 256],
    }
    start = {"n": 500 if quick else 10_000, "teachers": 4, "classes": 32, "columns": 64, "files": 0}
    axes = {
        axis: [
            [child("--point", *(str(value) for value in (start | {axis: size}).values())) for size in its]
            for _ in range(1 if quick else 5)
        ]
        for axis, its in sizes.items()
    }
    ratios = {}
    for axis, runs in axes.items():
        what = "samples" if axis == "n" else axis
        for measure in ("seconds", "cpu_seconds", "mb"):
            grown = [exponent([p[axis] for p in run], [max(p[measure], 1e-3) for p in run]) for run in runs]
            ratios[f"exponent of {measure} in {what}"] = ratio(np.array(grown), 1.0, "under 1.1")
    points = [p | {"axis": axis} for axis, runs in axes.items() for run in runs for p in run]
    return {"size": sizes | {"start": start}, "points": points, "ratios": ratios}


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
    return {"size": size, "seconds": medians(t), "ratios": ratios}


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
    return {"size": found, "seconds": medians(t), "ratios": ratios}
