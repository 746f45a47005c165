"""Weights stored in few bytes."""

import torch

from medxgan.packing import SMALLEST_SCALE, pack, unpack


def weights(seed=0):
    random = torch.Generator().manual_seed(seed)
    return {
        "matrix": torch.randn(5, 300, generator=random),
        "kernel": torch.randn(3, 2, 3, 3, generator=random),
        "bias": torch.randn(4, generator=random),
    }


def test_a_row_is_off_by_at_most_half_a_level():
    given, got = weights()["matrix"], unpack(pack(weights()))["matrix"]
    level = given.abs().amax(dim=1, keepdim=True) / 127
    assert (got - given).abs().max() > 0
    assert ((got - given).abs() <= 0.51 * level).all()


def test_all_but_matrices_are_rounded_to_half():
    given, got = weights(), unpack(pack(weights()))
    assert list(got) == list(given)
    for name in ("kernel", "bias"):
        assert torch.equal(got[name], given[name].half().float())


def test_packing_again_changes_nothing():
    once = unpack(pack(weights()))
    twice = unpack(pack(once))
    assert all(torch.equal(once[name], twice[name]) for name in once)


def test_rows_of_zeros_and_of_tiny_numbers_stay_finite():
    rows = torch.tensor([[0.0, 0.0], [1e-9, -1e-9]])
    got = unpack(pack({"matrix": rows}))["matrix"]
    assert (got - rows).abs().max() <= SMALLEST_SCALE / 2


def test_a_weight_may_be_called_scale():
    given = {"norm.scale": torch.ones(3), "norm.matrix": torch.ones(2, 2)}
    assert set(unpack(pack(given))) == set(given)


def test_what_was_never_packed_comes_back_as_it_is():
    stored = {"weight": torch.ones(2, 2), "batches": torch.tensor(3)}
    got = unpack(stored)
    assert torch.equal(got["weight"], torch.ones(2, 2)) and got["batches"].dtype == torch.int64
