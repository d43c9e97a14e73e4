"""What strangers hand over: folders that would run code, write elsewhere or ask a network, and who notices."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
from click.testing import CliRunner
from PIL import Image

from cosup.cli import main
from cosup.tasks import make_hierarchy

EVIL = """
from pathlib import Path
Path({mark!r}).write_text("ran")
def net():
    return lambda batch: batch.mean((2, 3)), {{"resize": 8, "crop": [8, 8], "version": 1}}
"""


def honest(root):
    """An honest fit, a store and a few photos, to be spoilt."""
    task = make_hierarchy(60, 10, n_features=6, n_classes=3, teachers_per_level=(1, 1), accuracy=(0.7, 0.8))
    ids = [f"{row}.png" for row in range(60)]
    np.savez(root / "X.npz", X=task.X_train, ids=np.array(ids))
    hard = task.labels.hard()
    lines = [f"{name},{row[0]},c{row[1]}" for name, row in zip(ids, hard, strict=True)]
    (root / "L.csv").write_text("id,a,b\n" + "\n".join(line.replace(",", ",c", 1) for line in lines) + "\n")
    (root / "person.csv").write_text("id,person\n0.png,c0\n")
    (root / "photos").mkdir()
    for name in ids[:3]:
        Image.fromarray(np.full((8, 8, 3), 99, dtype=np.uint8)).save(root / "photos" / name)
    (root / "t.txt").write_text("one\ntwo\n")
    (root / "net.py").write_text(EVIL.format(mark=str(root / "honest")))
    for arguments in (
        ("fit", "--features", root / "X.npz", "--labels", root / "L.csv", "--out", root / "model"),
        ("embed", "--images", root / "photos", "--backbone", f"module:{root / 'net.py'}:net", "--out", root / "store"),
    ):
        result = CliRunner().invoke(main, [str(word) for word in arguments])
        assert result.exit_code == 0, result.output
    return root


class Stage:
    """A stranger's folders in one place, what is not theirs in another, and an ear at the network."""

    def __init__(self, root, made):
        self.root, self.made = root, made
        self.outside = root / "outside"
        self.outside.mkdir()
        (self.outside / "mine.txt").write_text("mine")
        self.mark = root / "ran"
        (root / "evil.py").write_text(EVIL.format(mark=str(self.mark)))
        self.evil = f"module:{root / 'evil.py'}:net"
        self.asked = []

    def copy(self, name):
        return Path(shutil.copytree(self.made / name, self.root / name))

    def model(self, **inputs):
        folder = self.copy("model")
        self.edit(folder / "model.json", lambda content: content.update(inputs=inputs))
        return folder

    def fit(self, **changed):
        folder = self.copy("model")
        self.edit(folder / "fit.json", lambda content: content["inputs"][0].update(changed))
        # Nothing else is wrong with it: fewer photos than labels are no error.
        self.edit(folder / "fit.json", lambda content: content.update(partial=True))
        return folder

    def edit(self, path, change):
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    def network(self, where, **config):
        from networks import save_vit

        save_vit(where, hidden_size=8, intermediate_size=8, num_hidden_layers=1)
        self.edit(where / "config.json", lambda content: content.update(config))
        return where

    def state(self):
        """All that is not the stranger's."""
        return {
            str(path): hashlib.sha256(path.read_bytes()).hexdigest()
            for folder in (self.outside, self.made)
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }

    def run(self, *words):
        """Run a command as a person would; it may succeed or fail, in one line."""
        before = self.state()
        result = CliRunner().invoke(main, [str(word) for word in words])
        crashed = result.exception is not None and not isinstance(result.exception, SystemExit)
        assert not crashed, repr(result.exception)
        assert not self.mark.exists(), "code of the stranger ran"
        assert not self.asked, f"the network was asked: {self.asked}"
        assert self.state() == before, "something outside was written"
        return result

    def predict(self, folder, kind="images", *more):
        source = self.made / "photos" if kind == "images" else self.made / "t.txt"
        return self.run("predict", "--model", folder, f"--{kind}", source, *more, "--out", self.root / "p.csv")

    def update(self, folder, *more):
        return self.run("fit", "--update", folder, *more, "--out", self.root / "new")

    def check(self, folder):
        return self.run("check", folder, "--answers", self.made / "person.csv", "--out", self.root / "new")
