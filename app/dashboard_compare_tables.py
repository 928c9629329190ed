"""The tables of the page Compare: what the runs say of themselves, and what was found in them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import streamlit as st
from dashboard_columns import Columns
from dashboard_compare_pictures import facts_of
from dashboard_compare_runs import Member
from dashboard_examining import is_too_large
from dashboard_findings import diagnosis
from dashboard_sections import show_table
from dashboard_widgets import pick_one
from dashboard_words import language, printable, say, say_plain

from gradviz.analysis.comparison_facts import Fact
from gradviz.diagnostics import Finding, Level
from gradviz.diagnostics.wording import title_of
from gradviz.schema import RunState
from gradviz.texts import catalogue, text

NAME_WIDTH, CELL_WIDTH = 300, 200
STATES = {state.value for state in RunState}


def facts_part(members: Sequence[Member]) -> None:
    """One row a fact, one column a run."""
    shown = pick_one(
        "facts",
        say("compare.facts_shown"),
        ("different", "all"),
        lambda one: say(f"compare.facts_{one}"),
        default="different",
        visible=False,
    )
    told = facts_of(members)
    facts = told.differing().facts if shown == "different" else told.facts
    if not facts:
        st.info(say("compare.facts_alike"), icon=":material/check_circle:")
        return
    rows = [
        {"kind": text(f"comparison.kind.{fact.kind}", language()), "fact": _fact_name(fact.kind, fact.name)}
        | {f"run{place}": _fact_value(fact, value) for place, value in enumerate(fact.values)}
        for fact in facts
    ]
    columns = {"kind": _column("kind", 100), "fact": _column("fact", NAME_WIDTH)} | _run_columns(members)
    show_table("compare.facts", rows, columns)


def findings_part(members: Sequence[Member]) -> None:
    """One row a code that was found in any of the runs."""
    found = [_found(member) for member in members]
    codes = {finding.code: finding for findings in found for finding in findings}
    if not codes:
        if not any(is_too_large(member.reading) for member in members):
            st.success(say("compare.findings_none"), icon=":material/check_circle:")
        return
    worst = {
        code: max(one.level.rank for findings in found for one in findings if one.code == code)
        for code in codes
    }
    rows = [
        {"code": title_of(code, language())}
        | {f"run{place}": _verdict(findings, code) for place, findings in enumerate(found)}
        for code in sorted(codes, key=lambda code: -worst[code])
    ]
    columns = {"code": _column("code", NAME_WIDTH)} | _run_columns(members)
    show_table("compare.findings", rows, columns)


def _fact_name(kind: str, name: str) -> str:
    key = f"comparison.fact.{name}"
    return text(key, language()) if kind != "layer" and key in catalogue("en") else printable(name)


def _fact_value(fact: Fact, value: str | None) -> str:
    """What a run says of itself; states and times as they are written elsewhere on the pages."""
    if fact.kind == "run" and fact.name == "state" and value in STATES:
        return say_plain(f"state.{value}")
    if fact.kind == "run" and fact.name == "created":
        with suppress(ValueError, OverflowError):  # a manifest may come from anywhere
            return f"{datetime.fromisoformat(value or '').astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    return printable(value or "")


def _found(member: Member) -> Sequence[Finding]:
    if is_too_large(member.reading):
        st.caption(say("compare.too_long", run=member.name))
        return ()
    found = diagnosis(member.reading)
    return () if found is None else found.findings


def _verdict(findings: Sequence[Finding], code: str) -> str:
    levels = [finding.level for finding in findings if finding.code == code]
    if not levels:
        return ""
    worst: Level = max(levels, key=lambda level: level.rank)
    return say_plain(f"verdict.{worst}", count=len(levels))


def _column(name: str, width: int) -> Any:
    label, hint = say_plain(f"compare.column.{name}"), say(f"compare.column_help.{name}")
    return st.column_config.TextColumn(label, help=hint, width=width)


def _run_columns(members: Sequence[Member]) -> Columns:
    hint = say("compare.column_help.run")
    return {
        f"run{place}": st.column_config.TextColumn(member.name, help=hint, width=CELL_WIDTH)
        for place, member in enumerate(members)
    }
