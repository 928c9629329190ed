"""One training as torchrun starts it on each rank, wrapped in several ways one after the other.

    torchrun ... trainings.py FOLDER WAY...

Each way is recorded as a run of its name. Alone (not under torchrun) the whole batch is seen by one process.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections import OrderedDict
from pathlib import Path

import torch
from torch import distributed, nn

import gradviz

LENGTH, WINDOWS = 3, 3
KILLED_AT, LAST_EVENT = 5, 7  # the second micro-step of the second window
DDP = ("ddp", "ddp-view", "ddp-given", "ddp-no-sync", "ddp-no-sync-view", "ddp-no-sync-given")
WAYS = (*DDP, "fsdp", "fsdp-at-the-end", "fsdp1", "fsdp1-no-sync", "tensor-parallel")
PIPELINE = "pipeline"
ACCELERATE = ("accelerate-prepared", "accelerate-watched")  # which of the two was first
LIBRARIES = ("transformers", "lightning-Automatic", "lightning-Manual")
TENSOR_PARALLEL = "tensor-parallel"
FLAT = ("fsdp1-flat", "fsdp1-flat-no-sync")  # FSDP1 without `use_orig_params`: one parameter for each unit


def model(width: int = 5) -> nn.Sequential:
    """Layers of shapes that two ranks cannot share evenly, in float64: the order of a sum must not matter."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(6, width), nn.Tanh(), nn.Linear(width, 3), nn.Tanh(), nn.Linear(3, 1)
    ).double()


def batches() -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Micro-batches of eight examples."""
    generator = torch.Generator().manual_seed(1)
    return [
        (
            torch.randn(8, 6, generator=generator, dtype=torch.float64),
            torch.randn(8, 1, generator=generator, dtype=torch.float64),
        )
        for _ in range(LENGTH * WINDOWS)
    ]


def wrapped(way: str, plain: nn.Module) -> nn.Module:
    """The model as the way asks for."""
    if way.startswith("ddp"):
        return nn.parallel.DistributedDataParallel(plain, gradient_as_bucket_view="view" in way)
    if way.startswith("fsdp1"):
        return fully_sharded(plain, original="flat" not in way)
    if way.startswith("fsdp"):
        from torch.distributed.fsdp import fully_shard

        for layer in plain.children():
            if isinstance(layer, nn.Linear):
                fully_shard(layer)
        fully_shard(plain)
    return cut_by_tensors(plain) if way == TENSOR_PARALLEL else plain


def fully_sharded(plain: nn.Module, *, original: bool) -> nn.Module:
    """FSDP1, a unit for each layer."""
    from torch.distributed.fsdp import FullyShardedDataParallel
    from torch.distributed.fsdp.wrap import ModuleWrapPolicy

    policy, device = ModuleWrapPolicy({nn.Linear}), torch.device("cpu")
    return FullyShardedDataParallel(
        plain, auto_wrap_policy=policy, use_orig_params=original, device_id=device
    )


def cut_by_tensors(plain: nn.Module) -> nn.Module:
    """The first layer is cut by its outputs, the second by its inputs, the last one is whole on each rank."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import Replicate
    from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

    mesh = init_device_mesh("cpu", (distributed.get_world_size(),))
    by_outputs = ColwiseParallel(output_layouts=Replicate())
    plan = {"0": by_outputs, "2": RowwiseParallel(input_layouts=Replicate())}
    return parallelize_module(plain, mesh, plan)


def train(way: str, folder: str, *, rank: int = 0, world_size: int = 1) -> None:
    """Nine micro-batches, of which each rank sees its share of the examples."""
    plain = model(width=1500) if "large" in way else model()  # gradients that are measured as they pass
    net = wrapped(way, plain)
    part, parts = (0, 1) if way == TENSOR_PARALLEL else (rank, world_size)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    with gradviz.watch(
        net if way.startswith("fsdp1") or "given" in way else plain,
        optimizer,
        run_dir=folder,
        name=way,
        accumulation_steps=LENGTH,
        distributions=True,
        strict=True,
    ) as recorder:
        for number, (inputs, targets) in enumerate(batches(), start=1):
            last = number % LENGTH == 0
            if way == "fsdp-at-the-end":
                net.set_requires_gradient_sync(last)
            quiet = "no-sync" in way and not last
            with net.no_sync() if quiet else contextlib.nullcontext():
                outputs = net(inputs[part::parts])
                share_of_loss(outputs, targets[part::parts]).backward()
            if last:
                optimizer.step()
                optimizer.zero_grad()
            if "restarted" in way and number == KILLED_AT and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
                die(int(os.environ["RANK"]), recorder.run_path)


