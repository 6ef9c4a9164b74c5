"""Synthetic read speech in noise: nothing to download, exact phone times, any number of hours.

espeak-ng speaks sentences of a small grammar in many voices and accents; noise and a microphone are
added as in Aurora4's 14 conditions (Parihar and Picone, "Aurora Working Group: DSR Front End LVCSR
Evaluation AU/384/02", 2002).

espeak-ng is licensed under the GPL, version 3 or later. It is not part of softstore: it is loaded at
run time from the optional package ``espeakng-loader`` (``pip install softstore[demo]``).
"""

from __future__ import annotations

from trainer.corpora.synthetic.profiles import PROFILES
from trainer.corpora.synthetic.source import SyntheticSource

__all__ = ["PROFILES", "SyntheticSource"]
