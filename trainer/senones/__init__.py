"""Tied triphone states: from phone alignments to exactly N classes.

statistics = TreeStatistics()
for utterance in training_part:
    statistics.accumulate(cepstra(utterance.features), utterance.alignment)
tree = grow_tree(statistics, senones=2008)
labels = tree.label(utterance.alignment)
"""

from trainer.senones.growing import grow_tree
from trainer.senones.statistics import TreeStatistics
from trainer.senones.tree import SenoneTree

__all__ = ["SenoneTree", "TreeStatistics", "grow_tree"]
