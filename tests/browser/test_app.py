"""The search page in a browser: query, exclude, play, upload; by keyboard and on a phone."""

import socket
import threading

import pytest
import soundfile as sf
import uvicorn
from playwright.sync_api import expect

from negclap.app.server import build, open_columns
from negclap.search import Index
from tests.music import ADAPTER, RATE, tone

PHONE = {"width": 390, "height": 800}


class Server(uvicorn.Server):
    """A server that says when it has started."""

    def __init__(self, application):
        super().__init__(uvicorn.Config(application))
        self.ready = threading.Event()

    async def startup(self, sockets=None):
        try:
            await super().startup(sockets)
        finally:
            self.ready.set()


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """URL of a page with two models on one index, and the folder of the test files."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "adapter.py").write_text(ADAPTER)
    music = folder / "music"
    music.mkdir()
    for i in range(30):
        mixed = 0.7 * tone(i % 8, 4.0) + 0.3 * tone((i + 1 + i // 8) % 8, 4.0)
        sf.write(music / f"track{i:02d} of band{i % 8}.wav", mixed, RATE)
    own, taught = (f"{folder / 'adapter.py'}:{name}" for name in ("Pitch", "Other"))
    Index.create(folder / "index", music, own).update()
    sf.write(folder / "like.wav", tone(5, 3.0), RATE)
    (folder / "wrong.wav").write_text("not audio")
    server = Server(build(open_columns([folder / "index"], taught), None))
    with socket.create_server(("127.0.0.1", 0)) as free:
        thread = threading.Thread(target=server.run, args=([free],))
        thread.start()
        server.ready.wait()
        assert server.started
        yield f"http://127.0.0.1:{free.getsockname()[1]}", folder
        server.should_exit = server.force_exit = True
        thread.join()


@pytest.fixture
def page(open_page, address):
    page = open_page(address[0], viewport={"width": 1200, "height": 1000})
    expect(query(page)).to_be_visible()
    return page


def query(page):
    return page.get_by_label("What would you like to hear?")


def hits(page, place=0):
    return page.locator(f"#results-{place} .negclap-hits li")


def names(page, place=0):
    return page.locator(f"#results-{place} .negclap-name").all_inner_texts()


def expect_names(page, expected):
    page.wait_for_function(
        "all => [...document.querySelectorAll('#results-0 .negclap-name')]"
        ".map(name => name.innerText).join() === all",
        arg=",".join(expected),
    )


def ask(page, text):
    box = query(page)
    box.fill(text)
    box.press("Enter")
    expect(hits(page)).to_have_count(10)


def test_the_page_starts_with_a_hint(page):
    expect(page.locator("#results-0")).to_contain_text("Describe the music you want to hear")
    page.get_by_role("tab", name="Benchmark").click()
    expect(page.get_by_text("No benchmark results")).to_be_visible()
    assert "negclap benchmark --model MODEL" in page.locator("main, body").first.inner_text()


def test_a_query_shows_tracks_of_both_models(page):
    ask(page, "3")
    assert "of band3" in names(page)[0]
    expect(page.locator("#results-0 .negclap-model")).to_have_text("adapter.py:Pitch")
    expect(page.locator("#results-1 .negclap-model")).to_have_text("adapter.py:Other")
    expect(hits(page, 1)).to_have_count(10)
    meter = hits(page).first.get_by_role("meter", name="similarity")
    assert 0 < float(meter.get_attribute("aria-valuenow")) <= 1


def test_a_track_can_be_played(page):
    ask(page, "6")
    player = hits(page).first.locator("audio")
    player.evaluate("player => player.play()")
    page.wait_for_function("document.querySelector('#results-0 audio').currentTime > 0.2")
    assert player.evaluate("player => player.duration") == pytest.approx(4.0, abs=0.1)


def test_an_exclusion_changes_the_ranking_and_both_rankings_can_be_shown(page):
    ask(page, "1 2")
    before = names(page)
    box = page.get_by_label("Exclude")
    box.fill("2")
    box.press("Enter")
    box.press("Escape")
    expect(page.locator("#results-0")).to_contain_text("▼ from")
    after = names(page)
    assert after != before
    page.get_by_label("before the exclusion").check()
    expect_names(page, before)
    page.get_by_label("after the exclusion").check()
    expect_names(page, after)


def test_an_uploaded_file_finds_similar_tracks(page, address):
    page.get_by_text("Find music similar to a file").click()
    page.locator("#like input[type=file]").set_input_files(address[1] / "like.wav")
    expect(hits(page)).to_have_count(10)
    assert "of band5" in names(page)[0]


def test_an_upload_that_is_not_audio_gives_a_message(page, address):
    page.get_by_text("Find music similar to a file").click()
    page.locator("#like input[type=file]").set_input_files(address[1] / "wrong.wav")
    alert = page.locator("#results-0").get_by_role("alert")
    expect(alert).to_contain_text("cannot be read as audio")
    assert alert.inner_text().startswith("the uploaded file: ")
    assert hits(page).count() == 0


def test_a_text_that_is_too_long_gives_a_message(page):
    box = query(page)
    box.fill("piano " * 200)
    box.press("Enter")
    alert = page.locator("#results-0").get_by_role("alert")
    expect(alert).to_contain_text("at most 500 allowed")
    assert hits(page).count() == 0


def test_the_page_works_with_the_keyboard_alone(page):
    expect(query(page)).to_be_focused()
    page.keyboard.type("4")
    page.keyboard.press("Enter")
    expect(hits(page)).to_have_count(10)
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.tagName") == "AUDIO":
            break
    assert page.evaluate("document.activeElement.tagName") == "AUDIO"
    page.keyboard.press("Space")
    page.wait_for_function("document.activeElement.currentTime > 0.1")


def test_the_page_fits_a_phone(open_page, address):
    page = open_page(address[0], viewport=PHONE)
    ask(page, "3")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    box = hits(page).first.locator("audio").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= PHONE["width"]
