"""Diagnosis: what is wrong, why do we think so, and what is to be done?"""

from __future__ import annotations

import dashboard_diagnosis as parts
from dashboard_findings import diagnosis
from dashboard_reading import Reading
from dashboard_sections import section
from dashboard_stage import show_run


def draw(reading: Reading) -> None:
    """How much was found, a card for each finding, and what was checked."""
    found = diagnosis(reading)
    with section("diagnosis.headline", heading=False):
        parts.headline(found)
    with section("diagnosis.findings", heading=False):
        parts.findings_part(reading, found)
    with section("diagnosis.checks"):
        parts.checks_part(found)


show_run("diagnosis", draw, parameters=("lang", "run"))
