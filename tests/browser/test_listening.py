"""The page of a listening study, opened from the disk: listen, choose, reload, save."""

import json
import shutil

import pytest
from playwright.sync_api import expect

from negclap.cli import main
from negclap.listening.study import Study
from tests.music import ADAPTER

PHONE = {"width": 390, "height": 800}
TRIALS = 5  # one of each level, and a check twice
SOON = 10_000


@pytest.fixture(scope="module")
def folder(chorales, tmp_path_factory):
    here = tmp_path_factory.mktemp("listening")
    (here / "adapter.py").write_text(ADAPTER)
    source = ("--model", f"{here / 'adapter.py'}:Pitch", "--out", str(here / "study"))
    small = ("--pairs", "1", "--checks", "1", "--seconds", "0.3")
    manifest = str(chorales / "manifest.jsonl")
    assert main(["listening", "pack", "--data", manifest, *small, *source]) == 0
    return here / "study"


def address(folder):
    return (folder / "page" / "index.html").as_uri()


@pytest.fixture
def page(chromium, folder):
    context = chromium.new_context(viewport={"width": 1200, "height": 900})
    opened = context.new_page()
    errors, requests = [], []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("request", lambda request: requests.append(request.url))
    opened.goto(address(folder))
    yield opened
    context.close()
    assert errors == []
    assert all(url.startswith(("file:", "blob:", "data:")) for url in requests)


def begin(page):
    page.get_by_role("button", name="Begin", exact=True).click()
    at(page, 1)


def at(page, number):
    expect(page.locator("#place")).to_have_text(f"{number} of {TRIALS}")


def hear(page, *keys):
    for key in keys:
        page.keyboard.press(key)
        heard = page.locator(".heard").nth("12".index(key))
        expect(heard).to_contain_text("✓ heard", timeout=SOON)


def answer(page, key):
    hear(page, "1", "2")
    page.keyboard.press(key)


def test_it_says_what_to_do(page):
    expect(page.get_by_role("heading", name="Which clip fits the text?")).to_be_visible()
    expect(page.locator("#welcome")).to_contain_text(f"You will read {TRIALS} short descriptions")
    assert not page.locator("#trial").is_visible()


def test_there_is_no_answer_before_both_clips_were_heard(page):
    begin(page)
    choose = page.get_by_role("button", name="B fits better")
    for heard in ((), ("1",)):
        hear(page, *heard)
        expect(choose).to_have_attribute("aria-disabled", "true")
        page.keyboard.press("b")
        choose.click(force=True)
        expect(page.get_by_role("status").first).to_contain_text("Not yet")
        at(page, 1)
    hear(page, "2")
    expect(choose).to_have_attribute("aria-disabled", "false")
    choose.click()
    at(page, 2)
    expect(choose).to_have_attribute("aria-disabled", "true")
    assert page.get_by_role("progressbar").first.evaluate("bar => bar.value") == 1


def test_it_works_by_keyboard_keeps_answers_and_saves_what_the_command_reads(
    page, folder, tmp_path
):
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # begins
    at(page, 1)
    answer(page, "a")
    at(page, 2)
    answer(page, "ArrowRight")
    at(page, 3)
    text = page.locator("#text").inner_text()
    page.reload()
    at(page, 3)
    assert page.locator("#text").inner_text() == text
    assert page.locator("#progress").evaluate("bar => bar.value / bar.max") == 2 / TRIALS
    for key in ("b", "ArrowLeft", "a"):
        answer(page, key)
    expect(page.get_by_role("heading", name="Thank you, that was all")).to_be_visible()
    page.reload()
    with page.expect_download() as download:
        page.get_by_role("button", name="Save my answers").click()
    expect(page.locator("#saved")).to_contain_text(download.value.suggested_filename)
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    data = json.loads(path.read_text())
    assert [entry["choice"] for entry in data["answers"]] == ["A", "B", "B", "A", "A"]
    assert all(entry["plays"] == {"A": 1, "B": 1} for entry in data["answers"])
    seconds = {trial.number: trial.seconds for trial in Study.read(folder).trials}
    assert all(entry["seconds"] >= seconds[entry["trial"]] for entry in data["answers"])
    out = tmp_path / "out"
    assert main(["listening", "results", str(folder), str(path), "--out", str(out)]) == 0
    (rater,) = json.loads((out / "results.json").read_text())["raters"]
    assert rater["answered"] == TRIALS
    assert rater["hasty"] == 0


def test_answers_so_far_can_be_saved(page):
    begin(page)
    save = page.get_by_role("button", name="Save the answers so far")
    expect(save).to_be_hidden()
    answer(page, "a")
    at(page, 2)
    with page.expect_download() as download:
        save.click()
    assert len(json.loads(download.value.path().read_text())["answers"]) == 1


def test_another_person_begins_anew(page):
    begin(page)
    state = "JSON.parse(localStorage[Object.keys(localStorage)[0]])"
    first = page.evaluate(f"{state}.rater")
    done = "STUDY.trials.map(({trial}) => ({trial, choice: 'A', seconds: 1, plays: {A: 1, B: 1}}))"
    page.evaluate(
        f"localStorage[Object.keys(localStorage)[0]] = "
        f"JSON.stringify({{...{state}, answers: {done}}})"
    )
    page.reload()
    another = page.get_by_role("button", name="Begin anew as another person")
    expect(another).to_be_hidden()
    with page.expect_download():
        page.get_by_role("button", name="Save my answers").click()
    page.on("dialog", lambda dialog: dialog.accept())
    another.click()
    begin(page)
    assert page.evaluate(f"{state}.rater") != first


def test_raters_get_orders_of_their_own(chromium, folder):
    orders = set()
    for _ in range(5):
        context = chromium.new_context()
        page = context.new_page()
        page.goto(address(folder))
        begin(page)
        orders.add(page.locator("#text").inner_text())
        context.close()
    assert len(orders) > 1


@pytest.mark.parametrize("missing", ["audio", "trials.js"])
def test_what_is_missing_is_said(chromium, folder, tmp_path, missing):
    shutil.copytree(folder, tmp_path / "study")
    gone = tmp_path / "study" / "page" / missing
    gone.rename(tmp_path / missing)
    page = chromium.new_page()
    page.goto(address(tmp_path / "study"))
    if missing == "audio":
        page.get_by_role("button", name="Begin", exact=True).click()
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text(f"{missing}", timeout=SOON)
    expect(alert).to_contain_text("cannot be loaded")
    (tmp_path / missing).rename(gone)
    page.get_by_role("button", name="Try again").click()
    expect(alert).to_be_hidden()
    assert not page.locator("#problem").is_visible()
    page.close()


def test_it_fits_a_phone(chromium, folder):
    context = chromium.new_context(viewport=PHONE, is_mobile=True, has_touch=True)
    page = context.new_page()
    page.goto(address(folder))
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.get_by_role("button", name="Begin", exact=True).tap()
    for side in "AB":
        page.get_by_role("button", name=f"Play {side}").tap()
        expect(page.get_by_label(f"Clip {side}")).to_contain_text("✓ heard", timeout=SOON)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    for name in ("Play A", "Play B", "A fits better", "B fits better"):
        box = page.get_by_role("button", name=name).bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= PHONE["width"]
        assert box["height"] >= 44  # a finger's width
    page.get_by_role("button", name="A fits better").tap()
    at(page, 2)
    context.close()
