"""Findings as tests compare them."""

from __future__ import annotations

from collections.abc import Iterable

from kosum_pl.commands.doctor.finding import Finding


def texts(findings: Iterable[Finding], level: str) -> list[str]:
    return [finding.text for finding in findings if finding.level == level]


def pairs(findings: Iterable[Finding]) -> list[tuple[str, str]]:
    return [(finding.level, finding.text) for finding in findings]


def levels(findings: Iterable[Finding]) -> list[str]:
    return [finding.level for finding in findings]
