"""Write the taught model as the one that comes with negclap, in the small form.

    python experiments/built_in/finish.py runs/built-in/taught data/built-in

Its threshold, and the curves of its tags, are fitted on the validation mixes.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import torch
from train import DESCRIPTION, EXCERPT_S

from negclap.evaluation.benchmark import BenchmarkData, text_embedder
from negclap.evaluation.calibration import calibrate
from negclap.evaluation.suite import Suite
from negclap.models.checkpoint import TrainedModel
from negclap.models.exported import read_exported, write_small
from negclap.models.output import replacing_folder
from negclap.models.pretrained import BUILT_IN_FOLDER
from negclap.progress import progress
from negclap.text.vocabulary import Vocabulary

CARD = Path(__file__).with_name("card.md")


def main() -> None:
    """Write the folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("taught", type=Path)
    parser.add_argument("data", type=Path, help="folder that negclap prepare stems wrote")
    parser.add_argument("--out", type=Path, default=BUILT_IN_FOLDER)
    options = parser.parse_args()
    trained = read_exported(options.taught)
    encoder = trained.encoder()
    data = BenchmarkData.read(options.data / "manifest.jsonl", EXCERPT_S)
    split = data.encode(encoder, "validation", "", progress)
    embed = text_embedder(encoder)
    with torch.inference_mode():
        values = (
            Suite(len(split.audio), 1)
            .run(
                split.exam, split.audio, split.twin_audio, lambda s: embed([one.text for one in s])
            )
            .values
        )
    vocabulary = Vocabulary.load(options.data / "vocabulary.json")
    cosines = (split.audio @ embed(vocabulary.names).T).numpy()
    curves = calibrate(cosines, vocabulary.names, split.exam.tracks)
    description = replace(DESCRIPTION, threshold=values["threshold"], curves=curves)
    with replacing_folder(options.out) as folder:
        write_small(TrainedModel(trained.model, description, {}), folder)
        (folder / "README.md").write_text(CARD.read_text(encoding="utf-8"), encoding="utf-8")


if __name__ == "__main__":
    main()
