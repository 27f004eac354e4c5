import threading
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from probing.kernels import load_kernels
from probing.probes import fused, logistic_problem, mix_loss
from probing.probes.concat import ConcatProbe
from probing.probes.fused import can_fuse, choose_engine, explain_engine, find_room, fuse_loss
from probing.probes.linear import LinearProbe
from probing.probes.mix_problem import MixProblem
from probing.probes.scalar_mix import ScalarMixProbe
from probing.probes.stack_blocks import StackBlocks
from probing.store import mapped_arrays
from probing.store.mapped_arrays import is_mapped
from tests.benchmarks.threads import run_limited
from tests.helpers import draw_stack

ENGINES = dict(load_kernels().list_engines()) if load_kernels() else {}
needs_kernels = pytest.mark.skipif(not ENGINES, reason="the kernels are not compiled")
RELATIVE = 4e-5
"""Split numbers have 2^-17; sums of some hundred such products err by a few times that."""


@pytest.fixture(params=[pytest.param(name, id=name) for name in ENGINES])
def engine(request, monkeypatch):
    """Every engine that this processor has, in turn, while it is the one that is used."""
    monkeypatch.setattr(fused, "choose_engine", lambda: request.param)
    return request.param


def sum_by_hand(vectors, labels, weights, intercepts, n_classes, counts=None):
    """Loss and slopes in float64."""
    X, W = vectors.double(), weights.double().view(-1, n_classes, vectors.shape[1])
    logits = torch.einsum("nh,kch->nkc", X, W) + intercepts.double().view(-1, n_classes)
    truth = torch.nn.functional.one_hot(labels, n_classes).unsqueeze(1)
    counts = torch.ones(W.shape[0], len(X)) if counts is None else counts
    losses = ((logits.logsumexp(dim=2) - (logits * truth).sum(dim=2)) * counts.T).sum(dim=0)
    residuals = (logits.softmax(dim=2) - truth) * counts.T.unsqueeze(2)
    return losses, torch.einsum("nkc,nh->kch", residuals, X).flatten(0, 1), residuals.sum(dim=0).flatten()


@needs_kernels
@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("counted", [False, True])
@pytest.mark.parametrize("n_sentences", [5, 32, 300])
@pytest.mark.parametrize(("hidden", "n_classes", "n_problems"), [(64, 2, 1), (40, 5, 9), (33, 37, 3), (96, 300, 1)])
def test_loss_and_slopes_are_those_of_float64(n_sentences, hidden, n_classes, n_problems, counted):
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(n_sentences, hidden, generator=generator)
    labels = torch.randint(n_classes, (n_sentences,), generator=generator)
    labels[0] = n_classes - 1
    weights = torch.randn(n_problems * n_classes, hidden, generator=generator)
    intercepts = torch.randn(n_problems * n_classes, generator=generator)
    counts = [torch.randint(4, (n_problems, n_sentences), generator=generator).float()] if counted else []
    found = fuse_loss([(slice(0, n_sentences), vectors)], hidden, labels)(weights, intercepts, *counts)
    by_hand = sum_by_hand(vectors, labels, weights, intercepts, n_classes, *counts)
    for own, expected in zip(found, by_hand, strict=True):
        scale = float(expected.abs().max())
        torch.testing.assert_close(own.double(), expected, rtol=0, atol=RELATIVE * scale)


@needs_kernels
@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("n_classes", [2, 20])
@pytest.mark.parametrize("read", [[(0, 40)], [(40, 80), (80, 120)], [(0, 40), (80, 120), (600, 700)], [(520, 1320)]])
def test_columns_without_weights_need_not_be_read(read, n_classes):
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(150, 1320, generator=generator)
    labels = torch.arange(150) % n_classes
    columns = torch.cat([torch.arange(*run) for run in read])
    weights, intercepts = torch.zeros(2 * n_classes, 1320), torch.randn(2 * n_classes, generator=generator)
    weights[:, columns] = torch.randn(2 * n_classes, len(columns), generator=generator) / 4
    found = fuse_loss([(slice(0, 150), vectors)], 1320, labels)(weights, intercepts, read=read)
    by_hand = sum_by_hand(vectors, labels, weights, intercepts, n_classes)
    for number, (own, expected) in enumerate(zip(found, by_hand, strict=True)):
        one, other = (own[:, columns], expected[:, columns]) if number == 1 else (own, expected)
        torch.testing.assert_close(one.double(), other, rtol=0, atol=RELATIVE * float(other.abs().max()))


