"""A diagnosis as JSON, whole: from the process that made it to the one that shows it."""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import Any

import numpy as np

from gradviz.analysis.evidence import EvidenceSeries
from gradviz.diagnostics.findings import Diagnosis, Evidence, Finding
from gradviz.schema import Level


def to_json(found: Diagnosis) -> str:
    """The diagnosis on one line; floats are exact, NaN and infinities are spelled as Python's json does."""
    return json.dumps(
        {
            "findings": [_plain_finding(finding) for finding in found.findings],
            "checked": found.checked,
            "unknown": dict(found.unknown),
            "windows": found.windows,
            "windows_total": found.windows_total,
        },
        default=lambda number: number.item(),  # a numpy scalar
    )


def from_json(line: str) -> Diagnosis:
    """The diagnosis that `to_json` wrote."""
    plain = json.loads(line)
    return Diagnosis(
        findings=tuple(_finding(one) for one in plain["findings"]),
        checked=tuple(plain["checked"]),
        unknown=MappingProxyType({code: tuple(what) for code, what in plain["unknown"].items()}),
        windows=plain["windows"],
        windows_total=plain["windows_total"],
    )


def _plain_finding(finding: Finding) -> dict[str, Any]:
    series = finding.series
    return {
        "code": finding.code,
        "level": finding.level,
        "layers": finding.layers,
        "update": finding.update,
        "micro_step": finding.micro_step,
        "evidence": dict(finding.evidence),
        "series": None if series is None else _plain_series(series),
    }


def _plain_series(series: EvidenceSeries) -> dict[str, Any]:
    return {
        "quantity": series.quantity,
        "over": series.over,
        "x": np.asarray(series.x, dtype=np.float64).tolist(),
        "y": np.asarray(series.y, dtype=np.float64).tolist(),
        "marked": np.asarray(series.marked).tolist(),
        "limits": series.limits,
        "names": series.names,
        "log": series.log,
    }


def _finding(plain: dict[str, Any]) -> Finding:
    evidence = {name: _evidence(value) for name, value in plain["evidence"].items()}
    series = None if plain["series"] is None else _series(plain["series"])
    return Finding(
        code=plain["code"],
        level=Level(plain["level"]),
        layers=tuple(plain["layers"]),
        update=plain["update"],
        micro_step=plain["micro_step"],
        evidence=MappingProxyType(evidence),
        series=series,
    )


def _evidence(value: Any) -> Evidence:
    return tuple(value) if isinstance(value, list) else value


def _series(plain: dict[str, Any]) -> EvidenceSeries:
    return EvidenceSeries(
        quantity=plain["quantity"],
        over=plain["over"],
        x=np.array(plain["x"], dtype=np.float64),
        y=np.array(plain["y"], dtype=np.float64),
        marked=np.array(plain["marked"], dtype=np.bool_),
        limits=tuple(plain["limits"]),
        names=tuple(plain["names"]),
        log=plain["log"],
    )
