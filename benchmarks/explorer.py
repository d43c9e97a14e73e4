"""How long a browser takes to paint, filter, sort and label in the explorer of 20,000 samples.

    python benchmarks/explorer.py [--runs 5] [--teachers 30] [--classes 200]

Each run opens the page anew in headless Chromium (/usr/bin/chromium, /usr/bin/chromedriver, selenium). Printed are the
median over the runs and, in brackets, the least and the greatest; of what happens several times in a run, the slowest
counts. The account is made up; what counts is its size.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from serving import account_of

from cosup.estimators.accuracy import Estimates
from cosup.report.explorer import build_explorer

SAMPLES, LABELS = 20_000, 50
VIEWS = ("overview", "label", "samples", "samples?show=gallery", "teachers", "teacher?teacher=1", "disagreements",
         "levels")  # fmt: skip
WORDS = ["refund", "login", "invoice", "broken", "thanks", "where", "my", "late"]
CHOICES = (("… that", "differs"), ("… names", "3"), ("Fate", "overruled"), ("Answer", "5"), ("Answer", "-1"),
           *(("Sort", f"{sign}{key}") for key in ("confidence", "id", "answer", "differ", "assigned", "fate")
             for sign in ("", "-")))  # fmt: skip
CHOOSE = """
const field = [...document.querySelectorAll('label.field')].find((f) => f.textContent.startsWith(arguments[0]));
const select = field.querySelector('select');
select.value = arguments[1];
select.dispatchEvent(new Event('change'));
"""
WATCH = """
window.slow = [];
new PerformanceObserver((list) => slow.push(...list.getEntries().map((e) => e.duration)))
  .observe({ type: 'event', durationThreshold: 16 });
"""


def browser_of(profile: str) -> Any:
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for flag in ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
                 f"--user-data-dir={profile}", "--window-size=1400,900"):  # fmt: skip
        options.add_argument(flag)
    return webdriver.Chrome(options=options, service=webdriver.ChromeService("/usr/bin/chromedriver"))


def wait(browser: Any, script: str, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not browser.execute_script(script):
        if time.monotonic() > end:
            raise TimeoutError(script)
        time.sleep(0.02)


def opened(browser: Any, address: str) -> float:
    """Open a page; when it was painted and ready, in ms."""
    browser.get("about:blank")
    browser.get(address)
    wait(browser, "return performance.getEntriesByName('shown').length && performance.getEntriesByType('paint').length")
    return float(
        browser.execute_script(
            "return Math.max(...performance.getEntriesByType('paint').map((e) => e.startTime),"
            " performance.getEntriesByName('shown')[0].startTime)"
        )
    )


def durations(browser: Any, name: str) -> list[float]:
    return list(browser.execute_script(f"return performance.getEntriesByName('{name}').map((e) => e.duration)"))


def run(browser: Any, page: str) -> dict[str, float]:
    out = {f"first paint, {view}": opened(browser, f"{page}#{view}") for view in VIEWS}
    opened(browser, f"{page}#samples")
    browser.execute_script(WATCH)
    search = browser.find_element("id", "search")
    for letter in "refund login":
        search.send_keys(letter)
    for label, value in CHOICES:
        browser.execute_script(CHOOSE, label, value)
    time.sleep(0.3)
    out["filter or sort"] = max(durations(browser, "filter"))
    out["from key to next paint"] = max(browser.execute_script("return slow"), default=16)
    opened(browser, f"{page}#label")
    wait(browser, "return document.querySelector('.stage .sample bdi')")
    browser.execute_script("indexedDB.deleteDatabase('cosup')")
    for _ in range(LABELS):
        named = browser.execute_script("return document.querySelector('.stage .sample bdi').textContent")
        browser.switch_to.active_element.send_keys("1")
        wait(browser, "return !document.querySelector('.stage') || document.querySelector('.stage .sample bdi')"
                      f".textContent !== '{named}'")  # fmt: skip
    out["label mode, answer on disk"] = max(durations(browser, "kept answer"))
    out["label mode, next sample"] = max(durations(browser, "next sample"))
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, number in (("runs", 5), ("teachers", 30), ("classes", 200)):
        parser.add_argument(f"--{name}", type=int, default=number)
    given = parser.parse_args()
    account = account_of(SAMPLES, given.teachers, given.classes)
    estimates = Estimates(np.array([0.8, 0.7, 0.9]), np.tile([0.8, 0.7, 0.9], (given.teachers, 1)), note="made up")
    texts = [" ".join(row) for row in np.random.default_rng(0).choice(WORDS, (SAMPLES, 14))]
    measured = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.html"
        path.write_text(build_explorer(account, texts=texts, estimates=estimates), encoding="utf-8")
        print(f"{path.stat().st_size / 1e6:.1f} MB; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        for _ in range(given.runs):
            with tempfile.TemporaryDirectory() as profile:
                browser = browser_of(profile)
                try:
                    for name, value in run(browser, path.as_uri()).items():
                        measured[name].append(value)
                finally:
                    browser.quit()
    for name, values in measured.items():
        print(f"{name:36}{np.median(values):8.0f} ms ({min(values):.0f} to {max(values):.0f})")


if __name__ == "__main__":
    main()
