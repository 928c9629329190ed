"""Distributions against plain loops over known counts."""

from __future__ import annotations

import numpy as np
import pytest

from gradviz.analysis import distribution, merge_updates
from gradviz.schema import BIN_NAMES, BINS
from tests.reference_distributions import LAYERS, reference_counts, reference_distributions


def test_one_layer_is_its_own_rows() -> None:
    found = distribution(reference_distributions(updates=5), layer=LAYERS[1])
    assert found.first_update.tolist() == found.last_update.tolist() == [0, 1, 2, 3, 4]
    assert found.updates.tolist() == [1] * 5
    for update in range(5):
        assert found.counts[update].tolist() == reference_counts(update, 1).tolist()


def test_all_layers_together_add_up() -> None:
    found = distribution(reference_distributions(updates=3))
    for update in range(3):
        wanted = sum(reference_counts(update, layer) for layer in range(len(LAYERS)))
        assert found.counts[update].tolist() == wanted.tolist()


def test_updates_are_chosen_with_both_ends() -> None:
    frame = reference_distributions(updates=9)
    assert distribution(frame, layer=LAYERS[0], updates=(3, 5)).first_update.tolist() == [3, 4, 5]
    assert len(distribution(frame, layer=LAYERS[0], updates=(20, 30)).updates) == 0


def test_shares_and_limits_by_the_names_of_the_bins() -> None:
    found = distribution(reference_distributions(updates=2), layer=LAYERS[0])
    counts = dict(zip(BIN_NAMES, found.counts[1].tolist(), strict=True))
    total = sum(counts.values())
    assert found.zeros[1] == counts["zeros"] / total
    small = counts["below_2^-126"] + counts["2^-126_to_2^-65"]
    small += sum(counts[f"2^{exponent}"] for exponent in range(-64, -14))
    assert found.below(-14)[1] == pytest.approx(small / total)
    assert found.below(-64)[1] == pytest.approx((counts["below_2^-126"] + counts["2^-126_to_2^-65"]) / total)
    np.testing.assert_allclose(found.shares.sum(axis=1), 1)


@pytest.mark.parametrize(("count", "rows"), [(3, 24), (24, 24), (25, 24), (100, 7), (7, 1)])
def test_merging_updates_loses_no_element(count: int, rows: int) -> None:
    whole = distribution(reference_distributions(updates=count), layer=LAYERS[2])
    merged = merge_updates(whole, rows=rows)
    assert len(merged.updates) <= rows or merged is whole
    assert merged.updates.sum() == count
    np.testing.assert_array_equal(merged.counts.sum(axis=0), whole.counts.sum(axis=0))
    assert merged.first_update[0] == 0
    assert merged.last_update[-1] == count - 1
    assert merged.first_update[1:].tolist() == (merged.last_update[:-1] + 1).tolist()


def test_a_run_without_distributions_is_empty() -> None:
    found = distribution(reference_distributions(updates=0), layer=LAYERS[0])
    assert found.counts.shape == (0, BINS)
    assert merge_updates(found).counts.shape == (0, BINS)


def test_a_layer_without_a_finite_element_has_shares_of_zero() -> None:
    frame = reference_distributions(updates=1)
    frame[list(BIN_NAMES)] = 0
    assert not distribution(frame, layer=LAYERS[0]).shares.any()
