"""The confusion matrix of the checks: real trainings with known faults, and healthy ones.

`python benchmarks/zoo.py --seeds 5 --first 100` trains each of them that often and prints, for each code, in how many
of the trainings that have the fault it was raised, and in how many of those that do not it was raised as a warning or
an error.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from gradviz.diagnostics import CHECKS, Diagnosis, Level
from tests.zoo.catalogue import HEALTHY, SICK, Training, diagnosed


def examined(training: Training, seed: int) -> Diagnosis:
    with tempfile.TemporaryDirectory() as folder:
        return diagnosed(training, Path(folder), seed)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seeds", type=int, default=3)
    arguments.add_argument("--first", type=int, default=0, help="the first seed")
    asked = arguments.parse_args()
    seeds = range(asked.first, asked.first + asked.seeds)
    trained: Counter[str] = Counter()
    raised: Counter[str] = Counter()
    placed: Counter[str] = Counter()
    others: Counter[str] = Counter()
    false: Counter[str] = Counter()
    for sick in SICK:
        for seed in seeds:
            found = examined(sick.training, seed).findings
            told = [finding for finding in found if finding.code == sick.code and finding.level == sick.level]
            trained[sick.code] += 1
            raised[sick.code] += bool(told)
            placed[sick.code] += bool(told) and (not sick.layers or told[0].layers == sick.layers)
            serious = {finding.code for finding in found if finding.level is not Level.INFO}
            others.update(serious - {sick.code, *sick.also})
    quiet = 0
    for training in HEALTHY:
        for seed in seeds:
            serious = {f.code for f in examined(training, seed).findings if f.level is not Level.INFO}
            false.update(serious)
            quiet += not serious
    print(
        "| code | has the fault | raised | in the right place | raised in other faults | raised in healthy |"
    )
    print("|---|---|---|---|---|---|")
    for code in CHECKS:
        print(
            f"| `{code}` | {trained[code]} | {raised[code]} | {placed[code]} | {others[code]} | {false[code]} |"
        )
    healthy = len(HEALTHY) * len(seeds)
    print(
        f"\n{sum(raised.values())} of {sum(trained.values())} faults raised; {quiet} of {healthy} healthy ones quiet."
    )


if __name__ == "__main__":
    main()
