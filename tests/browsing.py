"""Headless Chromium for the tests of pages; they are skipped where there is none."""

import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest

FLAGS = ("headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-sync")
FLAGS += ("disable-background-networking", "disable-component-update")


@contextmanager
def chromium(folder: Path, *flags: str):
    """A browser whose profile is in `folder`, an own or an empty one."""
    pytest.importorskip("selenium", reason="selenium is missing: pip install selenium")
    from selenium.webdriver import Chrome, ChromeOptions, ChromeService

    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (program and driver):
        pytest.skip("Chromium is missing: apt-get install chromium chromium-driver")
    options = ChromeOptions()
    options.binary_location = program
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    for flag in (*FLAGS, *flags, f"user-data-dir={folder / 'profile'}"):
        options.add_argument(f"--{flag}")
    chrome = Chrome(options=options, service=ChromeService(driver))
    try:
        yield chrome
    finally:
        chrome.quit()
