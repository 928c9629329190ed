"""The same moment has one number on all ranks, also where one of them counted an event more."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from gradviz.store.moments import Moments, match_moments

RESET, MICRO, EDIT, UPDATE = range(4)
WINDOW = [(0, RESET), (1, MICRO), (2, MICRO), (2, UPDATE)]


def table(events: list[tuple[int, int, int, int]]) -> pa.Table:
    columns = list(zip(*events, strict=True)) or [()] * 4
    names = ("event", "update", "micro_step", "phase")
    return pa.table({name: pa.array(column, pa.int64()) for name, column in zip(names, columns, strict=True)})


def told(moments: Moments, rank: int) -> list[int]:
    """The numbers of a rank's own events, in order."""
    numbers, known = moments.numbers(rank, moments.own[rank])
    assert known.all()
    return numbers.tolist()


def windows(count: int, extra: dict[int, tuple[int, int]] | None = None) -> list[tuple[int, int, int, int]]:
    """Events of `count` windows; `extra[update]` is a (micro_step, phase) after the first micro-step."""
    moments = []
    for update in range(count):
        kinds = list(WINDOW)
        if extra and update in extra:
            kinds.insert(2, extra[update])
        moments += [(update, *kind) for kind in kinds]
    return [(number, *moment) for number, moment in enumerate(moments)]


def test_ranks_that_count_alike_keep_their_numbers() -> None:
    both = match_moments({0: table(windows(3)), 1: table(windows(3)[:7] + windows(3)[9:])})
    assert both.number.tolist() == list(range(12))
    assert told(both, 1) == [0, 1, 2, 3, 4, 5, 6, 9, 10, 11]
    assert both.present(1).tolist() == [event not in (7, 8) for event in range(12)]


def test_an_edit_that_one_rank_saw_moves_the_others_on() -> None:
    both = match_moments({0: table(windows(3)), 2: table(windows(3, {1: (1, EDIT)}))})
    assert told(both, 2) == list(range(13))
    assert told(both, 0) == [0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12]
    assert both.update.tolist() == [0] * 4 + [1] * 5 + [2] * 4


def test_two_updates_of_one_window_are_two_moments() -> None:
    events = [(0, 0, 1, MICRO), (1, 0, 1, UPDATE), (2, 0, 1, UPDATE), (3, 1, 0, RESET)]
    longer = [(0, 0, 0, RESET), *((event + 1, *rest) for event, *rest in events)]
    both = match_moments({0: table(events), 1: table(longer)})
    assert told(both, 0) == [1, 2, 3, 4]
    assert told(both, 1) == [0, 1, 2, 3, 4]


def test_nothing_is_known_of_a_rank_that_has_nothing() -> None:
    both = match_moments({0: table(windows(1)), 1: table([])})
    assert told(both, 1) == []
    numbers, known = both.numbers(1, np.array([0, 1]))
    assert (numbers.tolist(), known.tolist()) == ([0, 0], [False, False])


@settings(deadline=None)
@given(st.lists(st.dictionaries(st.integers(0, 4), st.just((1, EDIT))), min_size=1, max_size=4), st.data())
def test_numbers_ascend_and_equal_moments_share_them(extras: list[dict], data: st.DataObject) -> None:
    """Whatever a rank saw besides or dropped: its events stay in order, and only equal moments meet."""
    ranks = {}
    for rank, extra in enumerate(extras):
        events = windows(5, extra)
        lost = data.draw(st.sets(st.sampled_from([event[0] for event in events]), max_size=5))
        ranks[rank] = [event for event in events if event[0] not in lost]
    both = match_moments({rank: table(events) for rank, events in ranks.items()})
    assert (np.diff(both.number) > 0).all()
    what: dict[int, tuple] = {}
    for rank, events in ranks.items():
        numbers = told(both, rank)
        assert (np.diff(numbers) > 0).all()
        for number, (_, *moment) in zip(numbers, events, strict=True):
            assert what.setdefault(number, tuple(moment)) == tuple(moment)
    assert len(what) == len(both.number)
