"""What was said in a corpus."""

from __future__ import annotations

from softstore.corpus import Corpus
from softstore.errors import InvalidInputError


def texts_of(corpus: Corpus, split: str) -> dict[str, list[str]]:
    """The words of a split's utterances, in stored order.

    Raises:
        InvalidInputError: there are none.
    """
    table = corpus.manifest.where(split=split)
    if not len(table) or "text" not in table.column_names:
        raise InvalidInputError(
            f"{corpus.url} has no texts in the split {split!r}, which word error rates need."
        )
    texts = zip(table["utterance_id"].to_pylist(), table["text"].to_pylist(), strict=True)
    return {utterance_id: (text or "").split() for utterance_id, text in texts}
