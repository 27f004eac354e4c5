"""Probe frozen encoders layer by layer, and on the learned mix of their layers.

The flow, and the room of each stage:

    text -> tokens -> hidden states -> pooled layer stack -> probe -> scores
    tasks    encoders                   representations      probes   scores

`pipeline` tells the story in a few calls; `records` holds what travels between the stages; `registry`
maps names to parts. `run_senteval.py` and `build_tasks.py` are the scripts.
Importing this package loads neither torch nor transformers.
"""

from probing.records import InputError, LayerStack, Predictions, Score, Split, Task, TaskSpec
from probing.registry import resolve

__version__ = "0.1.0"

__all__ = ["InputError", "LayerStack", "Predictions", "Score", "Split", "Task", "TaskSpec", "resolve"]
