"""Keyword rules are seen: what a small case counts by hand, the labels, the explorer and its findings count, too."""

import dataclasses

import numpy as np
import pytest

from accounts import by_hand
from cosup import ImportedLabels
from cosup.estimators.accuracy import Estimates
from cosup.provenance import find_nearest
from cosup.report.explorer.query import Query, find_samples
from cosup.report.explorer.summary import summarise_account

HAM, SPAM = 0, 1
RULES = ("greets", "sells", "always")
# Two rules of one class each, and a teacher that names both; six samples.
SAID = np.array([[HAM, -1, HAM], [HAM, SPAM, SPAM], [-1, SPAM, SPAM], [-1, SPAM, HAM], [-1, -1, SPAM], [-1, -1, -1]])
ANSWER = np.array([HAM, SPAM, SPAM, HAM, SPAM, HAM])
KEPT = np.array([True, False, True, False, True, False])


@pytest.fixture
def account():
    return by_hand(SAID, ANSWER, classes=("ham", "spam"), names=RULES, kept=KEPT)


def test_everybody_who_speaks_counts_as_by_hand(account):
    teachers = {row["name"]: row for row in summarise_account(account, title="t")["teachers"]}
    greets, sells, always = (teachers[name] for name in RULES)
    assert [row["votes"] for row in (greets, sells, always)] == [2, 3, 5]
    # greets: contradicted on the second sample; sells: there, and on the fourth; always: on both.
    assert [row["conflicts"] for row in (greets, sells, always)] == [1 / 6, 2 / 6, 2 / 6]
    assert [row["agreement"] for row in (greets, sells, always)] == [1 / 2, 2 / 3, 1]
    # One level, where the first that speaks was assigned: greets, greets, sells, sells, always, nobody.
    assert [(row["kept"], row["overruled"]) for row in (greets, sells, always)] == [(1, 1), (1, 2), (3, 2)]
    assert sells["confusion"] == [[SPAM, SPAM, 2], [SPAM, HAM, 1]]
    assert sells["against"] == [[0, 1, 1], [2, 3, 1]]
    assert sells["names"] == [SPAM]
    assert sells["flag"] == "--specialty sells=spam"
    assert always["flag"] is None


def test_labels_and_explorer_count_the_same(account):
    labels = ImportedLabels(SAID, ["ham", "spam"], names=list(RULES))
    explorer = summarise_account(account, title="t")
    for row, seen in zip(labels.summary().teachers, explorer["teachers"], strict=True):
        assert {key: row[key] for key in ("votes", "coverage", "overlaps", "conflicts")} == {
            key: seen[key] for key in ("votes", "coverage", "overlaps", "conflicts")
        }
    level = explorer["levels"][0]
    assert (level["kept"], level["overruled"], level["nobody"]) == (3, 2, 1)
    assert level["lost"] == [[2, 2]]  # that nobody named a class is no reason of a rule
    fates = [len(find_samples(account, Query(kept=fate))) for fate in ("kept", "overruled", "silent")]
    assert fates == [3, 2, 1]
    assert find_samples(account, Query(teacher=1, relation="differs", sort="file")).tolist() == [3]
    assert find_samples(account, Query(teacher=0, against=1, sort="file")).tolist() == [1]


def test_one_estimate_is_shown_everywhere(account):
    overall = np.array([[0.6, 0.5, 0.7], [0.8, 0.7, 0.9], [0.7, 0.6, 0.8], [0.9, 0.8, 1.0]])
    summary = summarise_account(account, title="t", estimates=Estimates(overall[-1], overall[:-1]))
    assert summary["estimates"]["overall"] == overall.tolist()
    assert "accuracy" not in ImportedLabels(SAID, ["ham", "spam"]).summary().teachers[0]


def test_what_is_suspicious_is_found():
    rng = np.random.default_rng(0)
    answer = rng.integers(0, 3, 400)
    wrong = np.where(rng.random(400) < 0.5, (answer + 1) % 3, -1)  # never right
    good, lost = np.where(rng.random(400) < 0.9, answer, -1), np.where(rng.random(400) < 0.2, 3, -1)
    said = np.stack([good, wrong, lost], axis=1)
    account = by_hand(said, answer, classes="abcd", names=("good", "wrong", "lost"), kept=good >= 0)
    found = {card["kind"]: card for card in summarise_account(account, title="t")["findings"]}
    assert set(found) == {"unbelieved", "contradicting", "lost", "few", "specialty"}
    assert [link[0] for link in found["unbelieved"]["links"]] == ["wrong", "lost"]
    assert found["lost"]["links"][0][0] == "d: 0 answers"
    assert found["few"]["links"][0][0] == "d: 0"
    fine = by_hand(good[:, None], answer, classes="abc", names=("good",))
    assert summarise_account(fine, title="t")["findings"] == []


def test_near_duplicates_with_other_answers_are_found():
    X = np.append(np.arange(12.0), [4.01, 9.02, 7.03])[:, None]
    answer = np.arange(12) % 2
    answer = np.append(answer, [answer[4], 1 - answer[9], answer[7]])
    said = answer[:, None].copy()
    said[12], said[14] = 1, -1  # another annotation than its double's; none at all
    places, distances = find_nearest(X)
    account = by_hand(said, answer, classes="ab", names=("teacher",))
    account = dataclasses.replace(account, nearest=places, distance=distances)
    found = {card["kind"]: card for card in summarise_account(account, title="t")["findings"]}["duplicates"]
    plain = [text.translate({0x2068: None, 0x2069: None}) for text, _, _ in found["links"]]
    assert plain == ["s4 and s12: a and b", "s9 and s13: b and a"]
    assert found["links"][1][2] == {"open": "s9"}
    assert found["text"].startswith("2 pairs have nearly the same features")
