"""Scripts in processes of their own, forked off one that has loaded torch already: loading takes seconds each time.

Each script is the main program of its process: exit codes, signals and what it leaves in stderr are as ever.
Run as a program, `forking.py SOCKET`, this file is the process that is forked.
"""

from __future__ import annotations

import atexit
import functools
import gc
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

WIDEST = 1 << 17  # bytes of a script and its environment
LOADED = (
    "gradviz.recording.exponent_kernels",
    "gradviz.recording.step_kernels",
    "gradviz.recording.watching",
    "pandas",
)


class Forked:
    """A script that runs; as much of `subprocess.Popen` as the tests use. It is killed after `longest` seconds."""

    def __init__(self, script: str, *arguments: object, longest: float = 240, **environment: str) -> None:
        self._status, status = socket.socketpair()
        (stdin, ours), (out, stdout), (err, stderr) = os.pipe(), os.pipe(), os.pipe()
        self.stdin, self.stdout, self.stderr = os.fdopen(ours, "w"), os.fdopen(out), os.fdopen(err)
        asked = {
            "script": script,
            "arguments": [str(one) for one in arguments],
            "environment": {**os.environ, "OMP_NUM_THREADS": "1", **environment},
            "folder": str(Path.cwd()),
        }
        with status:
            socket.send_fds(_server(), [json.dumps(asked).encode()], [status.fileno(), stdin, stdout, stderr])
        for theirs in (stdin, stdout, stderr):
            os.close(theirs)
        self._told = self._status.makefile()
        self.pid = int(self._told.readline())
        self._end = threading.Timer(longest, self.send_signal, [signal.SIGKILL])
        self._end.start()
        self.returncode: int | None = None

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def communicate(self) -> tuple[str, str]:
        """Wait for the end; returns what it wrote to both streams."""
        with self.stdin, self.stdout, self.stderr, self._status, self._told, ThreadPoolExecutor() as pool:
            self.stdin.close()
            out, err = pool.map(lambda stream: stream.read(), (self.stdout, self.stderr))
            self.returncode = int(self._told.readline())
        self._end.cancel()
        return out, err


@functools.cache
def _server() -> socket.socket:
    """The process that is forked, started when the first script is."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1])}
    with theirs:
        command = [sys.executable, __file__, str(theirs.fileno())]
        process = subprocess.Popen(
            command, env=environment, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL
        )

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


def _load() -> None:
    """What a training needs, up to its first thread: a fork takes none along."""
    for name in LOADED:
        importlib.import_module(name)
    importlib.import_module("gradviz.recording.statistics").load_kernels()
    torch = importlib.import_module("torch")
    torch.optim.SGD([torch.zeros(1, requires_grad=True)])  # the first optimizer loads the compiler
    assert threading.active_count() == 1
    gc.freeze()  # none of it is looked through again, in no process


def _forked(control: socket.socket) -> dict[str, Any] | None:
    """Fork for each script that is asked for. Returns in its process what was asked; at the end None."""
    while True:
        message, streams, _, _ = socket.recv_fds(control, WIDEST, 4)
        if not message:
            return None
        if os.fork() == 0:
            _kept(streams[0])
            for number, stream in enumerate(streams[1:]):
                os.dup2(stream, number)
            control.close()
            os.closerange(3, max(streams) + 1)
            asked: dict[str, Any] = json.loads(message)
            return asked
        for stream in streams:
            os.close(stream)


def _kept(stream: int) -> None:
    """Fork once more, and tell the new process's id and how it ended. Returns in the new process only."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    child = os.fork()
    if child:
        os.write(stream, b"%d\n" % child)
        _, status = os.waitpid(child, 0)
        os.write(stream, b"%d\n" % os.waitstatus_to_exitcode(status))
        os._exit(0)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for pytest
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # whoever has told how a script ended may go
    _load()
    asked = _forked(socket.socket(fileno=int(sys.argv[1])))
    if asked is not None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # which `nohup pytest` would have us ignore
        os.environ.clear()
        os.environ.update(asked["environment"])
        os.chdir(asked["folder"])
        sys.argv[:] = ["-c", *asked["arguments"]]
        exec(compile(asked["script"], "<string>", "exec"), globals())  # noqa: S102 - a script of our own
