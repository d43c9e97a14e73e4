"""The explorer in headless Chromium: filters, addresses, keyboard, label mode, console, accessibility.

Needs selenium, /usr/bin/chromium and /usr/bin/chromedriver (Debian's chromium-driver); the accessibility test also
needs axe.min.js of the npm package axe-core at the path in COSUP_AXE. What is missing is named where a test is skipped.
"""

import csv
import os
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from accounts import small_account
from chromium import gone_to, launched, matching, opened, quiet, wait
from cosup.estimators.accuracy import Estimates
from cosup.provenance import read_answers
from cosup.report.explorer import LabelStore, build_explorer, make_app
from cosup.report.explorer.query import Query, find_samples
from scripts import script

VIEWS = (
    "overview",
    "label",
    "samples",
    "samples?show=gallery",
    "teachers",
    "teacher?teacher=1",
    "disagreements",
    "levels",
)
WORDS = ["refund", "login", "invoice", "broken", "thanks", "where", "my", "<b>"]
CHOOSE = """
const field = [...document.querySelectorAll('label.field')].find((f) => f.textContent.startsWith(arguments[0]));
const select = field.querySelector('select');
select.value = arguments[1];
select.dispatchEvent(new Event('change'));
"""


serving = script(Path(__file__).parents[2] / "benchmarks" / "serving.py")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    driver = launched(tmp_path_factory.mktemp("profile"))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def few():
    """The account of a page that opens fast."""
    return serving.account_of(2_000)


def written(account, folder):
    """Address of the page of an account."""
    estimates = Estimates(np.array([0.8, 0.7, 0.9]), np.tile([0.8, 0.7, 0.9], (serving.TEACHERS, 1)), note="made up")
    rng = np.random.default_rng(0)
    texts = [" ".join(row) for row in rng.choice(WORDS, (len(account), 14))]
    path = folder / "report.html"
    path.write_text(build_explorer(account, texts=texts, estimates=estimates, facts={"Method": "none"}))
    return path.as_uri()


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return written(serving.account_of(20_000), tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="module")
def page_of_few(tmp_path_factory, few):
    return written(few, tmp_path_factory.mktemp("few"))


def test_all_views_of_twenty_thousand_samples_are_drawn_and_filters_add_up(browser, page):
    for view in VIEWS:
        gone_to(browser, page, view)
        wait(browser, "return document.querySelector('main').children.length > 1")
        quiet(browser)
    gone_to(browser, page, "samples")
    counts = [matching(browser)]
    for label, value in (("… that", "differs"), ("… names", "3"), ("Fate", "overruled"), ("Sort", "-differ")):
        browser.execute_script(CHOOSE, label, value)
        counts.append(matching(browser))
    browser.find_element("id", "search").send_keys("refund login")
    counts.append(matching(browser))
    assert counts[0] == 20_000
    assert counts == sorted(counts, reverse=True)
    assert 0 < counts[-1] < counts[-2] == counts[-3] < counts[-4]
    quiet(browser)


def test_of_many_teachers_the_overview_shows_those_of_whom_something_is_known(browser, tmp_path):
    low = np.array([0.90, 0.80, 0.85, 0.70, 0.75, 0.95, *[0.1] * 3, *[0.0] * 11])
    high = np.array([*[1.0] * 14, 0.2, 0.1, 0.3, 0.15, 0.25, 0.05])
    middle = np.array([*[0.97] * 6, *[1.0] * 8, *[0.04] * 6])  # those in between are known least, and rank highest
    estimates = Estimates(np.array([0.8, 0.7, 0.9]), np.column_stack([middle, low, high]))
    page = tmp_path / "report.html"
    page.write_text(build_explorer(serving.account_of(50, teachers=20), estimates=estimates))
    opened(browser, page.as_uri())
    shown = [link.text for link in browser.find_elements("css selector", ".ladder a")]
    assert sorted(shown) == sorted(f"teacher '{t}'" for t in (*range(6), *range(14, 20)))
    quiet(browser)


