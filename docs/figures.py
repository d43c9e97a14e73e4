"""Draw docs/figures/levels.svg and the table of docs/explanation/idea.md: python docs/figures.py (needs matplotlib).

The task is planted (`make_hierarchy()`, seed 0: 2,000 samples, 12 classes, teachers of 50, 65 and 80 % on what they
know), so that who is right is known; the truth is used for measuring alone.
"""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from cosup import CoSupervisedClassifier, TeacherLabels, make_method
from cosup.tasks import make_hierarchy

FOLDER = Path(__file__).parent
PAGE = FOLDER / "explanation" / "idea.md"
DRAWN = FOLDER / "figures" / "levels.json"
INK = "#123456"  # stands for the colour of the text around, see `save`


def measure() -> dict[str, Any]:
    """Accuracy after every level, and how often each teacher is assigned to samples of each true class."""
    task = make_hierarchy()
    truth, labels = task.truth, task.labels
    fit = CoSupervisedClassifier(random_state=0).fit
    ceiling = make_method("vanilla").fit(task.X_train, TeacherLabels(truth.y_train[:, None]))
    levels = []
    for k in range(int(labels.levels.max()) + 1):
        upto = np.flatnonzero(labels.levels <= k)
        model = fit(
            task.X_train,
            TeacherLabels(
                labels.annotations[:, upto],
                levels=labels.levels[upto],
                specialties=[labels.specialties[t] for t in upto],
                n_classes=labels.n_classes,
            ),
        )
        record, rows = model.history_[k], model.provenance_[:, k]
        assigned = np.array(
            [np.bincount(truth.y_train[rows["teacher"] == t], minlength=labels.n_classes) for t in record["teachers"]]
        ) / np.bincount(truth.y_train, minlength=labels.n_classes)
        right = rows["annotation"] == truth.y_train
        levels.append(
            {
                "teachers": len(record["teachers"]),
                "assigned": assigned.round(3).tolist(),
                "annotations right": float(right.mean()),
                "kept": float(record["keep_rate"]),
                "kept right": float(right[rows["kept"]].mean()),
                "student": float(model.score(task.X_test, truth.y_test)),
            }
        )
    return {
        "weak": float((task.weak_test == truth.y_test).mean()),
        "levels": levels,
        "ceiling": float(ceiling.score(task.X_test, truth.y_test)),
    }


def table(measured: dict[str, Any]) -> str:
    """The table of docs/explanation/idea.md."""
    weak, ceiling = measured["weak"], measured["ceiling"]
    lines = [
        "| after level | teachers | assigned and right | kept | of these right | student, test | gap closed |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for k, level in enumerate(measured["levels"]):
        shares = [level[name] for name in ("annotations right", "kept", "kept right", "student")]
        shares.append((level["student"] - weak) / (ceiling - weak))
        lines.append(f"| {k} | {level['teachers']} | " + " | ".join(f"{100 * share:.0f} %" for share in shares) + " |")
    return "\n".join(lines)


def draw(measured: dict[str, Any], path: Path) -> None:
    """Who is assigned to which class, level by level, and the student's accuracy."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    style = {"text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": INK, "xtick.color": INK, "ytick.color": INK}
    with mpl.rc_context({**style, "font.size": 9, "svg.hashsalt": "cosup", "axes.spines.top": False}):
        levels = measured["levels"]
        figure, axes = plt.subplots(
            1, len(levels) + 1, figsize=(10, 3), layout="constrained", width_ratios=[2, 2, 2, 3]
        )
        for k, (axis, level) in enumerate(zip(axes, levels, strict=False)):
            shown = axis.imshow(level["assigned"], vmin=0, vmax=1, cmap="viridis", aspect="auto")
            axis.set(title=f"level {k}", xlabel="true class", yticks=range(level["teachers"]))
            axis.set_yticklabels([f"{k}.{t + 1}" for t in range(level["teachers"])])
        axes[0].set_ylabel("teacher")
        bar = figure.colorbar(shown, ax=axes[len(levels) - 1])
        bar.set_label("share to which it is assigned")
        axis = axes[-1]
        accuracy = [level["student"] for level in levels]
        axis.plot(range(len(levels)), accuracy, "o-", color="#2a9d8f")
        for k, value in enumerate(accuracy):
            axis.annotate(f"{value:.1%}", (k, value), xytext=(0, -14), textcoords="offset points", ha="center")
        for name in ("weak", "ceiling"):
            axis.axhline(measured[name], color=INK, linestyle=":", linewidth=1)
            label = {"weak": "generalist", "ceiling": "ceiling: trained on the truth"}[name]
            axis.annotate(
                f"{label} {measured[name]:.1%}", (-0.4, measured[name]), xytext=(3, 3), textcoords="offset points"
            )
        axis.spines[["top", "right"]].set_visible(False)
        axis.set(
            title="the student on test samples",
            xlabel="after level",
            xticks=range(len(levels)),
            ylim=(0.4, 1),
            xlim=(-0.4, 2.4),
        )
        save(figure, path)
        plt.close(figure)


def save(figure: Any, path: Path) -> None:
    """An SVG without a background whose ink follows the page's light or dark scheme."""
    figure.savefig(path, transparent=True, metadata={"Date": None, "Creator": None})
    style = "<style>svg{color:#222}@media(prefers-color-scheme:dark){svg{color:#ddd}}</style>"
    svg = path.read_text(encoding="utf-8").replace(INK, "currentColor")
    path.write_text(re.sub(r"(<svg[^>]*>)", r"\1" + style, svg, count=1), encoding="utf-8")


if __name__ == "__main__":
    measured = measure()
    DRAWN.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    draw(measured, DRAWN.with_suffix(".svg"))
    before, rest = PAGE.read_text(encoding="utf-8").split("<!-- figures.py -->\n")
    after = rest.split("<!-- end -->")[1]
    PAGE.write_text(f"{before}<!-- figures.py -->\n{table(measured)}\n<!-- end -->{after}", encoding="utf-8")
    print(table(measured))
