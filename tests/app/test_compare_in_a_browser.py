"""The page Compare in a real browser: two runs chosen by hand, a link that comes back, another baseline."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.app.browsing import BROWSER_TEST, Visit, pictures, settle

pytestmark = BROWSER_TEST

PAIR = "runs=samples:healthy-digits-n4-short-last-window&runs=samples:never-resets"


def test_a_link_shows_where_two_runs_part_and_comes_back(visit: Visit) -> None:
    page = visit(f"compare?{PAIR}&by=samples&tolerance=1e-3")
    expect(pictures(page)).to_have_count(4)
    expect(page.get_by_text("They part at update 1, before its first micro-step")).to_be_visible()
    expect(page.get_by_role("radio", name="samples", exact=True)).to_be_checked()
    address = page.url
    page.reload()
    settle(page)
    expect(page.get_by_role("radio", name="1e-3", exact=True)).to_be_checked()
    expect(page).to_have_url(address)


def test_a_run_is_added_by_hand(visit: Visit) -> None:
    page = visit("compare?runs=samples:never-resets")
    expect(page.get_by_text("Choose a second run")).to_be_visible()
    page.get_by_role("combobox", name="Runs").click()
    page.get_by_role("option", name="diverges-to-nan").click()
    expect(page).to_have_url(re.compile("diverges-to-nan"))
    expect(pictures(page)).to_have_count(4)
    expect(page.get_by_text("They part at update 0, micro-step 1")).to_be_visible()


def test_the_baseline_can_be_the_other_one(visit: Visit) -> None:
    page = visit(f"compare?{PAIR}&base=samples:never-resets")
    title = "healthy-digits-n4-short-last-window over never-resets"
    expect(page.get_by_role("heading", name=title)).to_be_visible()
