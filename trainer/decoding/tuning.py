"""The acoustic scale and the word insertion penalty with the fewest word errors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from trainer.decoding.likelihoods import Likelihoods
from trainer.decoding.search import Decoder, Setting
from trainer.decoding.word_errors import Words, count_errors

LM_WEIGHTS = (4.0, 6.0, 8.0, 10.0, 13.0, 16.0)
PENALTIES = (0.0, 0.5, 1.0)


def tune(
    decoder: Callable[[Setting], Decoder],
    utterances: Callable[[], Likelihoods],
    said: Mapping[str, Words],
) -> Setting:
    """The language model's weight at no penalty first, then the penalty; of equals the least.

    Args:
        utterances: called for every pass.
        said: the words of each of them.
    """

    def errors(settings: Iterable[Setting]) -> dict[Setting, int]:
        decoders = [decoder(setting) for setting in settings]
        counted = dict.fromkeys((each.setting for each in decoders), 0)
        for utterance_id, log_likelihoods in utterances():
            for each in decoders:
                heard = each.decode(log_likelihoods)
                counted[each.setting] += count_errors(said[utterance_id], heard)
        return counted

    counted = errors(Setting(weight, PENALTIES[0]) for weight in LM_WEIGHTS)
    best = min(counted, key=counted.__getitem__)
    penalised = errors(replace(best, insertion_penalty=penalty) for penalty in PENALTIES[1:])
    counted = {best: counted[best]} | penalised
    return min(counted, key=counted.__getitem__)
