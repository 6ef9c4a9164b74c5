"""The trainer's sub-commands of `softstore`, joined by entry point."""

from trainer.commands.corpus import corpus
from trainer.commands.demo import demo
from trainer.commands.evaluate import evaluate
from trainer.commands.experiment import experiment
from trainer.commands.export import export
from trainer.commands.teacher import teacher
from trainer.commands.train import train

__all__ = ["corpus", "demo", "evaluate", "experiment", "export", "teacher", "train"]
