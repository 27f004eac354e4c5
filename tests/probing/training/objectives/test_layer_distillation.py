"""The losses of layer by layer distillation against numpy; what they teach, and what they do not look at."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from transformers import AutoModelForSequenceClassification

from probing.records import InputError
from probing.training.contracts import Examples
from probing.training.objectives.layer_distillation import (
    LOSSES,
    LayerDistillation,
    check_pair,
    draw_projection,
    map_layers,
)
from tests.helpers import build_config

N_LAYERS, HEADS = 4, 2
MAP = (2, 4)
LENGTHS = (7, 4)
IDS = np.arange(5, 19).reshape(2, 7)
LABELS = np.array([2, 0])


def draw(seed, **changes):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForSequenceClassification.from_config(build_config("bert", num_labels=3, **changes))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.3 * torch.randn_like(parameter))
    return model.eval()


@pytest.fixture(scope="module")
def pair():
    """A student and a teacher of other width and depth."""
    return draw(0), draw(1, hidden_size=12, num_hidden_layers=N_LAYERS).requires_grad_(False)


def collate(ids=IDS, lengths=LENGTHS):
    mask = np.arange(ids.shape[1]) < np.array(lengths)[:, None]
    inputs = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask.astype(int))}
    return Examples(inputs, torch.from_numpy(LABELS[: len(ids)]))


def build(pair, weights=None, **others):
    student, teacher = pair
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        projection = draw_projection(student.config.hidden_size, teacher.config.hidden_size, "cpu")
    return LayerDistillation(teacher, MAP, weights or dict.fromkeys(LOSSES, 1.0), projection, **others)


def compute(objective, student, batch):
    return {name: loss.item() for name, loss in objective.losses(student, batch, torch.Generator()).items()}


def read(model, row):
    """States, scores by transformers' own probabilities, and logits of one sentence by itself, in float64."""
    ids = torch.from_numpy(IDS[row : row + 1, : LENGTHS[row]])
    model.set_attn_implementation("eager")
    with torch.no_grad():
        output = model(input_ids=ids, output_hidden_states=True)
    model.set_attn_implementation("sdpa")
    scores = []
    for number, layer in enumerate(model.bert.encoder.layer):
        states, own = output.hidden_states[number][0].double(), layer.attention.self
        query, key = (
            (states @ one.weight.double().T + one.bias.double()).unflatten(-1, (HEADS, -1)).transpose(0, 1)
            for one in (own.query, own.key)
        )
        scores.append((query @ key.mT / query.shape[-1] ** 0.5).detach().numpy())
    return [states[0].double().numpy() for states in output.hidden_states], scores, output.logits[0].double().numpy()


def test_every_loss_is_that_of_numpy_on_one_sentence_after_the_other(pair):
    student, teacher = pair
    objective = build(pair, temperature=2.0)
    weight, bias = (one.detach().double().numpy() for one in objective.projection.parameters())
    rows = []
    for row in range(2):
        (own, own_scores, own_logits), (its, its_scores, its_logits) = read(student, row), read(teacher, row)
        mapped = [states @ weight.T + bias for states in own]
        taught, learned = log_softmax(its_logits / 2), log_softmax(own_logits / 2)
        rows.append([
            np.mean((mapped[0] - its[0]) ** 2),
            sum(np.mean((mapped[m] - its[g]) ** 2) for m, g in ((1, 2), (2, 4))),
            sum(np.mean((own_scores[m - 1] - its_scores[g - 1]) ** 2) for m, g in ((1, 2), (2, 4))),
            4 * np.sum(np.exp(taught) * (taught - learned)),
            -log_softmax(own_logits)[LABELS[row]],
        ])  # fmt: skip
    expected = dict(zip(LOSSES, np.mean(rows, axis=0), strict=True))
    assert compute(objective, student, collate()) == pytest.approx(expected, rel=1e-5)