def train_stage(folder: str, *, rank: int, world_size: int) -> None:
    """The same training as a pipeline: the first rank has the first layer, the second one the rest."""
    from torch.distributed.pipelining import PipelineStage, Schedule1F1B

    mine = {str(i): layer for i, layer in enumerate(model()) if (i < 2) == (rank == 0)}
    part = nn.Sequential(OrderedDict(mine))
    schedule = Schedule1F1B(
        PipelineStage(part, rank, world_size, torch.device("cpu")),
        LENGTH,
        loss_fn=share_of_loss,
        scale_grads=False,
    )
    optimizer = torch.optim.SGD(part.parameters(), lr=0.1, momentum=0.9)
    with gradviz.watch(
        part, optimizer, run_dir=folder, name=f"{PIPELINE}-{rank}", accumulation_steps=LENGTH, strict=True
    ):
        for first in range(0, LENGTH * WINDOWS, LENGTH):
            inputs, targets = (
                torch.cat(parts) for parts in zip(*batches()[first : first + LENGTH], strict=True)
            )
            schedule.step(inputs) if rank == 0 else schedule.step(target=targets)
            optimizer.step()
            optimizer.zero_grad()


def train_with_accelerate(way: str, folder: str, *, rank: int, world_size: int) -> None:
    """The same training under DDP as Accelerate wraps it, synchronised in the last micro-step of a window."""
    from accelerate import Accelerator

    one = Accelerator(cpu=True, gradient_accumulation_steps=LENGTH)
    plain = model()
    own = torch.optim.SGD(plain.parameters(), lr=0.1, momentum=0.9)
    net, optimizer = one.prepare(plain, own) if way == "accelerate-prepared" else (plain, own)
    with gradviz.watch(net, own, run_dir=folder, name=way, accumulation_steps=LENGTH, strict=True):
        if net is plain:
            net, optimizer = one.prepare(plain, own)
        assert isinstance(net, nn.parallel.DistributedDataParallel)
        for inputs, targets in batches():
            with one.accumulate(net):
                one.backward(((net(inputs[rank::world_size]) - targets[rank::world_size]) ** 2).mean())
                optimizer.step()
                optimizer.zero_grad()


def train_with_transformers(way: str, folder: str, *, rank: int = 0, world_size: int = 1) -> None:
    """Fifteen micro-batches of two texts, in windows of four."""
    from transformers_trainings import GradvizCallback, make_model, make_trainer

    callback = GradvizCallback(run_dir=folder, name=way, strict=True)
    sizes = {"per_device_train_batch_size": 2 // world_size, "max_grad_norm": 0.0}
    make_trainer(make_model().double(), Path(folder), callbacks=[callback], **sizes).train()


def train_with_lightning(way: str, folder: str, *, rank: int = 0, world_size: int = 1) -> None:
    """Ten micro-batches of ten, in windows of four."""
    import lightning_trainings as lightning

    module = getattr(lightning, way.removeprefix("lightning-"))()
    callback = lightning.GradvizCallback(run_dir=folder, name=way, strict=True)
    examples = lightning.make_loader(2 * lightning.BATCHES).dataset
    mine = torch.utils.data.Subset(examples, range(rank, len(examples), world_size))
    loader = torch.utils.data.DataLoader(mine, batch_size=10 // world_size)
    options = {"strategy": "ddp", "use_distributed_sampler": False} if world_size > 1 else {}
    options |= {"precision": "64-true", "devices": world_size}
    lightning.trainer(module, callbacks=[callback], **options).fit(module, loader)


def share_of_loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Of one micro-batch of a window."""
    return ((outputs - targets) ** 2).mean().div(LENGTH)


def begin(way: str, folder: str, *, rank: int = 0, world_size: int = 1) -> None:
    """Train this way, as one of the ranks or alone."""
    if way == PIPELINE:
        train_stage(folder, rank=rank, world_size=world_size)
        return
    library = way.partition("-")[0]
    start = {
        "accelerate": train_with_accelerate,
        "transformers": train_with_transformers,
        "lightning": train_with_lightning,
    }.get(library, train)
    start(way, folder, rank=rank, world_size=world_size)


def join() -> None:
    """The process group, which finds its peers after a restart, too: torch would read the addresses of the dead."""
    facts = os.environ
    rank, world_size = int(facts["RANK"]), int(facts["WORLD_SIZE"])
    place = distributed.TCPStore(facts["MASTER_ADDR"], int(facts["MASTER_PORT"]), world_size, is_master=False)
    store = distributed.PrefixStore(facts["TORCHELASTIC_RESTART_COUNT"], place)
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=world_size)


def die(rank: int, run: Path) -> None:
    """Rank 1 vanishes once all is on disk; the launcher kills the others and starts all anew."""
    while rank == 1:
        if len(list(run.glob(f"gradients/rank=*/part-*-{LAST_EVENT:012d}.parquet"))) == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.01)
    signal.pause()


if __name__ == "__main__":
    torch.set_num_threads(1)
    place, *ways = sys.argv[1:]
    join()
    for one in ways:
        begin(one, place, rank=distributed.get_rank(), world_size=distributed.get_world_size())
    distributed.destroy_process_group()