def test_on_a_phone_the_filters_are_folded_until_they_are_asked_for(browser, page_of_few):
    size = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        opened(browser, f"{page_of_few}#samples")
        search = browser.find_element("id", "search")
        assert not search.is_displayed()
        browser.find_element("css selector", ".folded > summary").click()
        assert search.is_displayed()
        browser.find_element("css selector", ".folded > summary").click()
        browser.find_element("tag name", "body").send_keys("/")
        assert browser.switch_to.active_element.get_attribute("id") == "search"
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    wait(browser, "return innerWidth > 1000")
    assert search.is_displayed()
    quiet(browser)


def test_of_features_alone_label_mode_shows_the_nearest_samples(browser, tmp_path):
    account = small_account(names=("ant", "bee", "cat"))
    (tmp_path / "report.html").write_text(build_explorer(account))
    opened(browser, f"{(tmp_path / 'report.html').as_uri()}#label")
    wait(browser, "return document.querySelector('.stage table')")
    first = int(np.argmin(account.rank))

    def table():
        rows = browser.find_elements("css selector", ".stage tbody tr")
        return [[cell.text for cell in row.find_elements("css selector", "th, td")] for row in rows]

    names = ("\u2013", *account.class_names)  # -1 stands for none
    assert [row[:3] for row in table()] == [
        [account.ids[j], names[account.answer[j] + 1], names[account.annotation[j, -1] + 1]]
        for j in account.nearest[first]
    ]
    browser.switch_to.active_element.send_keys("h")  # answers hidden, so theirs, too
    assert [row[:2] for row in table()] == [[account.ids[j], ""] for j in account.nearest[first]]
    quiet(browser)


@pytest.mark.parametrize(
    "asked",
    [
        {"q": "T-0001"}, {"q": "ticket-0001"}, {"answer": 3}, {"teacher": 1, "relation": "differs"},
        {"relation": "differs"}, {"relation": "abstained"}, {"teacher": 5, "relation": "assigned", "says": 2},
        {"teacher": 1, "against": 0}, {"teacher": 2, "instead": 0}, {"kept": "overruled", "level": 1},
        {"kept": "silent"}, {"reason": 2, "kept": "overruled"}, {"low": 30, "high": 60},
        {"teacher": 4, "relation": "agrees"}, {"sort": "-id", "answer": 1}, {"sort": "differ", "kept": "kept"},
    ],
    ids=str,
)  # fmt: skip
def test_the_page_finds_what_the_server_would(browser, page_of_few, few, asked):
    query = "&".join(f"{key}={value}" for key, value in asked.items())
    gone_to(browser, page_of_few, f"samples?{query}")
    found = find_samples(few, Query(**{"sort": "look", **asked}))
    assert matching(browser) == len(found)
    shown = [node.text for node in browser.find_elements("css selector", ".rows .id")[:5]]
    assert shown == [few.ids[i] for i in found[:5]]
    quiet(browser)


def test_the_address_holds_filters_and_the_open_sample_and_back_works(browser, page_of_few, few):
    from selenium.webdriver.common.keys import Keys

    opened(browser, f"{page_of_few}#samples")
    matching(browser)
    browser.execute_script(CHOOSE, "Fate", "overruled")
    overruled = matching(browser)
    assert browser.current_url.endswith("#samples?kept=overruled")
    assert "overruled" in browser.find_element("css selector", ".sentence").text
    browser.find_element("css selector", "#row-2").click()
    browser.switch_to.active_element.send_keys("j")
    row = find_samples(few, Query(kept="overruled"))[3]
    assert browser.current_url.endswith(f"open={few.ids[row]}")
    address = browser.current_url
    browser.back()
    wait(browser, "return !location.hash.includes('open=')")
    assert matching(browser) == overruled
    browser.back()
    wait(browser, "return !location.hash.includes('kept=')")
    assert matching(browser) == len(few)
    opened(browser, address)
    wait(browser, "return document.getElementById('sample-title')")
    assert browser.find_element("id", "sample-title").text == f"Sample {few.ids[row]}"
    search = browser.find_element("id", "search")
    search.send_keys("no such thing", Keys.ENTER)
    assert matching(browser) == 0
    browser.find_element("css selector", ".empty button").click()
    assert matching(browser) == len(few)
    quiet(browser)


