"""`run.json`: the format mark, what was recorded, and the table of layers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gradviz.errors import RunFormatError, RunNotFoundError
from gradviz.schema import FORMAT_MARK, FORMAT_VERSION, Layer
from gradviz.store.files import Disk
from gradviz.store.names import tidy_name, unique_names
from gradviz.store.sealed import KEY, seal, unseal

FILE_NAME = "run.json"
SIZE_LIMIT = 64 * 2**20
LAYER_LIMIT = 1_000_000
RESERVED = ("format", "version", "name", "created", "layers", KEY)  # set once, when a run is created

Manifest = dict[str, Any]


def compose(name: str, layers: Sequence[Layer], **facts: object) -> Manifest:
    """Content of a new run's `run.json`; `facts` are its further top-level entries."""
    created = datetime.now(UTC).isoformat(timespec="milliseconds")
    head = {"format": FORMAT_MARK, "version": FORMAT_VERSION, "name": tidy_name(name), "created": created}
    return {**head, **facts, "forward_order": None, "layers": layer_rows(tidy_layers(layers))}


def layer_rows(layers: Sequence[Layer]) -> list[dict[str, Any]]:
    """The table of layers as `run.json` holds it."""
    names = [field.name for field in fields(Layer)]  # `asdict` takes its time with the tuples
    return [{name: getattr(layer, name) for name in names} for layer in layers]


def tidy_layers(layers: Sequence[Layer]) -> list[Layer]:
    """Layers with names that any file can hold, each of them once."""
    names = unique_names(layer.name for layer in layers)
    return [
        replace(layer, name=name, shared_names=tuple(map(tidy_name, layer.shared_names)))
        for layer, name in zip(layers, names, strict=True)
    ]


def encode(manifest: Manifest) -> bytes:
    """Bytes of `run.json`."""
    return seal(json.dumps(manifest, ensure_ascii=False, separators=(",", ":")).encode())


def read_manifest(run: Path, disk: Disk | None = None) -> Manifest:
    """Read a run's `run.json`.

    Raises:
        RunNotFoundError: there is no run at that path.
        RunFormatError: the file is not ours, is damaged, or is newer than this version.
    """
    try:
        content = (disk or Disk()).read(run / FILE_NAME, SIZE_LIMIT)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise RunNotFoundError(f"No run at {run}: there is no {FILE_NAME} in it.") from error
    except (OSError, ValueError) as error:
        raise RunFormatError(f"{run / FILE_NAME} cannot be read: {error}.") from error
    return decode(content, run)


def decode(content: bytes, run: Path) -> Manifest:
    """Parse and check the content of `run.json`; raises RunFormatError."""
    try:
        manifest = json.loads(unseal(content))
    except (ValueError, RecursionError) as error:
        raise RunFormatError(f"{run / FILE_NAME} is damaged: {type(error).__name__}: {error}") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT_MARK:
        raise RunFormatError(f"{run / FILE_NAME} is not a gradviz run: it lacks the mark {FORMAT_MARK!r}.")
    version = manifest.get("version")
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise RunFormatError(
            f"{run.name} was written in format {version!r}; this gradviz reads up to {FORMAT_VERSION}. "
            "Upgrade with: pip install --upgrade gradviz-dashboard"
        )
    optimizers = manifest.get("optimizers")
    if not isinstance(optimizers, list) or not all(map(_is_optimizer, optimizers)):
        manifest.pop("optimizers", None)  # what is not ours tells nothing
    return manifest


def _is_optimizer(entry: Any) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get("settings", {}), dict):
        return False
    layers = entry.get("layers", [])
    return isinstance(layers, list) and all(type(layer_id) is int for layer_id in layers)


def layers_of(manifest: Mapping[str, Any], run: Path) -> list[Layer]:
    """Layers of a manifest in registration order; raises RunFormatError when the table is damaged."""
    try:
        rows = manifest["layers"]
        if len(rows) > LAYER_LIMIT:
            raise ValueError(f"{len(rows):,} layers, more than {LAYER_LIMIT:,}")
        layers = tidy_layers([_layer(row) for row in rows])
        if len({layer.layer_id for layer in layers}) != len(layers):
            raise ValueError("a layer_id is there twice")
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise RunFormatError(f"The table of layers in {run / FILE_NAME} is damaged: {error}") from error
    return layers


def _layer(row: Mapping[str, Any]) -> Layer:
    layer_id, numel = int(row["layer_id"]), int(row["numel"])
    if not 0 <= layer_id < 2**31 or not 0 <= numel < 2**63:
        raise ValueError(f"layer_id {layer_id} or numel {numel} out of range")
    return Layer(
        layer_id=layer_id,
        name=str(row["name"]),
        shape=tuple(int(size) for size in row["shape"]),
        numel=numel,
        dtype=str(row["dtype"])[:64],
        module_type=tidy_name(str(row["module_type"])),
        trainable=bool(row["trainable"]),
        shared_names=tuple(str(name) for name in row.get("shared_names", ())),
    )


def created_of(manifest: Mapping[str, Any]) -> datetime:
    """When the run began (aware); the epoch where the entry is damaged."""
    try:
        created = datetime.fromisoformat(str(manifest.get("created")))
    except ValueError:
        return datetime.fromtimestamp(0, UTC)
    return created if created.tzinfo else created.replace(tzinfo=UTC)


def forward_order_of(manifest: Mapping[str, Any]) -> list[int] | None:
    """The forward order of layer ids; None where it is not known."""
    order = manifest.get("forward_order")
    if not isinstance(order, list):
        return None
    return [layer_id for layer_id in order if isinstance(layer_id, int)]


def stamp(run: Path) -> tuple[int, int, int] | None:
    """A value that changes when `run.json` is replaced; None where it cannot be asked."""
    try:
        status = (run / FILE_NAME).stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
