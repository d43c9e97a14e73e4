"""The explorer in headless Chromium: time to paint and to filter, console, keyboard, accessibility.

Needs selenium, /usr/bin/chromium and /usr/bin/chromedriver (Debian's chromium-driver); the accessibility test also
needs axe.min.js of the npm package axe-core at the path in COSUP_AXE. What is missing is named where a test is skipped.
"""

import importlib.util
import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from cosup.report.explorer import Estimates, build_explorer, make_app
from cosup.report.explorer.query import Query, find_samples

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
CHROMIUM, DRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")
if not (CHROMIUM.exists() and DRIVER.exists()):
    pytest.skip("Debian's chromium and chromium-driver are not installed", allow_module_level=True)

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
)  # fmt: skip
VIEWS = ("overview", "look", "samples", "teachers", "rejected", "disagreements", "levels")
WORDS = ["refund", "login", "invoice", "broken", "thanks", "where", "my", "<b>"]
CHOOSE = """
const field = [...document.querySelectorAll('label.field')].find((f) => f.textContent.startsWith(arguments[0]));
const select = field.querySelector('select');
select.value = arguments[1];
select.dispatchEvent(new Event('change'));
"""


def load_serving():
    spec = importlib.util.spec_from_file_location("serving", Path(__file__).parents[2] / "benchmarks" / "serving.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


serving = load_serving()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}", "--window-size=1400,900"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(str(DRIVER)))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def account():
    return serving.account_of(20_000)


@pytest.fixture(scope="module")
def page(tmp_path_factory, account):
    estimates = Estimates(np.tile([0.8, 0.7, 0.9], (serving.TEACHERS + 1, 1)), note="made up")
    rng = np.random.default_rng(0)
    texts = [" ".join(row) for row in rng.choice(WORDS, (20_000, 14))]
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(build_explorer(account, texts=texts, estimates=estimates, facts={"Method": "none"}))
    return path.as_uri()


def opened(browser, address):
    browser.get("about:blank")
    browser.get(address)
    wait(browser, "return performance.getEntriesByName('shown').length > 0")
    return browser


def wait(browser, script, seconds=20):
    end = time.monotonic() + seconds
    while not browser.execute_script(script):
        assert time.monotonic() < end, script
        time.sleep(0.02)


def matching(browser):
    wait(browser, "return /^[0-9]/.test(document.querySelector('.status').textContent)")
    return int(browser.find_element("css selector", ".status").text.split()[0].replace(",", ""))


def quiet(browser):
    assert [entry["message"] for entry in browser.get_log("browser")] == []


def test_twenty_thousand_samples_paint_and_filter_in_time(browser, page):
    for view in VIEWS:
        opened(browser, f"{page}#{view}")
        wait(browser, "return performance.getEntriesByType('paint').length > 0")
        painted = browser.execute_script(
            "return Math.max(...performance.getEntriesByType('paint').map((e) => e.startTime),"
            " performance.getEntriesByName('shown')[0].startTime)"
        )
        print(f"{view}: painted and ready after {painted:.0f} ms")
        assert painted < 2000, view
    opened(browser, f"{page}#samples")
    browser.execute_script(
        "window.slow = []; new PerformanceObserver((list) => slow.push(...list.getEntries().map((e) => e.duration)))"
        ".observe({ type: 'event', durationThreshold: 16 })"
    )
    search = browser.find_element("id", "search")
    for letter in "refund login":
        search.send_keys(letter)
    for label, value in (("… that", "differs"), ("… says", "3"), ("Fate", "rejected"), ("Sort", "low")):
        browser.execute_script(CHOOSE, label, value)
    time.sleep(0.3)
    filters = browser.execute_script("return performance.getEntriesByName('filter').map((e) => e.duration)")
    to_paint = browser.execute_script("return slow")
    assert len(filters) == 16
    print(f"filter: at most {max(filters):.1f} ms; from key to next paint at most {max(to_paint, default=16):.0f} ms")
    assert max(filters) < 100
    assert max(to_paint, default=16) < 200
    assert 0 < matching(browser) < 20_000
    quiet(browser)


@pytest.mark.parametrize(
    "asked",
    [
        {"q": "T-0001"}, {"q": "ticket-0001"}, {"answer": 3}, {"teacher": 1, "relation": "differs"},
        {"relation": "differs"}, {"relation": "abstained"}, {"teacher": 5, "relation": "believed", "says": 2},
        {"teacher": 1, "against": 0}, {"teacher": 2, "instead": 0}, {"kept": "rejected", "level": 1},
        {"reason": 2, "kept": "rejected"}, {"low": 30, "high": 60}, {"teacher": 4, "relation": "agrees"},
    ],
    ids=str,
)  # fmt: skip
def test_the_page_finds_what_the_server_would(browser, page, account, asked):
    query = "&".join(f"{key}={value}" for key, value in asked.items())
    opened(browser, f"{page}#samples?{query}")
    assert matching(browser) == len(find_samples(account, Query(**asked)))
    quiet(browser)


def test_all_can_be_done_from_the_keyboard(browser, page, account):
    from selenium.webdriver.common.keys import Keys

    opened(browser, f"{page}#samples")
    body = browser.find_element("tag name", "body")
    body.send_keys("/")
    assert browser.switch_to.active_element.get_attribute("id") == "search"
    grid = browser.find_element("css selector", "[role=grid]")
    grid.send_keys(Keys.END)
    grid.send_keys(Keys.ARROW_UP)
    chosen = browser.find_element("css selector", "[role=row][aria-selected=true]")
    last_but_one = account.ids[int(np.argsort(account.rank)[-2])]
    assert last_but_one in chosen.text
    assert grid.get_attribute("aria-activedescendant") == chosen.get_attribute("id")
    grid.send_keys(Keys.ENTER)
    assert browser.switch_to.active_element.text == f"Sample {last_but_one}"
    browser.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert browser.switch_to.active_element.get_attribute("role") == "grid"
    assert not browser.find_element("css selector", ".pane").is_displayed()
    quiet(browser)


def test_links_lead_to_the_samples_that_they_count(browser, page, account):
    opened(browser, f"{page}#overview")
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
        if view == "samples":
            browser.find_element("css selector", ".rows [role=row]").click()
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


def test_a_served_page_shows_the_same(browser, account):
    uvicorn = pytest.importorskip("uvicorn")
    pytest.importorskip("starlette")
    server = uvicorn.Server(uvicorn.Config(make_app(account), port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.02)
        port = server.servers[0].sockets[0].getsockname()[1]
        opened(browser, f"http://127.0.0.1:{port}/#samples?answer=3")
        assert matching(browser) == (account.answer == 3).sum()
        first = find_samples(account, Query(answer=3))[0]
        wait(browser, "return document.querySelectorAll('.rows .id').length > 5")
        assert browser.find_element("css selector", ".rows .id").text == account.ids[first]
        quiet(browser)
    finally:
        server.should_exit = True
        thread.join()
