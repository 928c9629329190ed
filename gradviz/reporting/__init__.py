"""A run as one HTML file: findings, pictures and the window ledger, for a mail, a ticket or a printer.

Room rule: reads the other viewing rooms; plotly only for its script. Nothing in the file asks the network.
"""

from gradviz.reporting.page import Written, report_html, write_report

__all__ = ["Written", "report_html", "write_report"]
