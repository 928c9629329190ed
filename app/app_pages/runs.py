"""Runs: what do I have, and is it healthy?"""

from __future__ import annotations

from dashboard_catalogue import shelves
from dashboard_link import publish
from dashboard_run_order import order_menu
from dashboard_run_watch import keep_up
from dashboard_runs import filter_box, matching, show_shelf
from dashboard_sections import page_head, section

with page_head("runs"):
    wanted = filter_box()
    order = order_menu()
drawn = shelves()
for shelf in drawn:
    with section(f"runs.{shelf.name}"):
        show_shelf(shelf, matching(shelf.runs, wanted), wanted, order)
keep_up(drawn)
publish("lang", "filter", "sort", "page")
