"""A callback for the Trainer of Hugging Face Transformers."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from gradviz.integrations.batches import missing, sizes
from gradviz.recording import Recorder, watch

try:
    from transformers import TrainerCallback
except ImportError as error:
    raise missing("transformers", error) from error


class GradvizCallback(TrainerCallback):
    """Records with `gradviz.watch` from the begin of `Trainer.train()` to its end.

    Beside the gradients: the epoch, and the samples and tokens of each micro-batch (unless the Trainer
    compiles the model). A Trainer tells its callbacks of no exception: `with GradvizCallback() as callback:`
    around `train()` closes the run as crashed at once, else it is closed when the process ends.

    Args:
        **options: what `gradviz.watch` takes. `accumulation_steps` and `scaler` are known from the Trainer.
    """

    def __init__(self, **options: Any) -> None:
        self.recorder = Recorder()
        self._options = options
        self._inputs: Any = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Watch the model and the optimizer that the Trainer has made."""
        model, optimizer = kwargs["model"], kwargs["optimizer"]
        known: dict[str, Any] = {
            "accumulation_steps": args.gradient_accumulation_steps,
            "scaler": getattr(optimizer, "scaler", None),
        }
        own = getattr(optimizer, "optimizer", optimizer)  # the prepared one has no hooks
        self._forget_inputs()
        self.recorder = watch(model, own, **(known | self._options))
        if not args.torch_compile:  # a hook of Python would break its graph
            self._inputs = model.register_forward_pre_hook(self._read, with_kwargs=True)

    def _read(self, _model: Any, _args: Any, inputs: dict[str, Any]) -> None:
        self.recorder.log(**sizes(inputs))  # of an evaluation too: the next training forward takes its place

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The first micro-step of a window is about to begin."""
        self.recorder.log(epoch=state.epoch)

    on_substep_end = on_step_begin  # another one of the same window is

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """End the recording."""
        self.__exit__(None, None, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._forget_inputs()
        self.recorder.__exit__(kind, error, trace)

    def _forget_inputs(self) -> None:
        if self._inputs is not None:
            self._inputs.remove()
            self._inputs = None