def test_what_stands_at_padding_changes_no_loss(pair):
    other = IDS.copy()
    other[1, 4:] = 30
    longer = np.concatenate([other, np.full((2, 3), 20)], axis=1)
    objective = build(pair)
    expected = compute(objective, pair[0], collate())
    assert compute(objective, pair[0], collate(other)) == pytest.approx(expected, rel=1e-5)
    assert compute(objective, pair[0], collate(longer)) == pytest.approx(expected, rel=1e-5)


def test_parts_of_a_batch_add_up_to_it(pair):
    objective = build(pair)
    parts = [objective.compute(pair[0], collate(IDS[row : row + 1], LENGTHS[row : row + 1])) for row in range(2)]
    whole = compute(objective, pair[0], collate())
    for name in LOSSES[:-1]:
        assert np.mean([part[name].item() for part in parts]) == pytest.approx(whole[name], rel=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_of_weight_0_is_left_out(pair, name):
    objective = build(pair, dict.fromkeys(LOSSES, 1.0) | {name: 0.0})
    found = objective.losses(pair[0], collate(), torch.Generator())
    assert found.keys() == objective.weights.keys() == set(LOSSES) - {name}


def test_a_student_that_is_its_teacher_has_nothing_to_learn(pair):
    teacher = pair[1]
    objective = LayerDistillation(teacher, (1, 2, 3, 4), dict.fromkeys(LOSSES[:-1], 1.0))
    assert compute(objective, teacher, collate()) == pytest.approx(dict.fromkeys(LOSSES[:-1], 0.0), abs=1e-9)
    assert objective.parameter_groups() == []
    assert objective.state_dict() == {}


def test_the_map_of_states_learns_and_the_teacher_does_not(pair):
    objective = build(pair)
    (group,) = objective.parameter_groups()
    optimiser = torch.optim.Adam(group["params"], lr=1e-2)
    before = compute(objective, pair[0], collate())
    for _ in range(50):
        optimiser.zero_grad()
        objective.losses(pair[0], collate(), torch.Generator())["hidden"].backward()
        optimiser.step()
    assert compute(objective, pair[0], collate())["hidden"] < 0.9 * before["hidden"]
    assert all(parameter.grad is None for parameter in pair[1].parameters())
    again = build(pair)
    assert compute(again, pair[0], collate()) == before
    again.load_state_dict(objective.state_dict())
    assert compute(again, pair[0], collate()) == compute(objective, pair[0], collate())


def test_without_losses_of_states_there_is_no_map_to_learn(pair):
    assert build(pair, {"logits": 1.0, "attention": 1.0}).parameter_groups() == []


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [((4, 12), (3, 6, 9, 12)), ((6, 12), (2, 4, 6, 8, 10, 12)), ((4, 6), (2, 3, 5, 6)), ((3, 3), (1, 2, 3))],
)
def test_layers_are_mapped_evenly_to_the_last(sizes, expected):
    assert map_layers(*sizes) == expected


@pytest.mark.parametrize("given", [(2,), (3, 2), (0, 4), (2, 5), (2, 2)])
def test_a_layer_map_that_cannot_be_is_refused(given):
    assert map_layers(2, 4, (1, 3)) == (1, 3)
    with pytest.raises(InputError, match="expected 2 rising layers of the teacher's 1 to 4"):
        map_layers(2, 4, given)


def test_a_student_deeper_than_its_teacher_is_refused():
    with pytest.raises(InputError, match="--layers 5: the teacher has 4; expected no more"):
        map_layers(5, 4)


def test_unequal_heads_are_refused_where_attention_is_compared(pair):
    student = build_config("bert", num_attention_heads=4)
    check_pair(student, pair[1], {"attention": 0.0, "hidden": 1.0}, "it")
    with pytest.raises(InputError, match=r"it: has 2 heads and the student 4; expected as many \(--heads 2\)") as error:
        check_pair(student, pair[1], {"attention": 1.0}, "it")
    assert "\n" not in str(error.value)
