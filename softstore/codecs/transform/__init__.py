"""The transform codec: its parts, one file each."""

from softstore.codecs.transform.codec import Transform
from softstore.codecs.transform.fidelity import Fidelity
from softstore.codecs.transform.fitting import Parameters

__all__ = ["Fidelity", "Parameters", "Transform"]
