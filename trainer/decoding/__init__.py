"""From log-likelihoods of senones to words: lexicon and language model as one graph, beam search through it,
word error rates.

The corpus brings its lexicon and its senone tree; the Kaldi libraries of ``softstore[decoding]`` do the work
(kaldifst, kaldilm, kaldi-decoder, kaldialign).
"""

from trainer.decoding.likelihoods import model_likelihoods
from trainer.decoding.recognition import Recognition, recognise
from trainer.decoding.search import Setting
from trainer.decoding.word_errors import WordErrors

__all__ = ["Recognition", "Setting", "WordErrors", "model_likelihoods", "recognise"]
