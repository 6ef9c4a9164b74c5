"""espeak-ng through ctypes: text → samples and the time of every phone.

espeak-ng keeps state between calls (flutter, wave phase, noise), so the same sentence spoken twice
differs. Every `speak` therefore loads the library afresh and unloads it afterwards (under a
millisecond): what it returns depends on its arguments alone.
"""

from __future__ import annotations

import _ctypes
import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from softstore.errors import InvalidInputError, MissingDependencyError

SAMPLE_RATE = 22_050

_SYNCHRONOUS = 2
_PHONEME_EVENTS = 1
_DO_NOT_EXIT = 0x8000
_UTF8 = 1
_RATE, _PITCH, _RANGE = 1, 3, 4
_STOP = 1
_EVENT_END_OF_LIST, _EVENT_PHONEME = 0, 7
_SEPARATOR = "+"
_STRESS_AND_LENGTH_MARKS = "',%="

_alone = threading.Lock()


class _Identity(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("phoneme", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    """espeak_EVENT of speak_lib.h."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position_ms", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Identity),
    )


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


@dataclass(frozen=True, slots=True)
class Delivery:
    """How something is said.

    Attributes:
        accent: an espeak-ng language, for instance ``en-us``.
        variant: an espeak-ng voice variant, for instance ``m3``.
        rate: words per minute.
        pitch: 0 to 99; the variant's own pitch is 50.
        pitch_range: 0 to 99; the variant's own range is 50.
    """

    accent: str
    variant: str
    rate: int
    pitch: int
    pitch_range: int


@dataclass(frozen=True, slots=True)
class Speech:
    """What was said.

    Attributes:
        samples: shape (samples,), int16, at `SAMPLE_RATE`.
        phonemes: espeak-ng's phoneme mnemonics without stress, pauses (``_…``) included.
        starts: for each phoneme the sample at which it starts, non-decreasing.
    """

    samples: NDArray[np.int16]
    phonemes: tuple[str, ...]
    starts: tuple[int, ...]


def require() -> None:
    """Raise `MissingDependencyError` unless espeak-ng can be loaded."""
    with _library():
        pass


def speak(sentence: str, delivery: Delivery) -> Speech:
    """Say a sentence.

    Args:
        sentence: words and ``,`` for pauses, separated by single spaces.

    Raises:
        InvalidInputError: espeak-ng lacks the accent or the variant.
        MissingDependencyError: espeak-ng is not installed.
    """
    blocks: list[bytes] = []
    phonemes: list[str] = []
    starts: list[int] = []

    failures: list[BaseException] = []

    def receive(samples: ctypes._Pointer[ctypes.c_short], count: int, events: ctypes._Pointer[_Event]) -> int:
        # ctypes would drop what is raised in here, an interrupt for one: it is raised again below.
        try:
            if count > 0:
                blocks.append(ctypes.string_at(samples, count * ctypes.sizeof(ctypes.c_short)))
            position = 0
            while (event := events[position]).type != _EVENT_END_OF_LIST:
                if event.type == _EVENT_PHONEME:
                    # All eight bytes may be in use, without a terminator.
                    raw = ctypes.string_at(ctypes.addressof(event.id), ctypes.sizeof(_Identity))
                    phonemes.append(_bare(raw.split(b"\0")[0].decode()))
                    starts.append(event.sample)
                position += 1
        except BaseException as error:
            failures.append(error)
            return _STOP
        return 0

    callback = _Callback(receive)
    with _library() as library:
        library.espeak_SetSynthCallback(callback)
        _select_voice(library, f"{delivery.accent}+{delivery.variant}")
        library.espeak_SetParameter(_RATE, delivery.rate, 0)
        library.espeak_SetParameter(_PITCH, delivery.pitch, 0)
        library.espeak_SetParameter(_RANGE, delivery.pitch_range, 0)
        text = _spoken(sentence).encode()
        library.espeak_Synth(text, ctypes.c_size_t(len(text) + 1), 0, 0, 0, _UTF8, None, None)
    if failures:
        raise failures[0]
    return Speech(np.frombuffer(b"".join(blocks), np.int16), tuple(phonemes), tuple(starts))


def pronounce(sentences: list[str], accent: str) -> list[list[tuple[str, ...]]]:
    """The phonemes of every word of each sentence, as `speak` would say them there, without speaking.

    Raises:
        InvalidInputError: espeak-ng lacks the accent.
        MissingDependencyError: espeak-ng is not installed.
    """
    with _library() as library:
        _select_voice(library, accent)
        library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        return [
            [
                tuple(_bare(name) for name in word.split(_SEPARATOR) if not name.startswith("_"))
                for clause in _clauses(library, sentence)
                for word in clause.split()
            ]
            for sentence in sentences
        ]


def _clauses(library: ctypes.CDLL, sentence: str) -> Iterator[str]:
    text = ctypes.create_string_buffer(_spoken(sentence).encode())
    rest = ctypes.c_void_p(ctypes.addressof(text))
    while rest.value:
        yield library.espeak_TextToPhonemes(ctypes.byref(rest), _UTF8, ord(_SEPARATOR) << 8).decode()


def _spoken(sentence: str) -> str:
    # Between no-break spaces espeak-ng keeps words apart that it would otherwise join, such as "in the".
    return sentence.replace(" ,", ",").replace(" ", "\u00a0")


def _bare(phoneme: str) -> str:
    return phoneme.strip(_STRESS_AND_LENGTH_MARKS)


def _select_voice(library: ctypes.CDLL, voice: str) -> None:
    if library.espeak_SetVoiceByName(voice.encode()) != 0:
        raise InvalidInputError(
            f"The installed espeak-ng has no voice {voice!r}: install another espeakng-loader."
        )


@contextmanager
def _library() -> Iterator[ctypes.CDLL]:
    """espeak-ng in its initial state, for one user at a time."""
    try:
        import espeakng_loader
    except ImportError:
        raise MissingDependencyError(
            "The synthetic corpus needs espeak-ng, which is not installed: run pip install 'softstore[demo]'."
        ) from None
    with _alone:
        library = ctypes.CDLL(espeakng_loader.get_library_path())
        try:
            data = espeakng_loader.get_data_path()
            options = _PHONEME_EVENTS | _DO_NOT_EXIT
            if library.espeak_Initialize(_SYNCHRONOUS, 0, data.encode(), options) != SAMPLE_RATE:
                raise MissingDependencyError(
                    f"espeak-ng could not read its data in {data}: reinstall espeakng-loader in an "
                    "environment whose path is short, since espeak-ng takes at most 159 characters."
                )
            ctypes.CDLL(None).srand(1)  # The noise of some voices comes from the C library.
            yield library
        finally:
            library.espeak_Terminate()
            _ctypes.dlclose(library._handle)
