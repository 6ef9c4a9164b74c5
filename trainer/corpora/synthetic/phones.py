"""espeak-ng's phoneme mnemonics → 48 phones.

The phones are named as in the ARPAbet. One phone stands for one sound of the language whatever the accent,
so that one lexicon serves all: ``AAR``, the vowel of "start", has an audible r in America and none in
England. Added to the ARPAbet are ``OH`` (lot), ``AAR`` (start), ``AOR`` (north, force and cure), ``IA``
(near), ``EA`` (square), ``AXR`` (letter), ``EL`` (the end of "little") and ``DX`` (American "city").
"""

from __future__ import annotations

from trainer.alignment import SILENCE

_MNEMONICS: dict[str, str] = {
    SILENCE: "_ _: _! _|",
    "AA": "A: aa",
    "AAR": "A@",
    "AE": "a",
    "AH": "V",
    "AO": "O: O O2",
    "AOR": "O@ o@ U@",
    "AW": "aU",
    "AX": "@ @2 @5 @- a#",
    "AXR": "3",
    "AY": "aI aI2 aI@ aI3",
    "B": "b",
    "CH": "tS",
    "D": "d",
    "DH": "D",
    "DX": "t#",
    "EA": "e@",
    "EH": "E",
    "EL": "@L",
    "ER": "3: VR IR",
    "EY": "eI",
    "F": "f",
    "G": "g",
    "HH": "h",
    "IA": "i@ i@3",
    "IH": "I I2 I#",
    "IY": "i: i",
    "JH": "dZ",
    "K": "k",
    "L": "l",
    "M": "m",
    "N": "n n-",
    "NG": "N",
    "OH": "0",
    "OW": "oU",
    "OY": "OI",
    "P": "p",
    "R": "r r-",
    "S": "s",
    "SH": "S",
    "T": "t t2 t[ ?",
    "TH": "T",
    "UH": "U",
    "UW": "u:",
    "V": "v",
    "W": "w w#",
    "Y": "j ;",
    "Z": "z",
    "ZH": "Z",
}
"""Phone → the mnemonics it stands for; ``;`` is the glide between "the" and "idea"."""

_PHONES = {mnemonic: phone for phone, mnemonics in _MNEMONICS.items() for mnemonic in mnemonics.split()}
_EXCEPTIONS = {("en-us", "aa"): "AE"}  # "bath": short in America, long in the other accents used here.

PHONES = tuple(sorted(_MNEMONICS))
"""Every phone, silence included."""


class UnknownPhonemeError(ValueError):
    """espeak-ng used a mnemonic that has no phone."""


def phone(mnemonic: str, accent: str) -> str:
    """The phone of one of espeak-ng's phonemes.

    Raises:
        UnknownPhonemeError: the mnemonic is not in the table.
    """
    found = _EXCEPTIONS.get((accent, mnemonic)) or _PHONES.get(mnemonic)
    if found is None:
        raise UnknownPhonemeError(f"espeak-ng phoneme {mnemonic!r} of accent {accent} has no phone")
    return found
