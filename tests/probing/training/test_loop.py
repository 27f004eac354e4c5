"""The loop with parts that none of our recipes has: it was not changed for them."""

import gc
import weakref
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import nn

from probing.training import loop
from probing.training.contracts import Data, Evaluation, Objective, Pace, Transform
from probing.training.loop import Job, Reporter, train_model
from probing.training.optimiser import Rates
from tests.helpers import HIDDEN, build_model

N_IDS, N_STEPS = 24, 10


class Blocks(Data):
    """Running text: blocks of token numbers, no labels."""

    n_steps_per_epoch = 4

    def __len__(self):
        return 24

    def batch(self, step):
        return Block(np.random.default_rng([7, step]).integers(5, N_IDS, (6, 9)))


@dataclass
class Block:
    ids: np.ndarray

    @property
    def n_tokens(self):
        return self.ids.size

    def __len__(self):
        return len(self.ids)

    def collate(self, rows, device):
        return torch.from_numpy(self.ids[rows]).to(device)


class MaskedAndDistilled(nn.Module, Objective):
    """Masked tokens are named, and hidden states learned through a projection of its own, wider than the model's."""

    weights = {"masked": 1.0, "hidden": 0.5}  # noqa: RUF012

    def __init__(self, teacher):
        super().__init__()
        self.teacher = teacher.requires_grad_(False)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            self.names, self.projection = nn.Linear(HIDDEN, N_IDS), nn.Linear(HIDDEN, teacher.config.hidden_size)
        self.n_calls = 0

    def losses(self, model, batch, generator):
        self.n_calls += 1
        masked = torch.rand(batch.shape, generator=generator) < 0.3
        states = model(input_ids=batch.masked_fill(masked, 4)).last_hidden_state
        with torch.no_grad():
            taught = self.teacher(input_ids=batch).last_hidden_state
        named = nn.functional.cross_entropy(self.names(states).flatten(0, 1), batch.flatten(), reduction="none")
        mean = (named * masked.flatten()).sum() / masked.sum().clamp(min=1)
        return {"masked": mean, "hidden": nn.functional.mse_loss(self.projection(states), taught)}

    def parameter_groups(self):
        own = [*self.names.parameters(), *self.projection.parameters()]
        return [{"params": own, "lr": 3e-2, "weight_decay": 0.0}]

    def state_dict(self, *arguments, **options):
        return {"n_calls": self.n_calls} | {
            name: tensor for name, tensor in super().state_dict().items() if "teacher" not in name
        }

    def load_state_dict(self, state):
        self.n_calls = state.pop("n_calls")
        super().load_state_dict(state, strict=False)


@dataclass
class OneBlockAStep(Transform):
    """A super-net of a kind: another block is trained at each step."""

    blocks: list = field(default_factory=list)

    def apply(self, model):
        self.blocks = list(model.encoder.layer)

    def before_step(self, step, n_steps):
        for number, block in enumerate(self.blocks):
            block.requires_grad_(number == step % len(self.blocks))

    def facts(self):
        return {"paths": float(len(self.blocks))}


class Perplexity(Evaluation):
    headline = "dev_share"

    def measure(self, model, accelerator):
        with torch.no_grad():
            states = model(input_ids=torch.arange(5, 14)[None]).last_hidden_state
        return {"dev_perplexity": float(states.std()), self.headline: -float(states.abs().mean())}


@pytest.fixture
def build(tmp_path):
    """Function: a job, its state under a name."""

    def make(name="state", checkpoint_every=0, key="one"):
        AcceleratorState._reset_state(reset_partial_state=True)
        pace = Pace(max_steps=N_STEPS, log_every=2, evaluate_every=5, accumulation_steps=2)
        pace = Pace(**(vars(pace) | {"checkpoint_every": checkpoint_every}))
        teacher = build_model(seed=3, hidden_size=12, num_attention_heads=2)
        model = build_model()
        objective, transforms = MaskedAndDistilled(teacher), (OneBlockAStep(),)
        return Job(
            model, Blocks(), objective, transforms, Perplexity(), Rates(learning_rate=1e-2), pace, 5,
            tmp_path / f"{name}.pt", key,
        )  # fmt: skip

    return make


