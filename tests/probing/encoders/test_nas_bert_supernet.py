"""NAS-BERT's supernet: its paths are models of their own, its blocks learn by themselves, its losses are theirs."""

from types import SimpleNamespace

import pytest
import torch
from accelerate import Accelerator
from torch import nn

from probing.encoders.nas_bert_model import MappedOperation, NasBertConfig, NasBertModel
from probing.encoders.nas_bert_supernet import NasBertSupernet, NasBertSupernetConfig
from probing.encoders.operations import write_blocks
from probing.encoders.tiny_checkpoints import disturb, draw_bert
from probing.records import InputError
from probing.training.evaluation.block_losses import BlockLosses
from probing.training.objectives.block_distillation import BlockDistillation

BORDER = 8
PATHS = (
    ((4, 0, 1), (8, 2)),
    ((8, 3, 4), (8, 1, 0)),
    ((4, 1), (4, 0, 4)),
    ((8, 0), (4, 2, 3)),
)
SMALL = {"vocab_size": 40, "embedding_size": BORDER, "head_size": 4, "max_position_embeddings": 16}
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]).bool()


def make(seed=0, path=PATHS[0]):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        blocks = write_blocks(path)
        config = NasBertSupernetConfig(**SMALL, blocks=blocks, widths=(4, 8), n_places=2, border_size=BORDER)
        return disturb(NasBertSupernet(config)).eval()


def draw_states(n=2):
    generator = torch.Generator().manual_seed(3)
    return [torch.randn(2, 5, BORDER, generator=generator) for _ in range(n)]


def compose(leave, enter):
    """One map in place of two: W2 (W1 x + b1) + b2; None where neither is one."""
    one, other = ([part.weight, part.bias] if isinstance(part, nn.Linear) else None for part in (leave, enter))
    identity = [torch.eye(BORDER), torch.zeros(BORDER)]
    (w1, b1), (w2, b2) = one or identity, other or identity
    return w2 @ w1, w2 @ b1 + b2


@torch.no_grad()
def stand_alone(supernet, path):
    """A model of the path with the supernet's weights; its embeddings are what it is given."""
    model = NasBertModel(NasBertConfig(**SMALL, blocks=write_blocks(path), maps_always=True)).eval()
    model.embeddings.forward = lambda words, types: words
    places = iter(model.operations)
    for number, ((width, *codes), block) in enumerate(zip(path, supernet.blocks, strict=True)):
        enter = block.enter[str(width)]
        if not number and width != BORDER:
            model.embeddings_project.load_state_dict(enter.state_dict())
        for place, code in enumerate(codes):
            own = next(places)
            if number and not place:
                assert isinstance(own, MappedOperation)
                weight, bias = compose(leave, enter)
                own.map.weight.copy_(weight)
                own.map.bias.copy_(bias)
                own = own.operation
            own.load_state_dict(block.find(width, place, code).state_dict())
        leave = block.leave[str(width)]
    return model, leave


@pytest.mark.parametrize("path", PATHS, ids=str)
def test_a_path_is_the_stand_alone_model_with_the_same_weights(path):
    supernet, [states, _] = make(), draw_states()
    supernet.take_path(path)
    model, leave = stand_alone(supernet, path)
    with torch.no_grad():
        expected = leave(model(inputs_embeds=states, attention_mask=MASK.long()).last_hidden_state[..., : path[-1][0]])
        found = supernet.follow(states, MASK)
    torch.testing.assert_close(found[MASK], expected[MASK], rtol=1e-5, atol=1e-5)
    supernet.take_path(next(other for other in PATHS if other != path))
    assert not torch.allclose(supernet.follow(states, MASK)[MASK], expected[MASK], atol=1e-2), "the control"


def test_blocks_read_the_teachers_states_and_nothing_of_one_another():
    supernet, (first, second) = make(), draw_states()
    one, other = supernet([first, second])
    changed = supernet([first + 1, second])
    assert torch.equal(changed[1], other)
    assert not torch.allclose(changed[0], one, atol=1e-2)


