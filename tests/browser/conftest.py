"""A headless Chromium; ``make test-browser`` runs the tests that need it."""

import shutil
from pathlib import Path

import pytest
from playwright.sync_api import expect, sync_playwright

# Without these, Chromium contacts its update servers.
_OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
)
_NEVER_MS = 600_000  # ends a test that hangs; nothing is expected to take that long


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(item.path).parent == Path(__file__).parent:
            item.add_marker("browser")


@pytest.fixture(scope="session")
def chromium():
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.fail("Chromium is not installed: apt-get install chromium")
    expect.set_options(timeout=_NEVER_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=list(_OPTIONS), timeout=_NEVER_MS
        )
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium):
    """Open a page in a context of its own: `open_page(url, **options of the context)`."""
    contexts = []

    def open_one(url, **options):
        contexts.append(chromium.new_context(**options))
        contexts[-1].set_default_timeout(_NEVER_MS)
        page = contexts[-1].new_page()
        page.errors, page.requested = [], []
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        page.on("request", lambda request: page.requested.append(request.url))
        page.goto(url)
        return page

    yield open_one
    for context in contexts:
        errors = [error for page in context.pages for error in page.errors]
        context.close()
        assert errors == []
