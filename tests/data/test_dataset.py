from collections import Counter
from dataclasses import fields, replace
from functools import partial

import numpy as np
import pytest
import soundfile as sf
import torch

from negclap.audio import AudioError, as_waveform
from negclap.data.batch import Clip, ClipTexts, ExclusionTexts, collate, stack_waveforms
from negclap.data.dataset import ClipDataset, Excerpts
from negclap.data.loading import PlanLoader, PlanSampler
from negclap.data.manifest import Caption, Track
from negclap.data.tracks import Tracks
from negclap.data.training_texts import Exclude, Insert, TrainingTexts
from negclap.errors import InputError
from negclap.models.text_encoders import TextEncoder
from negclap.text.cues import MORE_CUES
from negclap.text.vocabulary import Tag, Vocabulary
from negclap.training.datamodule import NegClapDataModule
from tests.reading import claims_by_cue

RATE = 16_000


def characters(texts):
    """A tokenizer without a model: code points, padded."""
    longest = max(map(len, texts))
    ids = torch.tensor([[ord(c) for c in text.ljust(longest)] for text in texts])
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


ALL_KINDS = frozenset({"levels", "absence", "exclusion", "falsehoods"})


def training_texts(vocabulary, insert=None, exclude=None, kinds=ALL_KINDS):
    return TrainingTexts(vocabulary, insert or Insert(), exclude or Exclude(), seed=7, kinds=kinds)


def training_set(chorales, tracks, on_bad_audio="error", root=None):
    clips = [track for track in tracks if track.split == "train"]
    texts = training_texts(Vocabulary.load(chorales / "vocabulary.json"), Insert(p=0.6))
    clips, root = Tracks.of(clips), str(root or chorales)
    return ClipDataset(clips, root, Excerpts(RATE, 4.0, 7), texts, on_bad_audio)


def run_epochs(dataset, workers, epochs):
    sampler = PlanSampler(len(dataset), 16, 0, 1, seed=7)
    loader = PlanLoader.of(dataset, sampler, workers, partial(collate, tokenize=characters))
    seen = []
    for epoch in epochs:
        sampler.set_epoch(epoch)
        seen.append(list(loader))
    return seen


@pytest.mark.parametrize("workers", [1, 4])
def test_workers_do_not_change_items_and_epochs_do(chorales, tracks, workers):
    dataset = training_set(chorales, tracks)
    alone, together = run_epochs(dataset, 0, [0, 1]), run_epochs(dataset, workers, [0, 1])
    for one, other in zip(alone, together, strict=True):
        for a, b in zip(one, other, strict=True):
            assert a.track_ids == b.track_ids
            assert torch.equal(a.waveform, b.waveform)
            assert torch.equal(a.tokens["input_ids"], b.tokens["input_ids"])
            assert torch.equal(a.text_keys, b.text_keys)
    first, second = (
        {
            track: wave
            for batch in epoch
            for track, wave in zip(batch.track_ids, batch.waveform, strict=True)
        }
        for epoch in together
    )
    both = first.keys() & second.keys()
    assert sum(torch.equal(first[track], second[track]) for track in both) == 0
    assert [b.track_ids for b in together[0]] != [b.track_ids for b in together[1]]


def test_an_item_does_not_depend_on_how_the_epoch_was_reached(chorales, tracks):
    dataset = training_set(chorales, tracks)
    straight = run_epochs(dataset, 0, [5])[0]
    after_others = run_epochs(dataset, 2, [0, 3, 5])[2]
    assert all(
        torch.equal(a.waveform, b.waveform) for a, b in zip(straight, after_others, strict=True)
    )


def test_an_iteration_keeps_the_epoch_that_it_began_in():
    sampler = PlanSampler(8, 4, 0, 1, seed=0)
    sampler.set_epoch(1)
    keys = iter(sampler)
    sampler.set_epoch(2)
    assert {epoch for epoch, _ in keys} == {1}


def test_captions_and_insertions_vary_by_epoch(chorales, tracks):
    dataset = training_set(chorales, tracks)
    texts = {dataset[epoch, 0].texts.caption for epoch in range(30)}
    assert len(texts) > 5
    track = dataset.tracks[0]
    originals = {dataset[epoch, 0].texts.original for epoch in range(30)}
    assert originals <= {caption.text for caption in track.captions}


