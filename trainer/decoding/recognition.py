"""Words recognised from senones' log-likelihoods, and how many of them are wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from softstore.corpus import Corpus
from softstore.errors import InvalidInputError, NotFoundError
from trainer.decoding.grammar import RESERVED
from trainer.decoding.graph import decoding_graph
from trainer.decoding.lexicon import Lexicon
from trainer.decoding.libraries import require_libraries
from trainer.decoding.likelihoods import Likelihoods
from trainer.decoding.ngram import witten_bell
from trainer.decoding.search import NARROW, Decoder, Setting
from trainer.decoding.texts import texts_of
from trainer.decoding.topology import move_costs
from trainer.decoding.tuning import tune
from trainer.decoding.word_errors import WordErrors, word_errors
from trainer.senones import SenoneTree

TRAIN, TUNED_ON = "train", "cv"

TUNING_UTTERANCES = 100
"""Of a larger split, so many, evenly spaced, are decoded at every setting."""

TOPOLOGY_UTTERANCES = 2000
"""Of training; more tell no more of how states follow one another."""

Progress = Callable[[str, int, int], None]
"""Called with (stage, utterances done, utterances to do)."""


@dataclass(frozen=True, slots=True)
class Recognition:
    """What was recognised of one split.

    Attributes:
        setting: tuned on `TUNED_ON`.
        heard: words by utterance id.
    """

    setting: Setting
    errors: WordErrors
    heard: dict[str, list[str]]

    def to_json(self) -> dict[str, Any]:
        heard = {utterance_id: " ".join(words) for utterance_id, words in self.heard.items()}
        return {**asdict(self.errors), **asdict(self.setting), "heard": heard}


def recognise(
    corpus: Corpus,
    likelihoods: Callable[[str], Likelihoods],
    splits: Sequence[str],
    directory: Path,
    arpa: Path | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> dict[str, Recognition]:
    """Recognise the words of some splits with the corpus's lexicon, at the setting that is best on cv.

    Args:
        likelihoods: of a split; `trainer.decoding.model_likelihoods`, or anybody's.
        directory: where decoding graphs are kept.
        arpa: the language model; None: a trigram of the training texts (`trainer.decoding.ngram`).

    Raises:
        InvalidInputError: the corpus has no cv, no training texts or not the senones that its labels are of,
            the language model cannot be read, or log-likelihoods are of other senones.
        NotFoundError: there is no such language model, or the corpus has no lexicon.
        MissingDependencyError: a library is not installed.
        StorageError: the graph cannot be written.
    """
    require_libraries()
    said = {split: texts_of(corpus, split) for split in dict.fromkeys([*splits, TUNED_ON])}
    progress("Decoding graph", 0, 1)
    decoder = _recogniser(corpus, directory, arpa)
    progress("Decoding graph", 1, 1)

    tuned_on = dict(islice(said[TUNED_ON].items(), 0, None, -(-len(said[TUNED_ON]) // TUNING_UTTERANCES)))

    def tuning_utterances() -> Likelihoods:
        chosen = (each for each in _fitting(likelihoods(TUNED_ON), corpus) if each[0] in tuned_on)
        return _watched(chosen, partial(progress, f"Tuning on {TUNED_ON}"), len(tuned_on))

    setting = tune(partial(decoder, width=NARROW), tuning_utterances, tuned_on)
    best = decoder(setting)
    results = {}
    for split in splits:
        fitting = _fitting(likelihoods(split), corpus)
        utterances = _watched(fitting, partial(progress, f"Decoding {split}"), len(said[split]))
        heard = {utterance_id: best.decode(matrix) for utterance_id, matrix in utterances}
        results[split] = Recognition(setting, word_errors(said[split], heard), heard)
    return results


def _recogniser(corpus: Corpus, directory: Path, arpa: Path | None) -> partial[Decoder]:
    """`Decoder`, but for its setting."""
    senones = corpus.senones()
    tree = SenoneTree.from_json(senones["tree"])
    if tree.num_senones != corpus.class_count:
        raise InvalidInputError(
            f"{corpus.url} has labels of {corpus.class_count:,} classes, but a tree of {tree.num_senones:,} "
            "senones: its words cannot be decoded."
        )
    lexicon = Lexicon.of(
        {
            word: [tuple(phones.split()) for phones in pronunciations]
            for word, pronunciations in senones["lexicon"].items()
            if word not in RESERVED
        }
    )
    training = islice(corpus.scan(split=TRAIN), TOPOLOGY_UTTERANCES)
    costs = move_costs((utterance.labels() for utterance in training), tree)
    if arpa is None:
        text = witten_bell(texts_of(corpus, TRAIN).values(), lexicon.words)
        name = f"The language model of {corpus.url}"
    else:
        text, name = _read(arpa), str(arpa)
    graph = decoding_graph(lexicon, tree, costs, text, name, directory)
    return partial(Decoder, graph, list(lexicon.words))


def _read(arpa: Path) -> str:
    try:
        return arpa.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise NotFoundError(f"There is no language model {arpa}.") from error
    except (OSError, UnicodeError) as error:
        raise InvalidInputError(
            f"{arpa} is not a language model in the ARPA format: it cannot be read."
        ) from error


def _fitting(utterances: Likelihoods, corpus: Corpus) -> Likelihoods:
    """The library would read beyond the end of what has too few columns."""
    for utterance_id, matrix in utterances:
        if matrix.ndim != 2 or matrix.shape[1] != corpus.class_count:
            raise InvalidInputError(
                f"The log-likelihoods of {utterance_id} have the shape {matrix.shape}; {corpus.url} has "
                f"{corpus.class_count:,} senones."
            )
        yield utterance_id, matrix


def _watched(utterances: Likelihoods, progress: Callable[[int, int], None], total: int) -> Iterator[Any]:
    for done, utterance in enumerate(utterances):
        progress(done, total)
        yield utterance
    progress(total, total)