def test_all_can_be_done_from_the_keyboard(browser, page_of_few, few):
    from selenium.webdriver.common.keys import Keys

    opened(browser, f"{page_of_few}#samples")
    body = browser.find_element("tag name", "body")
    body.send_keys("/")
    assert browser.switch_to.active_element.get_attribute("id") == "search"
    grid = browser.find_element("css selector", "[role=grid]")
    grid.send_keys(Keys.END)
    grid.send_keys(Keys.ARROW_UP)
    last_but_one = few.ids[int(np.argsort(few.rank)[-2])]
    chosen = "document.querySelector('[role=row][aria-selected=true]')"
    wait(browser, f"return {chosen} && {chosen}.textContent.includes('{last_but_one}')")
    wait(browser, f"return document.querySelector('[role=grid]').getAttribute('aria-activedescendant') === {chosen}.id")
    grid.send_keys(Keys.ENTER)
    assert browser.switch_to.active_element.text == f"Sample {last_but_one}"
    browser.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert browser.switch_to.active_element.get_attribute("role") == "grid"
    assert not browser.find_element("css selector", ".pane").is_displayed()
    quiet(browser)


def test_links_lead_to_the_samples_that_they_count(browser, page_of_few, few):
    opened(browser, f"{page_of_few}#overview")
    bar = browser.find_element("css selector", ".bars a")
    count = int(bar.find_element("css selector", ".count").text.replace(",", ""))
    bar.click()
    wait(browser, "return document.querySelector('.status')")
    assert matching(browser) == count
    browser.back()
    wait(browser, "return document.querySelector('.tiles')")
    quiet(browser)


@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1400, 420])
def test_axe_finds_no_serious_fault(browser, page, dark, width):
    axe = Path(os.environ.get("COSUP_AXE", "node_modules/axe-core/axe.min.js"))
    if not axe.is_file():
        pytest.skip(f"{axe} is not there: npm install axe-core, and name its axe.min.js in COSUP_AXE")
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    for view in VIEWS:
        opened(browser, f"{page}#{view}")
        if view.startswith("samples"):
            browser.find_element("css selector", "#row-0").click()
        browser.execute_cdp_cmd("Runtime.evaluate", {"expression": axe.read_text(encoding="utf-8")})
        found = browser.execute_async_script("axe.run(document).then(arguments[0])")
        serious = [
            (fault["id"], [node["html"][:120] for node in fault["nodes"]][:3])
            for fault in found["violations"]
            if fault["impact"] in ("serious", "critical")
        ]
        assert serious == [], view
        assert len(found["passes"]) > 10
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@contextmanager
def served(app):
    uvicorn = pytest.importorskip("uvicorn")
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.02)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()


OFFERED = "return document.querySelectorAll('.class')[arguments[0]].dataset.class"
SITTING = 58
"""Samples of a sitting: fifty answers, and eight that are skipped."""


def label(browser, account, address, order, begin=0):
    """Name classes by keys alone, from a sample of a sitting on; every seventh is skipped, one is taken back."""
    opened(browser, address)
    wait(browser, "return document.querySelector('.stage .sample bdi')")
    want = {}
    for step, i in list(enumerate(in_order(account, order)))[begin:SITTING]:
        wait(browser, f"return document.querySelector('.stage .sample bdi').textContent === '{account.ids[i]}'")
        if step % 7 == 6:
            browser.switch_to.active_element.send_keys("s")
            continue
        if step == begin + 2:  # answered, and taken back
            browser.switch_to.active_element.send_keys("3")
            wait(browser, f"return document.querySelector('.stage .sample bdi').textContent !== '{account.ids[i]}'")
            browser.switch_to.active_element.send_keys("z")
            wait(browser, f"return document.querySelector('.stage .sample bdi').textContent === '{account.ids[i]}'")
        chosen = i % serving.CLASSES
        if step % 2:  # the search, for classes beyond the keys
            browser.switch_to.active_element.send_keys("/", f"class {chosen} <", "\n")
        else:
            chosen = int(browser.execute_script(OFFERED, step % 9))
            browser.switch_to.active_element.send_keys(str(step % 9 + 1))
        want[account.ids[i]] = account.class_names[chosen]
    wait(browser, "return document.querySelector('.labelling h3')")
    ended = "Done." if len(account) > SITTING else "There is no further sample in this order."
    assert browser.find_element("css selector", ".labelling h3").text == ended
    return want


