"""Real, small trainings: sick ones that must raise their finding, healthy ones that must raise none."""
