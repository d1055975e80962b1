"""The exam of a manifest's split: what training, `negclap test` and `negclap benchmark` ask."""

from collections.abc import Sequence

from negclap.data.manifest import Track, first_told
from negclap.errors import InputError
from negclap.evaluation.exam import Exam, TwinClip, build_exam
from negclap.text.vocabulary import Vocabulary


def make_exam(
    tracks: Sequence[Track],
    twins: Sequence[Track],
    vocabulary: Vocabulary,
    seed: int,
    by_cue: bool = True,
) -> Exam:
    """The exam of ``tracks``, each asked about by its first caption that does not invent.

    Args:
        tracks: Tracks of one split.
        twins: Their counterfactual twins; ``meta`` names ``twin_of`` and ``toggled``. A twin whose
            track is not among ``tracks`` is not asked about.
        vocabulary: The tags.
        seed: All randomness.
        by_cue: Whether questions are also asked with each cue.

    Raises:
        InputError: If a twin does not say what it is a twin of.
    """
    place = {track.track_id: index for index, track in enumerate(tracks)}
    captions = [first_told(track) for track in tracks]
    clips = [_twin(track, place) for track in twins]
    return build_exam(tracks, captions, vocabulary, seed, twins=clips, by_cue=by_cue)


def _twin(track: Track, place: dict[str, int]) -> TwinClip:
    try:
        return TwinClip(track, place.get(track.meta["twin_of"]), track.meta["toggled"])
    except KeyError as missing:
        raise InputError(
            f"twin {track.track_id!r} of split {track.split!r} has no {missing} in its meta"
        ) from None
