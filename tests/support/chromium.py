"""Debian's Chromium without a window, and what a test asks of the explorer's page in it."""

import time
from pathlib import Path

import pytest

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
CHROMIUM, DRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")
if not (CHROMIUM.exists() and DRIVER.exists()):
    pytest.skip("Debian's chromium and chromium-driver are not installed", allow_module_level=True)

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
)  # fmt: skip
GO = """
const [hash, done] = arguments;
if (location.hash === hash) done();
else { addEventListener('hashchange', () => done(), { once: true }); location.hash = hash; }
"""


def launched(profile):
    """A browser whose profile is a new folder."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in (*FLAGS, f"--user-data-dir={profile}", "--window-size=1400,900"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(str(DRIVER)))


def wait(browser, script, seconds=60):
    end = time.monotonic() + seconds
    while not browser.execute_script(script):
        assert time.monotonic() < end, script
        time.sleep(0.02)


def opened(browser, address):
    """Load a page."""
    browser.get("about:blank")
    browser.get_log("browser")  # of a page before, whose server has gone
    browser.get(address)
    wait(browser, "return performance.getEntriesByName('shown').length > 0")
    return browser


def gone_to(browser, page, place):
    """Go on to a place of a page, as a link does; the page is loaded where another one is open."""
    if browser.current_url.partition("#")[0] != page:
        return opened(browser, f"{page}#{place}")
    browser.execute_async_script(GO, f"#{place}")
    return browser


def matching(browser):
    """Number of samples that the page says it has found."""
    wait(browser, "return /^[0-9]/.test(document.querySelector('.status').textContent)")
    return int(browser.find_element("css selector", ".status").text.split()[0].replace(",", ""))


def quiet(browser):
    assert [entry["message"] for entry in browser.get_log("browser")] == []
