"""Diagnosis: what is wrong, why do we think so, and what is to be done?"""

from __future__ import annotations

import dashboard_diagnosis as parts
from dashboard_examining import is_too_large
from dashboard_findings import diagnosis
from dashboard_reading import Reading
from dashboard_sections import section
from dashboard_stage import show_run
from dashboard_waiting import waiting_part


def draw(reading: Reading) -> None:
    """How much was found, a card for each finding, and what was checked; of a long run, how far that is."""
    if is_too_large(reading):
        waiting_part(reading)
    found = diagnosis(reading)
    if found is None:
        return
    with section("diagnosis.headline", heading=False):
        parts.headline(found)
    with section("diagnosis.findings", heading=False):
        parts.findings_part(reading, found)
    with section("diagnosis.checks"):
        parts.checks_part(found)


show_run("diagnosis", draw, parameters=("lang", "run"))
