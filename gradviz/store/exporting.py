"""A table of a run as one CSV, Parquet or JSON file: some windows at a time, whatever its length."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no stubs
import pyarrow.csv  # type: ignore[import-untyped]
import pyarrow.parquet  # type: ignore[import-untyped]

from gradviz.errors import ExportError
from gradviz.schema import BIN_NAMES
from gradviz.store.columns import COUNTS, INTEGER_SCALARS, STATISTICS

if TYPE_CHECKING:
    import pandas as pd

    from gradviz.store.run import Run

Table = Literal["gradients", "events", "layers", "distributions"]
Format = Literal["csv", "parquet", "json"]
ROWS_AT_ONCE = 500_000
JSON_ROWS = 5_000  # as Python objects at once
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")  # what a spreadsheet takes for the start of a formula
MICRO = ("micro_mean_abs", "micro_l2", "micro_max_abs")
WORDS = pa.dictionary(pa.int32(), pa.string())

Progress = Callable[[float], object]


@dataclass(frozen=True)
class Exported:
    """What was written."""

    path: Path
    rows: int
    bytes: int


def export(
    run: Run,
    path: Path,
    *,
    table: Table = "gradients",
    file_format: Format = "csv",
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Exported:
    """Write one table of `run` to `path`. A file under that name is complete.

    Numbers are those of `Run.gradients()` and its like, null where there is none; a NaN that was measured stays one
    in CSV and Parquet. In CSV a text that a spreadsheet would take for a formula gets an apostrophe before it.

    Raises:
        ExportError: the place lies inside a run folder, is taken, or cannot be written.
    """
    path = _checked(path, overwrite)
    rows = 0
    try:
        with _finished(path) as unfinished, _opened(unfinished, file_format, _schema(run, table)) as write:
            for share, frame in _frames(run, table):
                rows += len(frame)
                write(frame)
                if progress is not None:
                    progress(share)
    except OSError as error:
        raise ExportError(f"The export cannot be written to {path}: {error.strerror or error}.") from error
    return Exported(path, rows, path.stat().st_size)


def _checked(path: Path, overwrite: bool) -> Path:
    path = path.expanduser().absolute()
    for folder in path.resolve().parents:
        if (folder / "run.json").exists():
            raise ExportError(
                f"{path} lies inside the run folder {folder}, which is never written to. Choose another place."
            )
    if path.is_dir():
        raise ExportError(f"{path} is a folder. Name a file in it.")
    if path.exists() and not overwrite:
        raise ExportError(f"{path} is there already. Choose another name, or --force to replace it.")
    return path


@contextmanager
def _finished(path: Path) -> Iterator[Path]:
    """A name to write to; the file gets its own when it is whole."""
    unfinished = path.with_name(f".{path.name}.tmp")
    try:
        yield unfinished
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _frames(run: Run, table: Table) -> Iterator[tuple[float, pd.DataFrame]]:
    """The rows some at a time, with the share that is then done."""
    if table == "layers":
        yield 1.0, run.layers
    elif table == "events":
        yield 1.0, run.events()
    elif run.updates is not None and run.last_event is not None:
        first, last = run.updates
        an_update = max(1, len(run.layers) * (run.last_event + 1) // (last - first + 1))
        size = max(1, ROWS_AT_ONCE // an_update)
        read = run.gradients if table == "gradients" else run.distributions
        for start in range(first, last + 1, size):
            stop = min(start + size - 1, last)
            yield (stop - first + 1) / (last - first + 1), read(updates=(start, stop))


def _schema(run: Run, table: Table) -> Any:
    """The columns of a table and their types, known before a row is read."""
    index = [("event", pa.int64()), ("update", pa.int32())]
    moment = [("micro_step", pa.int16()), ("phase", WORDS)]
    if table == "gradients":
        numbers = [(name, pa.int64() if name in COUNTS else pa.float32()) for name in STATISTICS]
        return pa.schema([*index, *moment, ("layer", WORDS), *numbers])
    if table == "distributions":
        return pa.schema([*index, ("layer", WORDS), *((name, pa.int64()) for name in BIN_NAMES)])
    if table == "events":
        scalars = [
            (name, _scalar(name)) for name in run.events().columns if name not in dict([*index, *moment])
        ]
        return pa.schema([*index, *moment, *scalars])
    kinds = {"layer_id": pa.int32(), "numel": pa.int64(), "position": pa.int32(), "trainable": pa.bool_()}
    lists = {"shape": pa.list_(pa.int64()), "shared_names": pa.list_(pa.string())}
    return pa.schema([(name, (kinds | lists).get(name, pa.string())) for name in run.layers.columns])


def _scalar(name: str) -> Any:
    if name == "loss_reduction":
        return WORDS
    if name == "loss_is_nan":
        return pa.bool_()
    return pa.int64() if name in (*INTEGER_SCALARS, "ranks") else pa.float64()


def _as_table(frame: pd.DataFrame, schema: Any) -> Any:
    """A frame as Arrow; a statistic without its count of non-finite elements is null, with it NaN is a number."""
    arrays = []
    for field in schema:
        column = frame[field.name]
        if pa.types.is_floating(field.type):
            values = column.to_numpy()
            arrays.append(pa.array(values, type=field.type, mask=_nulls(frame, field.name, values)))
        elif pa.types.is_list(field.type):
            arrays.append(pa.array([list(entry) for entry in column], type=field.type))
        else:
            arrays.append(pa.array(column, from_pandas=True).cast(field.type))
    return pa.Table.from_arrays(arrays, schema=schema)


def _nulls(frame: pd.DataFrame, name: str, values: Any) -> Any:
    count = (
        "micro_nonfinite" if name in MICRO else "nonfinite" if name in ("mean_abs", "l2", "max_abs") else None
    )
    return np.isnan(values) if count is None else np.asarray(frame[count].isna())


@contextmanager
def _opened(path: Path, file_format: Format, schema: Any) -> Iterator[Callable[[pd.DataFrame], None]]:
    """What takes one frame after the other."""
    if file_format == "parquet":
        words = [field.name for field in schema if pa.types.is_dictionary(field.type)]
        floats = [field.name for field in schema if pa.types.is_floating(field.type)]
        encodings = {"use_dictionary": words, "use_byte_stream_split": floats}
        with pa.parquet.ParquetWriter(path, schema, compression="zstd", **encodings) as writer:
            yield lambda frame: writer.write_table(_as_table(frame, schema))
    elif file_format == "csv":
        flat = _flat_schema(schema)
        options = pa.csv.WriteOptions(quoting_style="needed")
        with pa.csv.CSVWriter(path, flat, write_options=options) as writer:
            yield lambda frame: writer.write_table(_flat(_as_table(frame, schema), flat))
    else:
        with path.open("w", encoding="utf-8") as stream:
            stream.write("[")
            yield _JsonRows(stream, schema)
            stream.write("\n]\n")


class _JsonRows:
    """A JSON array with a row a line, as it grows."""

    def __init__(self, stream: IO[str], schema: Any) -> None:
        self.stream, self.schema, self.before = stream, schema, "\n"

    def __call__(self, frame: pd.DataFrame) -> None:
        for batch in _as_table(frame, self.schema).to_batches(max_chunksize=JSON_ROWS):
            for row in batch.to_pylist():
                finite = {name: _finite(value) for name, value in row.items()}
                self.stream.write(self.before + json.dumps(finite, allow_nan=False))
                self.before = ",\n"


def _finite(value: object) -> object:
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _flat_schema(schema: Any) -> Any:
    """Names that no spreadsheet runs, and lists as text."""
    return pa.schema([(_harmless(field.name), _flat_type(field.type)) for field in schema])


def _flat_type(kind: Any) -> Any:
    is_text = pa.types.is_list(kind) or pa.types.is_dictionary(kind)
    return pa.string() if is_text else kind


def _flat(table: Any, schema: Any) -> Any:
    arrays = []
    for column, field in zip(table.columns, schema, strict=True):
        if pa.types.is_dictionary(column.type):
            arrays.append(_harmless_words(column.combine_chunks()))
        elif field.type == pa.string():
            texts = [json.dumps(entry) if isinstance(entry, list) else entry for entry in column.to_pylist()]
            arrays.append(pa.array([entry and _harmless(entry) for entry in texts], pa.string()))
        else:
            arrays.append(column)
    return pa.Table.from_arrays(arrays, schema=schema)


def _harmless_words(column: Any) -> Any:
    """A column of few words: each word is looked at once."""
    whole = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
    words = pa.array([_harmless(word) for word in whole.dictionary.to_pylist()], pa.string())
    return pa.DictionaryArray.from_arrays(whole.indices, words).cast(pa.string())


def _harmless(word: str) -> str:
    return f"'{word}" if word.startswith(FORMULA) else word