@needs_kernels
@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("read", [[(0, 0)], [(8, 16), (0, 8)], [(0, 9), (8, 10)], [(-1, 3)], [(0, 65)]])
def test_columns_to_read_are_runs_that_go_up(read):
    add_up = fuse_loss([(slice(0, 4), torch.zeros(4, 64))], 64, torch.arange(4) % 2)
    with pytest.raises(ValueError, match="of 64, not behind those before"):
        add_up(torch.zeros(2, 64), torch.zeros(2), read=read)


@needs_kernels
@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("n_classes", [2, 6, 30])
def test_a_probe_ends_with_the_loss_that_it_has_without_kernels(n_classes, monkeypatch):
    stack, labels = draw_stack(n_layers=3, n=600, hidden=40, n_classes=n_classes)
    fused = LinearProbe([0.003]).fit(stack, labels, stack, labels)
    monkeypatch.setattr(logistic_problem, "can_fuse", lambda vectors, labels, tolerance: False)
    exact = LinearProbe([0.003], tolerance=1e-6, max_iterations=2000).fit(stack, labels, stack, labels)
    assert fused.converged_.all()
    # From log(n_classes) nats at the start; where the gradient is 5e-4 of what it was, no more than that is left.
    np.testing.assert_allclose(fused.loss_, exact.loss_, atol=5e-4)
    np.testing.assert_allclose(fused.dev_scores_, exact.dev_scores_, atol=0.02)


@needs_kernels
def test_exact_products_are_used_where_kernels_would_not_do(engine):
    stack, labels = map(torch.from_numpy, draw_stack(n_layers=1, n=20))
    assert can_fuse(stack[0], labels, 1e-3)
    assert can_fuse(stack[0], labels, 1e-6) == (engine != "amx")
    assert not can_fuse(stack[0].double(), labels, 1e-3)
    assert not can_fuse(stack[0], torch.nn.functional.one_hot(labels).float(), 1e-3)


def test_torch_does_it_where_there_is_no_engine_and_that_is_said(monkeypatch):
    stack, labels = map(torch.from_numpy, draw_stack(n_layers=1, n=20))
    monkeypatch.setattr(fused, "find_engine", lambda numbers: "")
    monkeypatch.setattr(fused, "why_not", lambda numbers: f"no {numbers} to be had")
    assert not can_fuse(stack[0], labels, 1e-3)
    assert explain_engine() == "torch: no float32 to be had"


@pytest.mark.parametrize(
    ("bfloat16", "float32", "chosen"),
    [("amx", "avx512", "amx"), ("avx512_bf16", "avx512", "avx512"), ("", "avx2", "avx2"), ("", "", "")],
)
def test_products_are_on_the_matrix_unit_or_in_float32(bfloat16, float32, chosen, monkeypatch):
    monkeypatch.setattr(fused, "find_engine", {"bfloat16": bfloat16, "float32": float32}.get)
    assert choose_engine() == chosen


@needs_kernels
@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("counted", [False, True])
@pytest.mark.parametrize("n_classes", [2, 7])
def test_the_mix_has_the_losses_and_gradients_that_it_has_without_kernels(n_classes, counted):
    stack, labels = draw_stack(n_layers=4, n=1100, hidden=40, n_classes=n_classes)
    generator = torch.Generator().manual_seed(0)
    counts = torch.randint(4, (2, 1100), generator=generator).float() if counted else None
    arguments = StackBlocks(stack), torch.from_numpy(labels), (0.1, 0.01), counts
    fused, exact = MixProblem(*arguments), MixProblem(*arguments)
    fused.loss.prepare(1e-3)
    points = torch.randn(2, n_classes * 41 + 4, generator=generator)
    for order in (torch.tensor([0, 1]), torch.tensor([1])):
        (losses, gradients), (losses_there, gradients_there) = (one(points[order], order) for one in (fused, exact))
        assert not torch.equal(gradients, gradients_there)
        torch.testing.assert_close(losses, losses_there, rtol=RELATIVE, atol=0)
        scale = float(gradients_there.abs().max())
        torch.testing.assert_close(gradients, gradients_there, rtol=0, atol=RELATIVE * scale)


