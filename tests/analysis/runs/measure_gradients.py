"""Gradient norms by depth for the stored run `bermo`: a few steps of fine-tuning, measured before and after.

python tests/analysis/runs/measure_gradients.py data/corpora/english

Two heads on the embedded encoder: a linear layer on the mean-pooled last layer, and one on the mean-pooled scalar mix
of the layers above the embeddings. `hidden`: per sentence, the norm of dL/dh_l over its tokens; `parameters`: per
batch of 8, the norm of dL/dtheta of block l. Mean and normal 95 % interval.
"""

import itertools
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from transformers import AutoModel, AutoTokenizer

from probing.encoders.checkpoints import find_checkpoint
from probing.settings import EMBEDDED

STEPS, BATCH, MEASURED, RATE = 10, 8, 32, 5e-5
TASKS = ("sentence_length", "tree_depth", "bigram_shift", "past_present", "subj_number")


def read(folder, task, mark):
    rows = [line.split("\t") for line in (folder / f"{task}.txt").read_text().splitlines()]
    return [(row[1], row[-1]) for row in rows if row[0] == mark]


class Head(torch.nn.Module):
    def __init__(self, kind, width, n_layers, n_classes):
        super().__init__()
        self.kind = kind
        self.weights = torch.nn.Parameter(torch.zeros(n_layers))
        self.gamma = torch.nn.Parameter(torch.ones(()))
        self.linear = torch.nn.Linear(width, n_classes)

    def forward(self, states, mask):
        pooled = [(state * mask).sum(1) / mask.sum(1) for state in states[1:]]
        shares = torch.softmax(self.weights, 0)
        mixed = self.gamma * sum(share * one for share, one in zip(shares, pooled, strict=True))
        return self.linear(pooled[-1] if self.kind == "last_layer" else mixed)


def losses(encoder, head, tokenizer, pairs, classes):
    batch = tokenizer([text for _, text in pairs], padding=True, truncation=True, max_length=32, return_tensors="pt")
    states = encoder(**batch, output_hidden_states=True).hidden_states
    targets = torch.tensor([classes.index(label) for label, _ in pairs])
    return torch.nn.functional.cross_entropy(
        head(states, batch["attention_mask"][..., None]), targets, reduction="none"
    ), states


def measure(encoder, head, tokenizer, pairs, classes):
    hidden, parameters = [], []
    for start in range(0, len(pairs), 8):
        loss, states = losses(encoder, head, tokenizer, pairs[start : start + 8], classes)
        # The sum keeps each sentence's own gradient; the mean is what the optimiser sees.
        grads = torch.autograd.grad(loss.sum(), states, retain_graph=True)
        hidden.append(torch.stack([grad.flatten(1).norm(dim=1) for grad in grads]))
        blocks = [list(block.parameters()) for block in encoder.encoder.layer]
        flat = torch.autograd.grad(loss.mean(), [p for block in blocks for p in block])
        sizes = np.cumsum([0, *map(len, blocks)])
        norms = [torch.cat([g.flatten() for g in flat[a:b]]).norm() for a, b in itertools.pairwise(sizes)]
        parameters.append(torch.stack(norms)[:, None])
    return {"hidden": (0, torch.cat(hidden, 1)), "parameters": (1, torch.cat(parameters, 1))}


def main():
    folder, rows = Path(sys.argv[1]), []
    path = find_checkpoint(EMBEDDED).folder
    for task in TASKS:
        for kind in ("last_layer", "scalar_mix"):
            torch.manual_seed(0)
            encoder, tokenizer = AutoModel.from_pretrained(path).eval(), AutoTokenizer.from_pretrained(path)
            train, test = read(folder, task, "tr"), read(folder, task, "te")
            classes = sorted({label for label, _ in train})
            order = np.random.default_rng(0).permutation(len(train))
            shown = [test[i] for i in np.random.default_rng(1).permutation(len(test))[:MEASURED]]
            head = Head(kind, encoder.config.hidden_size, encoder.config.num_hidden_layers, len(classes))
            optimiser = torch.optim.AdamW([*encoder.parameters(), *head.parameters()], lr=RATE)
            for step in range(STEPS + 1):
                if step in (0, STEPS):
                    for quantity, (first, norms) in measure(encoder, head, tokenizer, shown, classes).items():
                        values = norms.detach().double().numpy()
                        half = 1.96 * values.std(axis=1, ddof=1) / np.sqrt(values.shape[1])
                        for number, (value, width) in enumerate(zip(values.mean(axis=1), half, strict=True)):
                            layer = first + number
                            row = {"model": "bermo", "checkpoint": EMBEDDED, "task": task, "head": kind, "step": step}
                            row |= {"layer": layer, "layer_name": str(layer) if layer else "embeddings"}
                            row |= {"quantity": quantity, "value": value, "ci_low": max(value - width, 1e-12)}
                            rows.append(row | {"ci_high": value + width, "n": values.shape[1]})
                batch = [train[i] for i in order[step * BATCH : (step + 1) * BATCH]]
                optimiser.zero_grad()
                losses(encoder, head, tokenizer, batch, classes)[0].mean().backward()
                optimiser.step()
    target = Path(__file__).parent / "bermo" / "gradient_norms.parquet"
    pd.DataFrame(rows).to_parquet(target, index=False, compression="zstd")


if __name__ == "__main__":
    main()