def test_excerpts_are_parts_of_the_track(chorales, tracks):
    dataset = training_set(chorales, tracks)
    whole, _ = sf.read(chorales / dataset.tracks[0].audio, dtype="float32")
    for epoch in range(5):
        start = round(dataset.excerpts.start_s(dataset.tracks[0], epoch) * RATE)
        found = as_waveform(dataset[epoch, 0].waveform)
        np.testing.assert_array_equal(found, whole[start : start + 4 * RATE])
    fixed = Excerpts(RATE, 4.0, None)
    assert {fixed.start_s(dataset.tracks[0], epoch) for epoch in range(3)} == {0.5}


@pytest.mark.parametrize("world", [1, 2, 4])
def test_plan_global_batches_do_not_depend_on_the_world_size(world):
    per_rank = 8 // world
    ranks = [PlanSampler(37, per_rank, rank, world, seed=1) for rank in range(world)]
    orders = [[index for _, index in sampler] for sampler in ranks]
    steps = [
        {i for order in orders for i in order[step * per_rank : (step + 1) * per_rank]}
        for step in range(4)
    ]
    alone = [index for _, index in PlanSampler(37, 8, 0, 1, seed=1)]
    assert steps == [set(alone[step * 8 : (step + 1) * 8]) for step in range(4)]
    assert all(len(order) == len(sampler) for order, sampler in zip(orders, ranks, strict=True))


@pytest.mark.parametrize("world", [1, 2, 3, 5])
def test_plan_evaluates_every_item_once(world):
    seen = [i for rank in range(world) for _, i in PlanSampler(37, 8, rank, world, seed=None)]
    assert sorted(seen) == list(range(37))


def test_a_batch_that_cannot_be_filled_is_refused():
    with pytest.raises(
        InputError, match=r"7 training tracks do not fill a batch of 8 on 2 processes"
    ):
        PlanSampler(7, 8, 0, 2, seed=0)


def two_tracks(folder, broken):
    wave = np.sin(np.arange(RATE * 5) / 10).astype(np.float32)
    for name in ("a", "b", "c"):
        sf.write(folder / f"{name}.wav", wave, RATE)
    for name in broken:
        (folder / f"{name}.wav").write_bytes(b"")
    return Tracks.of(
        Track(name, f"{name}.wav", 0.0, 5.0, (Caption("piano"),), ("piano",), None, "train")
        for name in ("a", "b", "c")
    )


def no_texts(track, epoch):
    return ClipTexts("")


def piano_set(folder, broken, on_bad_audio):
    return ClipDataset(
        two_tracks(folder, broken), str(folder), Excerpts(RATE, 4.0, 0), no_texts, on_bad_audio
    )


def test_bad_audio_stops_with_its_track_id(tmp_path):
    with pytest.raises(AudioError, match=r"track 'b': .*b\.wav: empty file"):
        piano_set(tmp_path, "b", "error")[0, 1]


def test_skipped_audio_is_replaced_and_counted(tmp_path):
    dataset = piano_set(tmp_path, "bc", "skip")
    clip = dataset[0, 1]
    assert (clip.index, clip.track_id) == (0, "a")
    skipped = [message.split(":")[0] for message in clip.unreadable]
    assert skipped in (["track 'b'"], ["track 'b'", "track 'c'"])
    assert dataset[0, 0].unreadable == ()


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_is_the_same_from_any_process(tmp_path, workers):
    dataset = piano_set(tmp_path, "b", "error")
    loader = PlanLoader.of(
        dataset, PlanSampler(3, 3, 0, 1, seed=0), workers, partial(collate, tokenize=characters)
    )
    with pytest.raises(AudioError, match=r"^track 'b': .*b\.wav: empty file$"):
        list(loader)


def test_nothing_readable_is_an_error(tmp_path):
    with pytest.raises(AudioError, match=r"3 tracks in a row cannot be read"):
        piano_set(tmp_path, "abc", "skip")[0, 1]


