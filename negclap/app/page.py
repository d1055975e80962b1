"""The page: a search box, exclusions, a switch, players, and the benchmark's pictures."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from negclap.app.cards import START, cards, movements, note, problem
from negclap.errors import InputError
from negclap.search import Hit, Index

LONGEST_TEXT = 500  # characters
_SHOWN, _COMPARED = 10, 200
WITH, WITHOUT = "with them", "without them"
_SUGGESTED = ("vocals", "drums", "piano", "guitar", "violin", "flute", "synthesizer")


class Finder:
    """Answers what the page asks; one question at a time.

    Args:
        indices: By name, at most two.
    """

    def __init__(self, indices: dict[str, Index]) -> None:
        self.indices = indices
        self._turn = threading.Lock()

    def find(
        self, text: str | None, excluded: Sequence[str], switch: str, like: str | None
    ) -> list[str]:
        """The results of each index as HTML.

        Args:
            text: What is wanted, or nothing.
            excluded: What is not, by name.
            switch: `WITH` shows the ranking with what is excluded, `WITHOUT` without.
            like: An audio file.
        """
        text = (text or "").strip()
        if not text and not like:
            return [note(START)] * len(self.indices)
        longest = max([len(text), *map(len, excluded)])
        if longest > LONGEST_TEXT:
            message = f"{longest} characters are too many, {LONGEST_TEXT} is the most."
            return [problem(message)] * len(self.indices)
        with self._turn:
            return [
                self._answer(place, text, excluded, switch, like)
                for place in range(len(self.indices))
            ]

    def _answer(
        self, place: int, text: str, excluded: Sequence[str], switch: str, like: str | None
    ) -> str:
        name, index = list(self.indices.items())[place]
        files = [Path(like)] if like else []

        def ranked(names: Sequence[str]) -> list[Hit]:
            return index.search(text or None, _COMPARED, list(names), files)

        try:
            plain = ranked(())
            if not excluded:
                return cards(name, plain[:_SHOWN], [""] * len(plain[:_SHOWN]), place)
            reduced = ranked(excluded)
        except InputError as error:
            return problem(str(error).replace(str(like), "the file that you chose"))
        here, there = (reduced, plain) if switch == WITHOUT else (plain, reduced)
        return cards(name, here[:_SHOWN], movements(here[:_SHOWN], there), place)


def page(finder: Finder, benchmark: Path | None) -> Any:
    """The page of a finder.

    Args:
        finder: Answers.
        benchmark: Folder that `negclap benchmark --out` wrote, for its tab.

    Returns:
        Gradio's Blocks.
    """
    blocks = gr.Blocks(title="negclap", analytics_enabled=False)
    with blocks, gr.Column(elem_classes="negclap-page"):
        gr.Markdown("# negclap\nYour music, by what it is and is not.")
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
        label="Leave out, by name",
        elem_id="excluded",
    )
    switch = gr.Radio([WITH, WITHOUT], value=WITHOUT, label="Show the ranking", elem_id="switch")
    with gr.Accordion("More like a file", open=False):
        like = gr.File(label="An audio file", file_types=["audio"], elem_id="like")
    with gr.Row(equal_height=False):
        results = [
            gr.HTML(note(START), elem_id=f"results-{place}", min_width=300)
            for place in range(len(finder.indices))
        ]
    asked: list[Any] = [text, excluded, switch, like]
    changes = [text.submit, excluded.change, switch.change, like.change]
    gr.on(changes, finder.find, asked, results, show_progress="minimal", api_name="find")


def _benchmark_tab(folder: Path | None) -> None:
    table = folder and folder / "table.md"
    if not folder or not table or not table.is_file():
        gr.HTML(
            note(
                "No benchmark was given. Make one with negclap benchmark --model MODEL --out "
                "FOLDER, then open the page with --benchmark FOLDER."
            )
        )
        return
    for picture in [folder / "comparison.png", *sorted(folder.glob("pictures/*.png"))]:
        if picture.is_file():
            gr.Image(str(picture), label=picture.stem, interactive=False)
    gr.Markdown(table.read_text(encoding="utf-8"))
