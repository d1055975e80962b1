"""The raters' page of a listening study, opened from disk: play, choose, reload, save."""

import json
import shutil

import pytest
from playwright.sync_api import expect

from negclap.cli import main
from negclap.listening.study import Study
from tests.music import ADAPTER

PHONE = {"width": 390, "height": 800}
TRIALS = 5  # one per level, and a check twice
ANSWERS = "JSON.parse(localStorage[Object.keys(localStorage)[0]])"


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
def page(open_page, folder):
    page = open_page(address(folder), viewport={"width": 1200, "height": 900})
    yield page
    assert all(url.startswith(("file:", "blob:", "data:")) for url in page.requested)


def start_button(page):
    return page.get_by_role("button", name="Start", exact=True)


def start(page):
    start_button(page).click()
    expect_trial(page, 1)


def expect_trial(page, number):
    expect(page.locator("#place")).to_have_text(f"{number} of {TRIALS}")


def play(page, *keys):
    for key in keys:
        page.keyboard.press(key)
        status = page.locator(".played").nth("12".index(key))
        expect(status).to_contain_text("✓ finished")


def answer(page, key):
    play(page, "1", "2")
    page.keyboard.press(key)


def test_the_page_starts_with_instructions(page):
    expect(page.get_by_role("heading", name="Which clip fits the text?")).to_be_visible()
    expect(page.locator("#welcome")).to_contain_text(f"You will read {TRIALS} short descriptions")
    assert not page.locator("#trial").is_visible()


def test_no_choice_is_possible_before_both_clips_were_played(page):
    start(page)
    choose = page.get_by_role("button", name="B fits better")
    for keys in ((), ("1",)):
        play(page, *keys)
        expect(choose).to_have_attribute("aria-disabled", "true")
        page.keyboard.press("b")
        choose.click(force=True)
        expect(page.get_by_role("status").first).to_contain_text("Please play both clips")
        expect_trial(page, 1)
    play(page, "2")
    expect(choose).to_have_attribute("aria-disabled", "false")
    choose.click()
    expect_trial(page, 2)
    expect(choose).to_have_attribute("aria-disabled", "true")
    assert page.get_by_role("progressbar").first.evaluate("bar => bar.value") == 1


def test_answers_by_keyboard_survive_a_reload_and_are_saved(page, folder, tmp_path):
    page.keyboard.press("Tab")
    expect(start_button(page)).to_be_focused()
    page.keyboard.press("Enter")
    expect_trial(page, 1)
    answer(page, "a")
    expect_trial(page, 2)
    answer(page, "ArrowRight")
    expect_trial(page, 3)
    text = page.locator("#text").inner_text()
    page.reload()
    expect_trial(page, 3)
    assert page.locator("#text").inner_text() == text
    assert page.locator("#progress").evaluate("bar => bar.value / bar.max") == 2 / TRIALS
    for key in ("b", "ArrowLeft", "a"):
        answer(page, key)
    expect(page.get_by_role("heading", name="Thank you, you have finished")).to_be_visible()
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


def test_partial_answers_can_be_saved(page):
    start(page)
    save = page.get_by_role("button", name="Save my answers so far")
    expect(save).to_be_hidden()
    answer(page, "a")
    expect_trial(page, 2)
    with page.expect_download() as download:
        save.click()
    assert len(json.loads(download.value.path().read_text())["answers"]) == 1


def test_another_person_can_start_again(page):
    start(page)
    first = page.evaluate(f"{ANSWERS}.rater")
    done = "STUDY.trials.map(({trial}) => ({trial, choice: 'A', seconds: 1, plays: {A: 1, B: 1}}))"
    page.evaluate(
        f"localStorage[Object.keys(localStorage)[0]] = "
        f"JSON.stringify({{...{ANSWERS}, answers: {done}}})"
    )
    page.reload()
    another = page.get_by_role("button", name="Start again as another person")
    expect(another).to_be_hidden()
    with page.expect_download():
        page.get_by_role("button", name="Save my answers").click()
    page.on("dialog", lambda dialog: dialog.accept())
    another.click()
    start(page)
    assert page.evaluate(f"{ANSWERS}.rater") != first


def test_raters_get_different_orders(open_page, folder):
    page = open_page(address(folder))
    firsts = set()
    for number in range(5):
        page.add_init_script(f"crypto.getRandomValues = (bytes) => bytes.fill({number})")
        page.evaluate("localStorage.clear()")
        page.reload()
        start(page)
        assert page.evaluate(f"{ANSWERS}.rater").startswith(f"0{number}")
        firsts.add(page.locator("#text").inner_text())
    assert len(firsts) > 1


@pytest.mark.parametrize("missing", ["audio", "trials.js"])
def test_a_missing_file_is_reported(open_page, folder, tmp_path, missing):
    shutil.copytree(folder, tmp_path / "study")
    gone = tmp_path / "study" / "page" / missing
    gone.rename(tmp_path / missing)
    page = open_page(address(tmp_path / "study"))
    if missing == "audio":
        start_button(page).click()
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text(missing)
    expect(alert).to_contain_text("could not be loaded")
    (tmp_path / missing).rename(gone)
    page.get_by_role("button", name="Try again").click()
    expect(alert).to_be_hidden()
    if missing == "trials.js":
        start_button(page).click()
    expect_trial(page, 1)
    assert not alert.is_visible()


def test_the_page_fits_a_phone(open_page, folder):
    page = open_page(address(folder), viewport=PHONE, is_mobile=True, has_touch=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    start_button(page).tap()
    for side in "AB":
        page.get_by_role("button", name=f"Play {side}").tap()
        expect(page.get_by_label(f"Clip {side}")).to_contain_text("✓ finished")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    for name in ("Play A", "Play B", "A fits better", "B fits better"):
        box = page.get_by_role("button", name=name).bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= PHONE["width"]
        assert box["height"] >= 44  # large enough to tap
    page.get_by_role("button", name="A fits better").tap()
    expect_trial(page, 2)