def test_tracks_shorter_than_the_excerpt_are_refused(tmp_path):
    with pytest.raises(
        InputError, match=r"track 'a' lasts 5.0 s, shorter than the excerpts of 6.0 s"
    ):
        ClipDataset(two_tracks(tmp_path, ""), "", Excerpts(RATE, 6.0, 0), no_texts)


def test_collate_encodes_each_text_once():
    wave = np.zeros(4, np.float32)
    exclusion = ExclusionTexts("a, no b", ("no a, no b", "a, b", "no a, b"))
    clips = [
        Clip(3, "x", wave, ClipTexts("a", "a", fully="not a", exclusions=(exclusion,))),
        Clip(1, "y", wave, ClipTexts("b", "a", exclusions=(ExclusionTexts("b"),)), ("bad",)),
    ]
    batch = collate(clips, characters)
    assert len(batch.text_keys) == 7
    texts = ["".join(map(chr, ids)).strip() for ids in batch.tokens["input_ids"].tolist()]

    def picked(rows):
        return [texts[i] if i >= 0 else None for i in rows.flatten().tolist()]

    rows = batch.rows
    assert picked(rows.caption) == ["a", "b"]
    assert picked(rows.original) == ["a", "a"]
    assert picked(rows.fully) == ["not a", None]
    assert picked(rows.half) == [None, None]
    assert rows.exclusions.shape == (2, 1)
    assert picked(rows.exclusions) == ["a, no b", "b"]
    assert rows.false.shape == (2, 1, 3)
    assert picked(rows.false) == [*exclusion.false, None, None, None]
    assert batch.index.tolist() == [3, 1]
    assert Counter(batch.unreadable) == {"bad": 1}
    moved = batch.to(torch.device("cpu"))
    assert torch.equal(moved.rows.fully, rows.fully)
    assert moved.track_ids == ["x", "y"]


def test_a_batch_of_mixed_samples_is_float():
    quarter = np.full(RATE, 0.25, np.float32)
    as_floats, as_numbers = (
        Clip(0, "t", wave, ClipTexts("x")) for wave in (quarter, np.full(RATE, 8192, np.int16))
    )
    assert stack_waveforms([as_numbers, as_numbers]).dtype == torch.int16
    assert stack_waveforms([as_floats, as_numbers]).unique().tolist() == [0.25]


@pytest.mark.parametrize("p", [-0.1, 1.5])
def test_insert_p_out_of_range_is_refused(p):
    with pytest.raises(InputError, match=r"data.insert.p"):
        Insert(p=p)


def given_names(texts):
    """Names of the texts that a clip has."""
    return {each.name for each in fields(texts) if getattr(texts, each.name)}


def test_texts_come_on_demand_only(chorales, tracks):
    vocabulary = Vocabulary.load(chorales / "vocabulary.json")

    def names(*kinds):
        texts = training_texts(vocabulary, kinds=frozenset(kinds))
        return set().union(*(given_names(texts(track, 0)) for track in tracks[:20]))

    assert names() == {"caption"}
    assert names("levels") == {"caption", "original", "half", "fully"}
    assert names("absence") == {"caption", "absence_true", "absence_false"}
    assert names("exclusion") == {"caption", "exclusions"}
    for kinds, count in ((("exclusion",), 0), (("exclusion", "falsehoods"), 3)):
        texts = training_texts(vocabulary, kinds=frozenset(kinds))
        (exclusion,) = texts(tracks[0], 0).exclusions
        assert len(exclusion.false) == count


def test_a_clip_can_have_several_exclusions(chorales, tracks):
    vocabulary = Vocabulary.load(chorales / "vocabulary.json")
    kinds = frozenset({"exclusion", "falsehoods"})
    texts = training_texts(vocabulary, exclude=Exclude(per_clip=3), kinds=kinds)
    exclusions = texts(tracks[0], 0).exclusions
    assert len({exclusion.true for exclusion in exclusions}) == 3
    assert all(len(exclusion.false) == 3 for exclusion in exclusions)


