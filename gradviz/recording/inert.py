"""What `gradviz.watch` returns, and all that is left of it where nothing is recorded."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from torch import Tensor

if TYPE_CHECKING:
    from gradviz.diagnostics import Finding


class Recorder:
    """What `gradviz.watch` returns; a context manager.

    Of itself it records nothing: with `GRADVIZ_MODE=off`, after bad input, and in copies and pickles
    it is just this.
    """

    run_path: Path | None = None
    """The run's folder; None where nothing is recorded."""

    def log(self, **scalars: float | Tensor) -> None:
        """Attach named numbers (`loss=`, `samples=`, `tokens=`, ...) to the micro-step of the next `backward()`."""

    def findings(self) -> list[Finding]:
        """What is wrong so far, as `gradviz.diagnose` says of the run; the worst first."""
        return []

    def close(self) -> None:
        """Write what is left and remove every hook. Calling it again does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[type[Recorder], tuple[()]]:
        return Recorder, ()  # a copy, or another process, must not record

    def __deepcopy__(self, _memo: object) -> Recorder:
        return Recorder()