@needs_kernels
@pytest.mark.usefixtures("engine")
def test_the_mix_ends_where_it_ends_without_kernels(monkeypatch):
    stack, labels = draw_stack(n_layers=3, n=600, hidden=40, n_classes=3)
    fused = ScalarMixProbe([0.01]).fit(stack, labels, stack, labels)
    monkeypatch.setattr(mix_loss, "can_fuse", lambda vectors, labels, tolerance: False)
    exact = ScalarMixProbe([0.01]).fit(stack, labels, stack, labels)
    assert fused.converged_
    assert fused.loss_ == pytest.approx(exact.loss_, abs=5e-4)
    np.testing.assert_allclose(fused.weights_, exact.weights_, atol=0.02)


@pytest.fixture
def mapped(tmp_path, monkeypatch):
    """A function that puts a stack on disk; all that is as large stays there from then on."""

    def put(stack):
        monkeypatch.setattr(mapped_arrays, "IN_MEMORY_BYTES", 0)
        array = mapped_arrays.allocate(stack.shape, tmp_path)
        array[:] = stack
        return array

    return put


@needs_kernels
@pytest.mark.parametrize("probe", [partial(ScalarMixProbe, [0.01]), ConcatProbe])
def test_probes_of_a_stack_on_disk_are_those_of_one_in_memory_to_the_bit(probe, mapped):
    stack, labels = draw_stack(n_layers=3, n=150, hidden=16, n_classes=3)
    dev = stack[:, :100].copy(), labels[:100]
    one, other = (probe().fit(X, labels, *dev) for X in (stack, mapped(stack)))
    np.testing.assert_array_equal(one.coef_, other.coef_)
    np.testing.assert_array_equal(one.dev_scores_, other.dev_scores_)


@needs_kernels
@pytest.mark.usefixtures("engine")
def test_sums_over_vectors_on_disk_are_those_of_vectors_in_memory_to_the_bit(mapped):
    stack, labels = draw_stack(n_layers=1, n=500, hidden=40, n_classes=3)
    blocks = [(slice(at, at + 250), torch.from_numpy(stack[0, at : at + 250])) for at in (0, 250)]
    room = find_room(mapped(stack), 500, 40)
    weights = torch.randn(6, 40, generator=torch.Generator().manual_seed(0))
    both = [fuse_loss(blocks, 40, torch.from_numpy(labels), **one) for one in ({}, {"room": room})]
    for one, other in zip(*(add_up(weights, torch.zeros(6)) for add_up in both), strict=True):
        assert torch.equal(one, other)


@needs_kernels
def test_a_stack_on_disk_is_copied_beside_it_and_where_there_is_no_room_torch_reads_it(mapped, monkeypatch):
    stack, labels = draw_stack(n_layers=3, n=60, hidden=40, n_classes=3)
    losses = [MixProblem(StackBlocks(X), torch.from_numpy(labels), (0.1,)).loss for X in (stack, mapped(stack))]
    rooms = []
    monkeypatch.setattr(mix_loss, "fuse_loss", lambda *arguments: rooms.append(is_mapped(arguments[-1])))
    for loss in losses:
        loss.prepare(1e-3)
    monkeypatch.setattr(fused, "allocate_beside", lambda array, shape: None)
    losses[1].prepare(1e-3)
    assert rooms == [False, True]


