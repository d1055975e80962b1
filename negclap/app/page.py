"""The search page: query, exclusions, two rankings to compare, players, benchmark results."""

import threading
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import gradio as gr

from negclap.app.cards import HINT, cards, find_movements, note, problem
from negclap.errors import InputError
from negclap.search import Hit, Searchable
from negclap.text.rewrite import split_negations
from negclap.text.tag_list import everyday_terms
from negclap.text.vocabulary import Vocabulary

LONGEST_TEXT = 500  # characters
_SHOWN, _COMPARED = 10, 200
BEFORE, AFTER = "before the exclusion", "after the exclusion"
_SUGGESTED = ("vocals", "drums", "piano", "guitar", "violin", "flute", "synthesizer")


class Finder:
    """The searches of the page, one at a time.

    Args:
        indices: At most two indices by the names of their models.
    """

    def __init__(self, indices: Mapping[str, Searchable]) -> None:
        self.indices = indices
        self._lock = threading.Lock()

    def find(
        self, text: str | None, excluded: Sequence[str], ranking: str, like: str | None
    ) -> list[str]:
        """Return the results of each index as HTML.

        Args:
            text: The query text, if any.
            excluded: Names to exclude.
            ranking: The ranking to show, `BEFORE` or `AFTER` the exclusion.
            like: Path of an audio file that the tracks should resemble, if any.
        """
        text = (text or "").strip()
        if not text and not like:
            return [note(HINT)] * len(self.indices)
        longest = max([len(text), *map(len, excluded)])
        if longest > LONGEST_TEXT:
            message = f"The text is too long: {longest} characters, at most {LONGEST_TEXT} allowed."
            return [problem(message)] * len(self.indices)
        with self._lock:
            return [
                self._results(place, text, excluded, ranking, like)
                for place in range(len(self.indices))
            ]

    def _results(
        self, place: int, text: str, excluded: Sequence[str], ranking: str, like: str | None
    ) -> str:
        name, index = list(self.indices.items())[place]
        files = [Path(like)] if like else []

        def search(without: Sequence[str]) -> list[Hit]:
            return index.search(text or None, _COMPARED, list(without), files)

        try:
            before = search(())
            unread = index.model.unread(text)
            reading = read_query(text) + (f" Too long, not read: {unread}" if unread else "")
            if not excluded:
                return cards(name, before[:_SHOWN], [""] * len(before[:_SHOWN]), place, reading)
            after = search(excluded)
        except InputError as error:
            return problem(str(error).replace(str(like), "the uploaded file"))
        shown, other = (after, before) if ranking == AFTER else (before, after)
        return cards(name, shown[:_SHOWN], find_movements(shown[:_SHOWN], other), place, reading)


def read_query(text: str) -> str:
    """Return what a query excludes in words: "read as: calm piano; without drums"; "" if nothing.

    The model embeds the whole text; this only shows what the words say.
    """
    affirmed, negated = split_negations(text, _terms())
    return f"Read as: {affirmed}; without {', '.join(negated)}." if negated else ""


@cache
def _terms() -> Vocabulary:
    return everyday_terms()


def build_page(finder: Finder, benchmark: Path | None) -> Any:
    """Build the page.

    Args:
        finder: Runs the searches.
        benchmark: Folder of ``negclap benchmark --out``, shown in a tab of its own.

    Returns:
        Gradio's Blocks.
    """
    blocks = gr.Blocks(title="negclap", analytics_enabled=False)
    with blocks, gr.Column(elem_classes="negclap-page"):
        gr.Markdown("# negclap\nSearch your music for what it contains, and for what it does not.")
        with gr.Tab("Search"):
            _search_tab(finder)
        with gr.Tab("Benchmark"):
            _benchmark_tab(benchmark)
    return blocks


def _search_tab(finder: Finder) -> None:
    text = gr.Textbox(
        label="What would you like to hear?",
        placeholder="calm piano without drums",
        autofocus=True,
        submit_btn="Search",
        elem_id="query",
    )
    excluded = gr.Dropdown(
        list(_SUGGESTED),
        multiselect=True,
        allow_custom_value=True,
        label="Exclude (choose, or type your own)",
        elem_id="excluded",
    )
    ranking = gr.Radio([BEFORE, AFTER], value=AFTER, label="Show the ranking", elem_id="ranking")
    with gr.Accordion("Find music similar to a file", open=False):
        like = gr.File(label="Audio file", file_types=["audio", ".npy"], elem_id="like")
    with gr.Row(equal_height=False):
        results = [
            gr.HTML(note(HINT), elem_id=f"results-{place}", min_width=300)
            for place in range(len(finder.indices))
        ]
    inputs: list[Any] = [text, excluded, ranking, like]
    events = [text.submit, excluded.change, ranking.change, like.change]
    gr.on(events, finder.find, inputs, results, show_progress="minimal", api_name="find")


def _benchmark_tab(folder: Path | None) -> None:
    table = folder and folder / "table.md"
    if not folder or not table or not table.is_file():
        gr.HTML(
            note(
                "No benchmark results. Run negclap benchmark --model MODEL --out DIR, then start "
                "the page with --benchmark DIR."
            )
        )
        return
    for picture in [folder / "comparison.png", *sorted(folder.glob("pictures/*.png"))]:
        if picture.is_file():
            gr.Image(str(picture), label=picture.stem, interactive=False)
    gr.Markdown(table.read_text(encoding="utf-8"))