@pytest.mark.parametrize("words", ["seen", "many"])
def test_absence_texts_are_true_and_false_of_the_clip(chorales, tracks, words):
    vocabulary = Vocabulary.load(chorales / "vocabulary.json")
    exclude = Exclude(words=words)
    texts = training_texts(vocabulary, exclude=exclude, kinds=frozenset({"absence"}))
    seen = 0
    for track in tracks:
        given = texts(track, 0)
        for text, truth in ((given.absence_true, True), (given.absence_false, False)):
            if text is not None:
                seen += 1
                claims = claims_by_cue(text, vocabulary)
                assert all(has == (tag in track.tags) for tag, has in claims.items()) == truth
    assert seen > len(tracks)


def test_many_words_are_used_where_they_are_asked_for(chorales, tracks):
    vocabulary = Vocabulary.load(chorales / "vocabulary.json")

    def written(words):
        kinds = frozenset({"absence", "exclusion"})
        texts = training_texts(vocabulary, exclude=Exclude(words=words), kinds=kinds)
        given = [texts(track, epoch) for epoch in range(3) for track in tracks]
        return {
            "exclusions": " ".join(each.exclusions[0].true for each in given),
            "absence": " ".join(each.absence_true or "" for each in given),
        }

    for role, text in written("many").items():
        for cue in MORE_CUES:
            assert cue.template.replace("{}", "").strip() in text, (role, cue.name)
    for text in written("seen").values():
        for word in ("excluding", "w/o", "absent", "non-", "-led"):
            assert word not in text


def test_a_share_of_the_captions_negates(chorales, tracks):
    vocabulary = Vocabulary.load(chorales / "vocabulary.json")
    texts = training_texts(vocabulary, exclude=Exclude(share=0.5), kinds=frozenset())
    claims = [
        claims_by_cue(texts(track, epoch).caption, vocabulary)
        for epoch in range(3)
        for track in tracks
    ]
    negating = sum(not all(made.values()) for made in claims) / len(claims)
    assert 0.35 < negating < 0.55  # a half, less the lexicalised ones


def test_where_absence_is_not_known_nothing_related_is_denied(vocabulary):
    track = Track(
        "t", "t.wav", 0.0, 5.0, (Caption("guitar", "human"),), ("guitar", "slow"), None, "train", {}
    )
    texts = training_texts(vocabulary, exclude=Exclude(absent_from="tags"))
    for epoch in range(50):
        text = texts(track, epoch).exclusions[0].true.replace("instrumental", "no vocals,")
        denied = [tag for tag, has in claims_by_cue(text, vocabulary).items() if not has]
        assert denied
        assert not {"electric guitar", "guitar", "slow"} & set(denied)


@pytest.mark.parametrize("start", ["", "a piano and "])
def test_negations_of_a_long_caption_are_read(start):
    encoder = TextEncoder(scratch=(16, 1))
    filling = "a warm and slow piece of music that goes on and on in a large room, " * 4
    caption = f"{start}{filling}{filling}with drums and a cello"
    vocabulary = Vocabulary((Tag("piano"), Tag("drums"), Tag("cello"), Tag("guitar")))
    captions = (Caption(caption, "ground_truth"),)
    track = Track("long", "a.wav", 0.0, 10.0, captions, ("drums",), ("guitar",), "train", {})
    base = training_texts(vocabulary, Insert(p=1.0), kinds=frozenset({"levels"}))
    texts = replace(base, unread=encoder.unread)

    def tokens(text):
        return encoder.tokenize([text])["input_ids"].tolist()

    if not start:  # what is wrong without it: the dissimilarity of a text to itself
        assert tokens(base(track, 0).original) == tokens(base(track, 0).fully)
    for epoch in range(20):
        made = texts(track, epoch)
        assert (
            tokens(made.original)[0][:-4] == tokens(caption)[0][: len(tokens(made.original)[0]) - 4]
        )
        assert tokens(made.caption) != tokens(made.original)
        if start:
            assert tokens(made.fully) != tokens(made.original)
        else:
            assert made.fully is None


def test_captions_that_are_cut_are_counted(chorales):
    data = NegClapDataModule(
        str(chorales / "manifest.jsonl"), RATE, characters, unread=lambda text: text[25:]
    )
    with pytest.warns(UserWarning, match=r"\d+ of \d+ captions of \d+ training tracks are longer"):
        data.setup("fit")