def run(job, warnings=None):
    progress = train_model(job, Accelerator(cpu=True), Reporter(warn=(warnings if warnings is not None else []).append))
    return progress, [*job.model.state_dict().values(), *job.objective.projection.parameters()]


def test_named_losses_are_logged_and_add_up_and_what_the_objective_brings_is_trained(build):
    job = build()
    before = [parameter.clone() for parameter in job.objective.projection.parameters()]
    teacher = [parameter.clone() for parameter in job.objective.teacher.parameters()]
    progress, _ = run(job)
    rows = {name: [value for _, quantity, _, value in progress.rows if quantity == name] for name in
            ("loss", "loss_masked", "loss_hidden", "dev_share", "dev_perplexity")}  # fmt: skip
    assert [len(values) for values in rows.values()] == [5, 5, 5, 3, 3]
    whole = np.array(rows["loss_masked"]) + 0.5 * np.array(rows["loss_hidden"])
    np.testing.assert_allclose(rows["loss"], whole, rtol=1e-6)  # float32
    assert rows["loss"][-1] < rows["loss"][0]
    for old, new in zip(before, job.objective.projection.parameters(), strict=True):
        assert not torch.equal(old, new)
    for old, new in zip(teacher, job.objective.teacher.parameters(), strict=True):
        assert torch.equal(old, new)
    assert progress.n_tokens == N_STEPS * 54


@pytest.mark.parametrize("death", [1, 2, 3])
def test_killed_with_masks_projection_and_counter_it_goes_on_to_the_same_numbers(death, build, monkeypatch):
    expected, weights = run(whole := build("whole"))

    class KilledError(Exception):
        pass

    usual, saved = loop.save_state, []

    def save_and_die(*arguments):
        usual(*arguments)
        saved.append(arguments)
        if len(saved) == death:
            raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(loop, "save_state", save_and_die)
        with pytest.raises(KilledError):
            run(build("killed", checkpoint_every=3))
    found, resumed = run(again := build("killed", checkpoint_every=3))
    assert found.rows == expected.rows
    assert again.objective.n_calls == whole.objective.n_calls == 2 * N_STEPS
    assert all(torch.equal(one, other) for one, other in zip(weights, resumed, strict=True))


DAMAGES = {
    "empty": lambda content: b"",
    "short": lambda content: content[: len(content) // 2],
    "zeros": lambda content: bytes(len(content)),
    "text": lambda content: b"no state at all",
    "a bit": lambda content: content[:2000] + bytes([content[2000] ^ 1]) + content[2001:],
    "longer": lambda content: content + b"x",
}


@pytest.mark.parametrize("damage", [*DAMAGES, "folder", "other key"])
def test_a_damaged_state_or_one_of_other_data_is_told_and_begun_anew(damage, build, monkeypatch):
    expected, weights = run(build("whole"))
    job = build("damaged", checkpoint_every=4)
    run(job)
    if damage == "folder":
        job.state.unlink()
        job.state.mkdir()
    elif damage != "other key":
        job.state.write_bytes(DAMAGES[damage](job.state.read_bytes()))
    warnings = []
    found, again = run(build("damaged", key="two" if damage == "other key" else "one"), warnings)
    assert len(warnings) == 1
    assert "begins anew" in warnings[0]
    assert ("other data" if damage == "other key" else "damaged.pt") in warnings[0]
    assert found.rows == expected.rows
    assert all(torch.equal(one, other) for one, other in zip(weights, again, strict=True))


def test_two_that_write_one_state_leave_a_whole_one_and_nothing_beside_it(build):
    from threading import Thread

    job = build("shared")
    run(job)
    trained = loop.Trained(job.model, job.objective, torch.optim.AdamW(job.model.parameters()))
    threads = [Thread(target=loop.save_state, args=(job.state, "one", trained)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    loop.load_state(job.state, "one", trained)
    assert [path.name for path in job.state.parent.iterdir()] == ["shared.pt"]


def test_a_trained_model_is_let_go_with_its_job_though_the_accelerator_trains_others(build):
    job = build()
    accelerator = Accelerator(cpu=True)
    train_model(job, accelerator, Reporter())
    known = weakref.ref(job.model)
    del job
    gc.collect()
    assert known() is None
    assert accelerator.device.type == "cpu"
