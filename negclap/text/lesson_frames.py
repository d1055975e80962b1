"""Frames of lessons: how affirmations and denials are put together. Data for `lessons`.

"{a}" is an affirmation, "{d}" a denial, "{n}" the names that are denied. A frame that is listed
twice is used twice as often.
"""

JOINERS = (
    *(" with ", " with ", " featuring ", " for ", " including ", " using ", " plus "),
    *(" full of ", " built on ", " and ", ", just ", ", lots of "),
)
PHRASE_FRAMES = (
    *("{a}, {d}", "{a}, {d}", "{a} {d}", "{a} {d}", "{d}, {a}", "{d} {a}", "{a} - {d}"),
    *("{a} ({d})", "{a} and {d}", "{a}; {d}", "{a}, but {d}", "{a}. {d}.", "{d}. {a}."),
)
CLAUSE_FRAMES = (
    *("{a}, {d}", "{a}. {d}.", "{a}. {d}.", "{d}. {a}.", "{d}: {a}", "{a}; {d}", "{a} and {d}"),
    *("{a} - {d}", "{a}, but {d}", "{d}, {a}"),
)
ALONE = (
    *("{d}", "{d}", "music {d}", "a track {d}", "something {d}", "anything {d}", "a song {d}"),
    *("a piece, {d}", "music, {d}"),
)
BEFORE_NOUN = ("{d} music", "{d} music", "a {d} piece", "{d} song", "{d} track", "something {d}")
CONTRASTS = (
    *("{a} but not {n}", "not {n} but {a}", "no {n} but {a}", "{a} instead of {n}"),
    *("{a} rather than {n}", "neither {n} nor anything like it, just {a}", "{a}, never {n}"),
    *("no {n}, with {a}", "no {n}, only {a}", "{a} in place of {n}", "{a} and not {n}"),
)
PRESENT = ("plenty of {}", "lots of {}", "{} only", "{} music", "a song with {}", "solo {}")
REQUESTS = (
    *("play {}", "I want {}", "looking for {}", "can I get {}?", "give me {}", "find me {}"),
    *("I need {}", "please play {}", "{} please", "do you have {}?", "something like {}"),
    *("{} for my video", "in the mood for {}", "recommend me {}", "any {}?", "I would like {}"),
)
FILLERS = (
    *("It could be used in a film.", "The recording quality is good.", "It was made at home."),
    *("This could play in a cafe.", "The mood is the same throughout.", "It is a live take."),
    *("The piece repeats a short theme.", "It is suited for a commercial.", "It lasts a while."),
)
PLAIN = ("music", "a piece of music", "a song", "a track", "sound", "some music", "a recording")
ALSO = ("more than one {}", "lots of {}", "{} only", "just {}", "a {} piece", "{} and more")