def test_maps_are_left_out_where_a_width_is_the_teachers():
    block = make().blocks[0]
    assert {name: type(part) for name, part in block.enter.items()} == {"4": nn.Linear, "8": nn.Identity}
    assert {name: type(part) for name, part in block.leave.items()} == {"4": nn.Linear, "8": nn.Identity}


@pytest.mark.slow
def test_what_is_saved_has_the_path_that_is_taken(tmp_path):
    supernet, [states, _] = make(), draw_states()
    supernet.take_path(PATHS[2])
    supernet.save_pretrained(tmp_path)
    again = NasBertSupernet.from_pretrained(tmp_path).eval()
    assert again.config.choices == PATHS[2]
    assert torch.equal(again.follow(states), supernet.follow(states))


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (((4, 0),), r"path: 1 block\(s\); expected 2"),
        (((4, 0), (5, 1)), r"expected a width of \[4, 8\] and 1 to 2 operations"),
        (((4, 0), (4, 1, 1, 1)), "1 to 2 operations"),
    ],
)
def test_what_is_no_path_is_refused(path, message):
    with pytest.raises(InputError, match=message):
        make().take_path(path)


def make_batch(seed=0):
    ids = torch.randint(5, 40, (6, 12), generator=torch.Generator().manual_seed(seed))
    return SimpleNamespace(inputs={"input_ids": ids})


def test_losses_are_means_of_squared_differences_to_the_teachers_next_border():
    teacher, supernet, batch = draw_bert(40), make(), make_batch()
    objective = BlockDistillation(teacher, [0, 1, 2])
    with torch.no_grad():
        found = objective.losses(supernet, batch, torch.Generator())
        borders = teacher(**batch.inputs, output_hidden_states=True).hidden_states
        first, second = (block(states, None, choice) for block, states, choice in
                         zip(supernet.blocks, borders[:2], PATHS[0], strict=True))  # fmt: skip
    assert found["block_1"].item() == pytest.approx((first - borders[1]).pow(2).mean().item(), rel=1e-5)
    assert found["block_2"].item() == pytest.approx((second - borders[2]).pow(2).mean().item(), rel=1e-5)
    assert set(objective.weights) == set(found)


def test_only_the_path_gets_a_gradient_and_the_teacher_none():
    teacher, supernet = draw_bert(40), make().train()
    losses = BlockDistillation(teacher, [0, 1, 2]).losses(supernet, make_batch(), torch.Generator())
    sum(losses.values()).backward()
    reached = {name for name, one in supernet.named_parameters() if one.grad is not None}
    on_path = ("blocks.0.enter.4", "blocks.0.leave.4", "blocks.0.places.4.0.0", "blocks.0.places.4.1.1")
    on_path += ("blocks.1.places.8.0.2",)
    assert reached == {name for name, _ in supernet.named_parameters() if name.startswith(on_path)}
    assert all(one.grad is None for one in teacher.parameters())


def test_scores_that_share_beginnings_are_those_of_each_choice_by_itself():
    teacher, supernet, parts = draw_bert(40), make(), [make_batch(1), make_batch(2)]
    losses = BlockLosses(supernet, teacher, [0, 1, 2], parts, Accelerator(cpu=True, mixed_precision="no"))
    choices = [(8, 0), (4, 1, 3), (8, 0, 2), (4, 1), (8, 0, 4), (4, 2, 2), (8, 1, 1), (4, 1, 3)]
    for number in range(2):
        expected = []
        for choice in choices:
            path = [PATHS[0][0], PATHS[0][1]]
            path[number] = choice
            supernet.take_path(path)
            with torch.no_grad():
                objective = BlockDistillation(teacher, [0, 1, 2])
                each = [objective.compute(supernet, part)[f"block_{number + 1}"].mean().item() for part in parts]
            expected.append(sum(each) / 2)
        assert losses.score_block(number, choices) == pytest.approx(expected, rel=1e-5)
    supernet.take_path(PATHS[3])
    with torch.no_grad():
        borders = [teacher(**part.inputs, output_hidden_states=True).hidden_states for part in parts]
        whole = [(supernet.follow(one[0]) - one[2]).pow(2).mean().item() for one in borders]
    assert losses.score_path(PATHS[3]) == pytest.approx(sum(whole) / 2, rel=1e-5)
