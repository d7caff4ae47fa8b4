"""Which part of the data goes into which split."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcseg.errors import LcsegError
from lcseg.records.splits import assign_splits

NAMES = [f"scene-{i}/{j}/{k}" for i in range(4) for j in range(5) for k in range(5)]


def test_units_are_dealt_to_the_splits_by_their_shares():
    splits = assign_splits(["a", "b", "c"], {"val": 1 / 3, "test": 1 / 3}, seed=0)
    assert sorted(splits) == ["a", "b", "c"]
    assert sorted(splits.values()) == ["test", "train", "val"]


@st.composite
def deals(draw) -> tuple[list[str], dict[str, float], int]:
    names = draw(st.lists(st.text(max_size=6), min_size=3, max_size=40, unique=True))
    share = draw(st.floats(0, 1))
    whole = draw(st.floats(0, 0.999))
    shares = {"val": whole * share, "test": whole * (1 - share)}
    return names, shares, draw(st.integers(0, 2**31))


@given(deals())
def test_every_unit_is_dealt_and_every_wanted_split_gets_one(deal):
    names, shares, seed = deal
    splits = assign_splits(names, shares, seed)
    assert set(splits) == set(names)
    wanted = {split for split, share in shares.items() if share > 0}
    assert set(splits.values()) == wanted | {"train"}


@given(deals(), st.randoms(use_true_random=False))
def test_deal_does_not_depend_on_the_order_of_the_units(deal, random):
    names, shares, seed = deal
    shuffled = names.copy()
    random.shuffle(shuffled)
    assert assign_splits(shuffled, shares, seed) == assign_splits(names, shares, seed)


@pytest.mark.parametrize(("val", "test"), [(0.15, 0.15), (0.2, 0.1), (0.5, 0.25), (0.1, 0.0)])
def test_sizes_are_the_shares_to_the_nearest_unit(val, test):
    counts = Counter(assign_splits(NAMES, {"val": val, "test": test}, seed=3).values())
    assert counts["val"] == round(100 * val)
    assert counts["test"] == round(100 * test)
    assert counts["train"] == 100 - counts["val"] - counts["test"]


@pytest.mark.parametrize(("val", "test"), [(0.9, 0.05), (0.5, 0.49), (0.01, 0.98), (0.45, 0.45)])
@pytest.mark.parametrize("n_units", [3, 4, 5])
def test_greedy_shares_leave_a_unit_for_every_split(val, test, n_units):
    splits = assign_splits(NAMES[:n_units], {"val": val, "test": test}, seed=0)
    assert set(splits.values()) == {"train", "val", "test"}


def test_other_seed_gives_another_deal():
    shares = {"val": 0.15, "test": 0.15}
    deals = [assign_splits(NAMES, shares, seed) for seed in range(5)]
    assert all(one != other for i, one in enumerate(deals) for other in deals[:i])


def test_deal_is_the_same_in_every_process_and_release():
    splits = assign_splits(["a", "b", "c", "d", "e", "f"], {"val": 0.2, "test": 0.2}, seed=0)
    assert {unit: s for unit, s in splits.items() if s != "train"} == {"d": "test", "f": "val"}


def test_share_of_zero_gets_no_unit():
    splits = assign_splits(NAMES, {"val": 0.2, "test": 0.0}, seed=0)
    assert set(splits.values()) == {"train", "val"}
    assert set(assign_splits(["a"], {"val": 0.0, "test": 0.0}, seed=0).values()) == {"train"}


def test_unit_that_is_named_twice_is_dealt_once():
    assert assign_splits(["a", "b", "a"], {"val": 0.5}, 0) == assign_splits(
        ["a", "b"], {"val": 0.5}, 0
    )


@pytest.mark.parametrize("n_units", [1, 2])
def test_too_few_units_are_refused_with_what_would_help(n_units):
    with pytest.raises(LcsegError) as error:
        assign_splits(NAMES[:n_units], {"val": 0.15, "test": 0.15}, seed=0)
    assert str(error.value) == (
        f"--split_by: {n_units} units cannot be dealt to train, val, test; "
        "use smaller --chip_px or --block_chips, or set --val_share or --test_share to 0"
    )