@needs_kernels
@pytest.mark.usefixtures("engine")
@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="needs /proc")
def test_pages_of_vectors_on_disk_are_given_back_on_the_way(mapped, monkeypatch):
    n, width = 2**15, 512  # 64 MiB, of which the kernels keep 16, and the rest of one part
    labels, room = torch.arange(n) % 2, find_room(mapped(np.zeros((1, 8, width), np.float32)), n, width)
    blocks = ((slice(start, start + 1024), torch.full((1024, width), 0.5)) for start in range(0, n, 1024))
    monkeypatch.setattr(fused, "HELD_BYTES", 2**24)
    with watch_mapped() as on_the_way:
        add_up = fuse_loss(blocks, width, labels, room=room)
        losses, _, _ = add_up(torch.zeros(2, width), torch.zeros(2))
        losses, _, _ = add_up(torch.zeros(2, width), torch.zeros(2))
    assert losses.item() == pytest.approx(n * np.log(2), rel=1e-5)
    with watch_mapped() as altogether:
        room.sum()
    assert max(on_the_way) - min(on_the_way) < 40 * 2**20
    assert max(altogether) - min(altogether) > 60 * 2**20


@needs_kernels
@pytest.mark.usefixtures("engine")
def test_a_room_that_is_too_small_is_refused():
    room = np.zeros(100, np.float32)
    with pytest.raises(ValueError, match=r"a room with \d+ bytes left, expected \d+"):
        fuse_loss([(slice(0, 600), torch.zeros(600, 40))], 40, torch.arange(600) % 2, room=room)


@contextmanager
def watch_mapped():
    """Bytes of mapped files in memory: at the beginning, all the while as another thread sees it, at the end."""
    found, ended = [count_mapped()], threading.Event()

    def look():
        while not ended.is_set():
            found.append(count_mapped())

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield found
    finally:
        ended.set()
        thread.join()
        found.append(count_mapped())


def count_mapped():
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssFile:"))


@needs_kernels
@pytest.mark.usefixtures("engine")
def test_vectors_and_labels_must_fit_together():
    stack, labels = map(torch.from_numpy, draw_stack(n_layers=1, n=20))
    with pytest.raises(ValueError, match="another shape than the sentences from 10 on"):
        fuse_loss([(slice(10, 30), stack[0])], stack.shape[2], labels)
    add_up = fuse_loss([(slice(0, 20), stack[0])], stack.shape[2], labels)
    rows = int(labels.max()) + 1
    with pytest.raises(ValueError, match="19 counts, expected 1 x 20"):
        add_up(torch.zeros(rows, stack.shape[2]), torch.zeros(rows), torch.ones(1, 19))


@needs_kernels
@pytest.mark.usefixtures("engine")
def test_sums_are_the_same_on_any_number_of_threads(monkeypatch):
    monkeypatch.setattr("probing.probes.fused._WORTH_THREADS", 0)
    stack, labels = map(torch.from_numpy, draw_stack(n_layers=1, n=4000, hidden=600, n_classes=5))
    add_up = fuse_loss([(slice(0, 4000), stack[0])], 600, labels)
    weights = torch.randn(10, 600, generator=torch.Generator().manual_seed(0))
    found = [run_limited(threads, add_up, weights, torch.zeros(10)) for threads in (1, 2, 5)]
    for one, two, five in zip(*found, strict=True):
        assert torch.equal(one, two)
        assert torch.equal(one, five)


@pytest.mark.parametrize("n_classes", [2, 12])
def test_the_number_of_threads_changes_no_bit_of_linear_probes(n_classes):
    stack, labels = draw_stack(n_layers=5, n=150, hidden=32, n_classes=n_classes)
    found = [run_limited(threads, LinearProbe().fit, stack, labels, stack, labels) for threads in (1, 3)]
    np.testing.assert_array_equal(found[0].coef_, found[1].coef_)


def test_fitting_leaves_the_number_of_threads_as_it_was():
    stack, labels = draw_stack(n_layers=4, n=60)
    before = torch.get_num_threads()
    LinearProbe().fit(stack, labels, stack, labels)
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(("engine", "classes"), [("amx", 99), ("avx512", 32), ("avx2", 14)])
def test_a_mix_of_many_classes_goes_through_torch_where_that_costs_less(engine, classes, monkeypatch):
    monkeypatch.setattr(fused, "choose_engine", lambda: engine)
    assert fused.suits_mix(classes)
    assert fused.suits_mix(classes + 1) == (engine == "amx")
