"""The page in a real browser: type, see, play, exclude, upload; by keyboard and on a phone."""

import socket
import threading
import time

import numpy as np
import pytest
import soundfile as sf
import uvicorn
from playwright.sync_api import expect

from negclap.app.server import build
from negclap.search import Index
from tests.music import ADAPTER, RATE, tone

PHONE = {"width": 390, "height": 800}


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A page with two models on the same music."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "adapter.py").write_text(ADAPTER)
    music = folder / "music"
    music.mkdir()
    for i in range(30):
        mixed = 0.7 * tone(i % 8, 4.0) + 0.3 * tone((i + 1 + i // 8) % 8, 4.0)
        sf.write(music / f"track{i:02d} of band{i % 8}.wav", mixed, RATE)
    indices = []
    for name in ("Pitch", "Other"):
        index = Index.create(folder / name, music, f"{folder / 'adapter.py'}:{name}")
        index.update()
        indices.append(index)
    sf.write(folder / "like.wav", tone(5, 3.0), RATE)
    (folder / "wrong.wav").write_text("no audio at all")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(build(indices, None), "127.0.0.1", port))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.1)
    yield f"http://127.0.0.1:{port}", folder
    server.should_exit = True
    thread.join(10)


@pytest.fixture
def page(chromium, address):
    opened = chromium.new_page(viewport={"width": 1200, "height": 1000})
    errors = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.goto(address[0])
    expect(opened.get_by_label("What would you like to hear?")).to_be_visible(timeout=30_000)
    yield opened
    opened.close()
    assert errors == []


def hits(page, place=0):
    return page.locator(f"#results-{place} .negclap-hits li")


def names(page, place=0):
    return page.locator(f"#results-{place} .negclap-name").all_inner_texts()


def shows(page, expected):
    page.wait_for_function(
        "all => [...document.querySelectorAll('#results-0 .negclap-name')]"
        ".map(name => name.innerText).join() === all",
        arg=",".join(expected),
    )


def ask(page, text):
    box = page.get_by_label("What would you like to hear?")
    box.fill(text)
    box.press("Enter")
    expect(hits(page)).to_have_count(10, timeout=20_000)


def test_it_begins_with_what_to_do(page):
    expect(page.locator("#results-0")).to_contain_text("Say what you would like to hear")
    page.get_by_role("tab", name="Benchmark").click()
    expect(page.get_by_text("No benchmark was given")).to_be_visible()
    assert "negclap benchmark --model MODEL" in page.locator("main, body").first.inner_text()


def test_typing_a_query_shows_tracks_of_two_models(page):
    ask(page, "3")
    assert "of band3" in names(page)[0]
    expect(page.locator("#results-0 .negclap-model")).to_have_text("adapter.py:Pitch")
    expect(hits(page, 1)).to_have_count(10)
    meter = hits(page).first.get_by_role("meter", name="similarity")
    assert 0 < float(meter.get_attribute("aria-valuenow")) <= 1


def test_a_track_is_played_from_its_window_on(page):
    ask(page, "6")
    player = hits(page).first.locator("audio")
    player.evaluate("player => player.play()")
    page.wait_for_function("document.querySelector('#results-0 audio').currentTime > 0.2")
    assert player.evaluate("player => player.duration") == pytest.approx(4.0, abs=0.1)


def test_excluding_changes_the_list_and_the_switch_changes_it_back(page):
    ask(page, "1 2")
    before = names(page)
    box = page.get_by_label("Leave out, by name")
    box.fill("2")
    box.press("Enter")
    box.press("Escape")
    expect(page.locator("#results-0")).to_contain_text("▼ from", timeout=20_000)
    without = names(page)
    assert without != before
    page.get_by_label("with them", exact=True).check()
    shows(page, before)
    page.get_by_label("without them").check()
    shows(page, without)


def test_a_file_finds_what_is_like_it(page, address):
    page.get_by_text("More like a file").click()
    page.locator("#like input[type=file]").set_input_files(address[1] / "like.wav")
    expect(hits(page)).to_have_count(10, timeout=20_000)
    assert "of band5" in names(page)[0]


def test_a_file_that_is_no_audio_gets_a_message(page, address):
    page.get_by_text("More like a file").click()
    page.locator("#like input[type=file]").set_input_files(address[1] / "wrong.wav")
    alert = page.locator("#results-0").get_by_role("alert")
    expect(alert).to_contain_text("cannot be read as audio", timeout=20_000)
    assert alert.inner_text().startswith("the file that you chose: ")
    assert hits(page).count() == 0


def test_too_long_a_text_gets_a_message(page):
    box = page.get_by_label("What would you like to hear?")
    box.fill("piano " * 200)
    box.press("Enter")
    alert = page.locator("#results-0").get_by_role("alert")
    expect(alert).to_contain_text("500 is the most", timeout=20_000)
    assert hits(page).count() == 0


def test_it_works_by_keyboard_alone(page):
    page.keyboard.type("4")  # the box has the focus
    page.keyboard.press("Enter")
    expect(hits(page)).to_have_count(10, timeout=20_000)
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.tagName") == "AUDIO":
            break
    assert page.evaluate("document.activeElement.tagName") == "AUDIO"
    page.keyboard.press("Space")
    page.wait_for_function("document.activeElement.currentTime > 0.1")


def test_it_fits_a_phone(chromium, address):
    phone = chromium.new_page(viewport=PHONE)
    phone.goto(address[0])
    ask(phone, "3")
    width = phone.evaluate("document.documentElement.scrollWidth")
    assert width <= PHONE["width"]
    box = hits(phone).first.locator("audio").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= PHONE["width"]
    picture = np.frombuffer(phone.screenshot(), np.uint8)
    assert len(picture) > 10_000
    phone.close()
