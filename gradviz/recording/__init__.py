"""Recording: hooks on a model's parameters, an optimizer and the backward pass. The only room that imports torch."""

from gradviz.recording.inert import Recorder
from gradviz.recording.verification import verify_accumulation
from gradviz.recording.watching import watch

__all__ = ["Recorder", "verify_accumulation", "watch"]
