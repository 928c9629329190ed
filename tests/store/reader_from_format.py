"""A reader of run folders written from FORMAT.md alone: pandas and pyarrow, nothing of gradviz."""

import json
import re
import zlib

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq


def part_of(path):
    """First and last event of a part, from its name; None for any other file."""
    found = re.fullmatch(r"part-(\d{1,18})-(\d{1,18})\.parquet", path.name)
    return (int(found[1]), int(found[2])) if found and int(found[1]) <= int(found[2]) else None


def read_part(path):
    """The rows of a part, None where a checksum or the footer is wrong."""
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            entries = file.metadata.metadata
            if f"{zlib.crc32(entries[b'gradviz.index']):08x}".encode() != entries[b"gradviz.index.crc32"]:
                return None
            columns = [name for name in file.schema_arrow.names if name != "layer"]
            return file.read(columns=columns).to_pandas(types_mapper=pd.ArrowDtype)
    except (OSError, KeyError, pa.ArrowException):
        return None


def read_kind(run, kind, rank):
    """Ranges and rows of the readable parts of a kind that no readable one covers."""
    parts = {part_of(path): path for path in (run / kind / f"rank={rank}").glob("part-*") if part_of(path)}
    kept = []
    for span in sorted(parts, key=lambda span: (span[0], -span[1])):
        if (not kept or span[1] > kept[-1][0][1]) and (rows := read_part(parts[span])) is not None:
            kept.append((span, rows))
    return kept


def read_run(run, rank=0):
    """Rows of gradients, by layer in forward order and event, and the committed events."""
    facts = json.loads((run / "run.json").read_text(encoding="utf-8"))
    assert facts["format"] == "gradviz-run" and facts["version"] <= 1  # noqa: PT018
    gradients = read_kind(run, "gradients", rank)
    rows = pd.concat([rows for _, rows in gradients], ignore_index=True)
    names = {layer["layer_id"]: layer["name"] for layer in facts["layers"]}
    order = dict.fromkeys([*(facts["forward_order"] or []), *names])
    rows = rows.assign(
        layer=rows["layer_id"].map(names), place=rows["layer_id"].map({of: at for at, of in enumerate(order)})
    )
    events = pd.concat([rows for _, rows in read_kind(run, "events", rank)], ignore_index=True)
    committed = pd.concat([events["event"].between(*span) for span, _ in gradients], axis=1).any(axis=1)
    return rows.sort_values(["place", "event"], ignore_index=True), events[committed].sort_values(
        "event", ignore_index=True
    )