def in_order(account, order):
    return find_samples(account, Query(sort="look" if order == "look" else "draw")).tolist()


def answers_of(text, order="look"):
    rows = csv.DictReader(text.splitlines())
    return {row["id"]: row["person"] for row in rows if row["status"] == "label" and row["chosen"] == order}


@pytest.mark.parametrize(("order", "samples", "begin"), [("look", 2_000, 44), ("uniform", 16, 0)])
def test_samples_are_labelled_by_keys_in_a_file_and_served_with_the_same_answers(
    browser, order, samples, begin, tmp_path
):
    account = serving.account_of(samples)
    browser.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    alone = label(browser, account, f"{written(account, tmp_path)}#label?order={order}", order)
    browser.find_element("css selector", ".labelling .primary").click()
    end, downloaded = time.monotonic() + 10, ""
    while not downloaded and time.monotonic() < end:  # the file is there, and empty, before it is written
        time.sleep(0.05)
        downloaded = (tmp_path / "answers.csv").read_text() if (tmp_path / "answers.csv").is_file() else ""
    store = LabelStore(tmp_path / "served.csv", account.ids, account.class_names, who="ann")
    earlier = {account.ids[i] for i in in_order(account, order)[:begin]}  # of a sitting that goes on on the server
    for row in csv.DictReader(downloaded.splitlines()):
        if row["id"] in earlier:
            store.put(row)
    with served(make_app(account, labels=store)) as port:
        there = label(browser, account, f"http://127.0.0.1:{port}/#label?order={order}", order, begin)
        wait(browser, "return document.querySelector('.kept').textContent.startsWith('Each answer')")
    written_there = (tmp_path / "served.csv").read_text()
    assert answers_of(downloaded, order) == answers_of(written_there, order) == alone
    assert there == {name: answer for name, answer in alone.items() if name not in earlier}
    rows = list(csv.DictReader(written_there.splitlines()))
    assert {row["chosen"] for row in rows} == {order}
    assert {row["who"] for row in rows} == {"ann"}
    assert sum(row["status"] == "skip" for row in rows) == min(samples, SITTING) // 7
    known = read_answers(tmp_path / "served.csv", account.ids, account.class_names, drawn=order == "uniform")
    assert (known >= 0).sum() == len(alone) == min(samples, SITTING) - min(samples, SITTING) // 7
    quiet(browser)


def test_answers_wait_in_the_browser_for_a_server_that_was_killed(browser, few, tmp_path):
    store = LabelStore(tmp_path / "answers.csv", few.ids, few.class_names)
    with served(make_app(few, labels=store)) as port:
        opened(browser, f"http://127.0.0.1:{port}/#label")
        wait(browser, "return document.querySelector('.stage .sample bdi')")
        browser.switch_to.active_element.send_keys("11")
        end = time.monotonic() + 10
        while len(store) < 2 and time.monotonic() < end:
            time.sleep(0.02)
    browser.switch_to.active_element.send_keys("1")
    wait(browser, "return document.querySelector('.kept').textContent.includes('not written')")
    assert len(answers_of((tmp_path / "answers.csv").read_text())) == 2
    again = LabelStore(tmp_path / "answers.csv", few.ids, few.class_names)
    app = make_app(few, labels=again)
    uvicorn = pytest.importorskip("uvicorn")
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.02)
        opened(browser, f"http://127.0.0.1:{port}/#label")
        end = time.monotonic() + 10
        while len(again) < 3 and time.monotonic() < end:
            time.sleep(0.02)
        expected = {few.ids[i] for i in np.argsort(few.rank)[:3]}
        assert set(answers_of((tmp_path / "answers.csv").read_text())) == expected
    finally:
        server.should_exit = True
        thread.join()
    browser.get_log("browser")  # the refused request is told there


def test_a_served_page_shows_the_same(browser, few):
    pytest.importorskip("starlette")
    with served(make_app(few)) as port:
        opened(browser, f"http://127.0.0.1:{port}/#samples?answer=3")
        assert matching(browser) == (few.answer == 3).sum()
        first = find_samples(few, Query(answer=3))[0]
        wait(browser, "return document.querySelectorAll('.rows .id').length > 5")
        assert browser.find_element("css selector", ".rows .id").text == few.ids[first]
        quiet(browser)
