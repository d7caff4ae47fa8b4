"""Which part of the data goes into which split."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcseg.errors import LcsegError
from lcseg.records.splits import assign_splits, deal_evenly

SIZES = {f"scene-{i}/{j}/{k}": 1 for i in range(4) for j in range(5) for k in range(5)}


def of(names: str) -> dict[str, int]:
    return dict.fromkeys(names, 1)


def test_units_are_dealt_to_the_splits_by_their_shares():
    splits = assign_splits({"a": 2, "b": 2, "c": 2}, {"val": 1 / 3, "test": 1 / 3}, seed=0)
    assert sorted(splits) == ["a", "b", "c"]
    assert sorted(splits.values()) == ["test", "train", "val"]


@st.composite
def deals(draw) -> tuple[dict[str, int], dict[str, float], int]:
    sizes = draw(st.dictionaries(st.text(max_size=6), st.integers(1, 50), min_size=3, max_size=40))
    share = draw(st.floats(0, 1))
    whole = draw(st.floats(0, 0.999))
    shares = {"val": whole * share, "test": whole * (1 - share)}
    return sizes, shares, draw(st.integers(0, 2**31))


@given(deals())
def test_every_unit_is_dealt_and_every_wanted_split_gets_one(deal):
    sizes, shares, seed = deal
    splits = assign_splits(sizes, shares, seed)
    assert set(splits) == set(sizes)
    wanted = {split for split, share in shares.items() if share > 0}
    assert set(splits.values()) == wanted | {"train"}


@given(deals())
def test_no_split_is_further_from_its_share_than_its_largest_unit(deal):
    sizes, shares, seed = deal
    splits = assign_splits(sizes, shares, seed)
    total = sum(sizes.values())
    for split, share in shares.items():
        held = [sizes[unit] for unit in sizes if splits[unit] == split]
        assert sum(held) <= share * total + max([*held, 0])


@given(deals(), st.randoms(use_true_random=False))
def test_deal_does_not_depend_on_the_order_of_the_units(deal, random):
    sizes, shares, seed = deal
    names = list(sizes)
    random.shuffle(names)
    shuffled = {name: sizes[name] for name in names}
    assert assign_splits(shuffled, shares, seed) == assign_splits(sizes, shares, seed)


@pytest.mark.parametrize(("val", "test"), [(0.15, 0.15), (0.2, 0.1), (0.5, 0.25), (0.1, 0.0)])
def test_sizes_are_the_shares_to_the_nearest_unit(val, test):
    counts = Counter(assign_splits(SIZES, {"val": val, "test": test}, seed=3).values())
    assert counts["val"] == round(100 * val)
    assert counts["test"] == round(100 * test)
    assert counts["train"] == 100 - counts["val"] - counts["test"]


@pytest.mark.parametrize("seed", range(5))
def test_shares_are_of_the_size_and_not_of_the_number_of_units(seed):
    sizes = {f"{i}": 1 + 9 * (i % 2) for i in range(200)}
    splits = assign_splits(sizes, {"val": 0.2, "test": 0.2}, seed)
    held: Counter[str] = Counter()
    for unit, split in splits.items():
        held[split] += sizes[unit]
    assert held["val"] == pytest.approx(220, abs=5)
    assert held["test"] == pytest.approx(220, abs=5)


@pytest.mark.parametrize(("val", "test"), [(0.9, 0.05), (0.5, 0.49), (0.01, 0.98), (0.45, 0.45)])
@pytest.mark.parametrize("n_units", [3, 4, 5])
def test_greedy_shares_leave_a_unit_for_every_split(val, test, n_units):
    splits = assign_splits(of("abcde"[:n_units]), {"val": val, "test": test}, seed=0)
    assert set(splits.values()) == {"train", "val", "test"}


def test_other_seed_gives_another_deal():
    shares = {"val": 0.15, "test": 0.15}
    deals = [assign_splits(SIZES, shares, seed) for seed in range(5)]
    assert all(one != other for i, one in enumerate(deals) for other in deals[:i])


def test_deal_is_the_same_in_every_process_and_release():
    splits = assign_splits(of("abcdef"), {"val": 0.2, "test": 0.2}, seed=0)
    assert {unit: s for unit, s in splits.items() if s != "train"} == {"d": "test", "f": "val"}


def test_share_of_zero_gets_no_unit():
    splits = assign_splits(SIZES, {"val": 0.2, "test": 0.0}, seed=0)
    assert set(splits.values()) == {"train", "val"}
    assert set(assign_splits(of("a"), {"val": 0.0, "test": 0.0}, seed=0).values()) == {"train"}


@pytest.mark.parametrize("n_units", [1, 2])
def test_too_few_units_are_refused_with_what_would_help(n_units):
    with pytest.raises(LcsegError) as error:
        assign_splits(of("ab"[:n_units]), {"val": 0.15, "test": 0.15}, seed=0)
    assert str(error.value) == (
        f"--split_by: {n_units} unit{'s' * (n_units > 1)} cannot be dealt to train, val, test; "
        "use smaller --chip_px or --block_chips, or set --val_share or --test_share to 0"
    )


@given(deals(), st.integers(1, 3))
def test_groups_hold_about_as_much(deal, groups):
    sizes, _, seed = deal
    dealt = deal_evenly(sizes, groups, seed)
    assert dealt.keys() == sizes.keys()
    held = Counter(dict.fromkeys(range(groups), 0))
    for unit, group in dealt.items():
        held[group] += sizes[unit]
    assert set(held) == set(dealt.values()) == set(range(groups))
    # The last unit that a group got was its smallest, and it held least before.
    assert max(held.values()) - min(held.values()) <= max(sizes.values())
    assert dealt == deal_evenly(dict(reversed(sizes.items())), groups, seed)


def test_another_seed_deals_groups_otherwise():
    first, second = (deal_evenly(SIZES, 5, seed) for seed in (0, 1))
    assert first != second
    assert (
        Counter(first.values()) == Counter(second.values()) == Counter(dict.fromkeys(range(5), 20))
    )
