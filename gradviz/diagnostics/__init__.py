"""Says what is wrong: checks over the story of a run, each with its evidence.

Room rule: numpy and pandas; no torch, no drawing. The texts are rendered when a finding is shown.
"""

from gradviz.diagnostics.catalogue import CHECKS
from gradviz.diagnostics.examining import diagnose, examine
from gradviz.diagnostics.findings import Diagnosis, Finding
from gradviz.schema import Level

__all__ = ["CHECKS", "Diagnosis", "Finding", "Level", "diagnose", "examine"]
