"""Forced alignment by a GMM-HMM trained from a flat start on the speech to be aligned.

    result = align(utterances, lexicon, workers=2)

`transcript` turns words into graphs of phones and states, `mixtures` scores frames, `viterbi` finds the best
paths, `training` is the recipe, `forced` puts them together and decides what cannot be aligned.
"""

from trainer.aligner.forced import AlignedCorpus, Transcribed, align

__all__ = ["AlignedCorpus", "Transcribed", "align"]
