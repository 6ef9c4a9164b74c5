"""softstore: a teacher's posteriors, generated once, stored small and certified, read at any temperature.

import softstore

store = softstore.open("runs/demo/store")          # or s3://…, http(s)://…
utterance = store["cv-0001"]
utterance.posteriors(temperature=2.0)              # (frames, classes), float32, rows sum to 1
"""

from softstore.corpus import Corpus
from softstore.errors import SoftstoreError
from softstore.store import Store
from softstore.store import open_store as open
from softstore.utterance import StoredUtterance, Utterance

__all__ = ["Corpus", "SoftstoreError", "Store", "StoredUtterance", "Utterance", "__version__", "open"]

__version__ = "0.1.0"
