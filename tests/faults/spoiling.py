"""Run folders with one file cut short or one bit flipped, and what a reader may say of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from gradviz.errors import GradvizError
from gradviz.store import Run, list_runs, open_run
from gradviz.store.moments import MOMENT

Frames = dict[str, pd.DataFrame]


def files_of(run: Path) -> list[Path]:
    """Every file of a run with something in it."""
    return sorted(path for path in run.rglob("*") if path.is_file() and path.stat().st_size)


def cuts(size: int, block: int) -> list[int]:
    """Lengths to which a file is cut: at every block, and around its ends."""
    return sorted({*range(0, size, block), 1, 4, size // 2, size - 8, size - 4, size - 1} & set(range(size)))


def frames_of(run: Run) -> Frames:
    """All numbers of a run."""
    told = {"state": run.state, "dropped": run.dropped, "reason": run.reason, **run.metadata}
    return {
        "gradients": run.gradients(),
        "events": run.events(),
        "overview": run.overview(),
        "distributions": run.distributions(),
        "layers": run.layers,
        "segments": run.segments,
        "told": pd.DataFrame({"key": map(str, told), "value": map(str, told.values())}),
    }


@dataclass
class Spoiled:
    """A run, its numbers when it was sound, and one of its files."""

    run: Path
    sound: Frames
    path: Path

    def check(self, content: bytes, where: str) -> bool:
        """Read with other content in the file; returns whether that was noticed.

        Identical, or an error or a damage that names the file; then the frames that do not come from the file are
        identical, and what is left of those that do is some of their rows, unchanged.
        """
        whole = self.path.read_bytes()
        self.path.write_bytes(content)
        try:
            return self._check(where)
        finally:
            self.path.write_bytes(whole)

    def _check(self, where: str) -> bool:
        said = ""
        try:
            run = open_run(self.run)
            frames = frames_of(run)
        except GradvizError as error:
            said = str(error)
        if said:
            assert self.path.name in said or "Upgrade with" in said, where
            assert all(known.path == self.run for known in list_runs(self.run.parent)), where
            return True
        damaged = {damage.path for damage in run.damaged}
        assert damaged <= {self.path}, where
        for name, frame in frames.items():
            if not damaged:
                pd.testing.assert_frame_equal(frame, self.sound[name], obj=f"{where}: {name}")
            elif name not in self._from_the_file():
                pd.testing.assert_frame_equal(
                    frame, self.sound[name], obj=f"{where}: {name}, of another file"
                )
            elif name == "events":
                assert_told(frame, self.sound[name], where)
            elif name in ("gradients", "distributions"):
                keys = [key for key in ("event", "layer") if key in frame]
                assert_some_of(frame, self.sound[name], keys, f"{where}: {name}")
        return bool(damaged)

    def _from_the_file(self) -> set[str]:
        """Frames that may lose rows with the file: gradients are the commit of all, the overview is made of them."""
        kind = self.path.parent.parent.name
        if kind == "gradients":
            return {"gradients", "events", "overview", "distributions"}
        if kind in ("events", "overview", "distributions"):
            return {kind}
        return {"told", "segments"}


def assert_told(events: pd.DataFrame, whole: pd.DataFrame, where: str) -> None:
    """Each event is as it was; or, where its own part is damaged, what the gradients tell of it and nothing else."""
    untold = events["seconds"].isna()
    moments, rest = events.loc[untold, list(MOMENT)], events[untold].drop(columns=[*MOMENT, "loss_is_nan"])
    assert rest.isna().all(axis=None), where
    assert not events.loc[untold, "loss_is_nan"].any(), where
    for some in (moments, events[~untold]):
        assert_some_of(some.reset_index(drop=True), whole, ["event"], f"{where}: events")


def assert_some_of(frame: pd.DataFrame, whole: pd.DataFrame, keys: list[str], where: str) -> None:
    """Each row of a frame is one of the whole, in its order."""
    rows = pd.MultiIndex.from_frame(frame[keys].astype(str))
    all_rows = pd.MultiIndex.from_frame(whole[keys].astype(str))
    assert rows.is_unique, where
    left = whole[all_rows.isin(rows)].reset_index(drop=True)
    pd.testing.assert_frame_equal(frame, left[list(frame)], check_dtype=False, obj=where)


def spoiled(run: Path) -> Iterator[Spoiled]:
    """Each file of a run in its turn."""
    sound = frames_of(open_run(run))
    for path in files_of(run):
        yield Spoiled(run, sound, path)


def flipped(content: bytes, bit: int) -> bytes:
    """The content with one bit the other way."""
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


Change = Callable[[bytes], bytes]
