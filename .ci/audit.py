"""Ask for known vulnerabilities of every version in `constraints.txt`; run by `.ci/run`, with pip-audit installed.

Exit code 1 where there is one. Where no advisory service answers, that is said, and is no failure.
"""

from __future__ import annotations

import json
import subprocess
import sys

COMMAND = [
    sys.executable,
    "-m",
    "pip_audit",
    "-r",
    "constraints.txt",
    "--no-deps",
    "--disable-pip",
    "-f",
    "json",
]


def main() -> int:
    """Run pip-audit once and say what it found."""
    asked = subprocess.run(COMMAND, capture_output=True, text=True)
    try:
        answers = json.loads(asked.stdout)["dependencies"]
    except (json.JSONDecodeError, KeyError):
        sys.stdout.write(f"not audited: no advisory service answers\n{asked.stderr[-500:]}\n")
        return 0
    known = [answer for answer in answers if "vulns" in answer]
    sys.stdout.write(f"{len(known)} of {len(answers)} pinned versions are known to the advisory service\n")
    found = [(answer["name"], answer["version"], v["id"]) for answer in known for v in answer["vulns"]]
    for name, version, advisory in found:
        sys.stdout.write(f"{name} {version}: {advisory}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
