# SPDX-License-Identifier: GPL-2.0-or-later
"""A finished bisection as text: for a terminal, for CI, and as the draft of a mail."""

from __future__ import annotations

import json
from dataclasses import dataclass

from kvtools.bisect.report import Bisection
from kvtools.bisect.search import Ending
from kvtools.bisection import Answer
from kvtools.report import printable
from kvtools.report.printable import abroad

LINES = 20
SHOWN = (Answer.FAIL, Answer.PASS, Answer.SKIP, Answer.OTHER, Answer.ERROR)


@dataclass(frozen=True, slots=True)
class Culprit:
    """What the mail says of the first new commit, see :func:`kvtools.git.described`."""

    short: str
    subject: str
    author: str
    public: bool


def headline(found: Bisection) -> str:
    """The answer in one line."""
    result, terms = found.result, found.terms
    if result.ending is Ending.FOUND:
        first = result.first[0]
        return (f"first {terms.new} commit: {first.id[:12]} {found.subject(first.id)} "
                f"({_percent(result.probability)})")
    if result.ending is Ending.RANGE:
        return (f"the first {terms.new} commit is one of {len(result.first)}, which cannot be "
                f"told apart ({_percent(result.probability)})")
    if result.ending is Ending.OLD_IS_NEW:
        return f"the {terms.old} end is {terms.new}: {result.why}"
    if result.ending is Ending.NEW_IS_OLD:
        return f"the {terms.new} end is {terms.old}: {result.why}"
    if result.why:
        return f"no verdict: {result.why}"
    return (f"no verdict after {len(result.trials)} trials; most probable "
            f"{result.first[0].id[:12]} ({_percent(result.probability)})")


def _percent(share: float) -> str:
    return "over 99.99%" if share > 0.9999 else f"{100 * share:.2f}%"


def render(found: Bisection) -> str:
    """Everything, in the order in which one asks."""
    blocks = [
        [headline(found), *_facts(found)],
        _range(found),
        _trials(found),
        _evidence(found),
        _log_difference(found),
        _findings(found),
        _reproduce(found),
        _reverted(found),
    ]
    return "\n\n".join(_lines(rows) for rows in blocks if rows) + "\n"


def _lines(rows: list[str]) -> str:
    return "\n".join(printable(row) for text in rows for row in text.split("\n"))


def _facts(found: Bisection) -> list[str]:
    result = found.result
    errors = sum(o.answer is Answer.ERROR for o in result.trials)
    reused = sum(o.reused for o in result.trials)
    words = [f"check {found.check}", f"{len(found.history)} candidates",
             f"{len(result.trials) - errors} trials"]
    words += [f"{reused} of them stored before"] if reused else []
    words += [f"{errors} lost to the machine"] if errors else []
    words += [f"the failure shows in about {result.rate:.0%} of runs"] if result.rate < 0.97 else []
    return [", ".join(words)]


def _range(found: Bisection) -> list[str]:
    rows = [f"  {c.id[:12]} {found.subject(c.id)}" for c in found.result.first]
    if found.result.ending is not Ending.RANGE:
        rows = []
    rows += [f"  skipped {commit[:12]} {why}" for commit, why in found.result.skipped.items()]
    return rows


def _trials(found: Bisection) -> list[str]:
    rows = [f"{'commit':12}  {'  '.join(f'{a!s:>5}' for a in SHOWN)}"]
    firsts = {c.id for c in found.result.first}
    for commit, counts in found.table():
        cells = "  ".join(f"{counts[a] or '':>5}" for a in SHOWN)
        mark = "<-" if commit in firsts else "  "
        rows.append(f"{commit[:12]}  {cells} {mark} {found.subject(commit)}"[:110].rstrip())
    rows += [f"{two[:12]} is the same kernel as {one[:12]}" for one, two in found.result.same]
    return rows


def _evidence(found: Bisection) -> list[str]:
    one = found.bad_trial
    if one is None:
        return []
    rows = [f"{one.commit[:12]} fails: {one.summary}"]
    rows += [f"  {row}" for row in one.evidence[:LINES]]
    return rows + ([f"log: {one.log}"] if one.log else [])


def _log_difference(found: Bisection) -> list[str]:
    rows = found.log_difference()
    return ["the logs, good against bad, times and numbers left out:", *rows] if rows else []


def _findings(found: Bisection) -> list[str]:
    seen: dict[str, str] = {}
    for one in found.result.findings:
        seen.setdefault(f"{one.summary} {one.marks}", f"  {one.commit[:12]} {one.summary}")
    return ["other failures met on the way, which did not steer:", *seen.values()] if seen else []


def _reproduce(found: Bisection) -> list[str]:
    one = found.bad_trial
    if one is None or not one.reproduce:
        return []
    return ["to reproduce:", *(f"  {row}" for row in one.reproduce)]


def _reverted(found: Bisection) -> list[str]:
    back = found.reverted
    if back is None:
        return []
    if back.commit is None:
        return [f"not verified by a revert on the tip: {back.why}"]
    passed = sum(t.answer is Answer.PASS for t in back.trials)
    text = f"with it reverted, the tip passes {passed} of {len(back.trials)} trials"
    return [text if back.confirms else f"{text}: it is not the only cause"]


def mail(found: Bisection, culprit: Culprit) -> str:
    """The draft of a report as Documentation/admin-guide/reporting-regressions.rst asks for."""
    one = found.bad_trial
    rows = [
        f"To: {culprit.author}",
        "Cc: regressions@lists.linux.dev",
        f"Subject: [REGRESSION] {found.check} fails since {culprit.short} "
        f'("{culprit.subject}")',
        "",
        f"Hi, since commit {culprit.short} (\"{culprit.subject}\")",
        f"{found.check} fails" + (f" ({one.summary})." if one else "."),
        "",
        f"Found with kvtools bisect among {len(found.history)} commits on {found.base},",
        f"{len(found.result.counted)} trials, confidence {_percent(found.result.probability)}; the "
        f"failure shows in about",
        f"{found.result.rate:.0%} of runs.",
        *(_reverted(found) or ["A revert on the tip was not tried."]),
        "",
    ]
    if one:
        rows += [*(f"  {abroad(row)}" for row in one.evidence[:LINES]), ""]
        rows += ["To reproduce:", "", *(f"  {row}" for row in one.reproduce), ""]
    if culprit.public:
        rows += [f"#regzbot introduced: {culprit.short}",
                 f"#regzbot title: {found.check} fails", ""]
    else:
        rows += ["(The commit is of a series that is not upstream: no #regzbot command.)", ""]
    rows += ["For the fix:", f'Fixes: {culprit.short} ("{culprit.subject}")']
    return _lines(rows) + "\n"


# CI

def github(found: Bisection) -> str:
    """Workflow commands: an annotation for the answer, and one for every other finding."""
    level = "error" if found.result.ending is not Ending.UNDECIDED else "warning"
    rows = [_annotation(level, "kvtools bisect", headline(found))]
    rows += [_annotation("notice", "kvtools bisect: another failure",
                         f"{one.commit[:12]} {one.summary}") for one in found.result.findings[:5]]
    return "\n".join(rows) + "\n"


def _annotation(level: str, title: str, text: str) -> str:
    for plain, coded in (("%", "%25"), ("\r", "%0D"), ("\n", "%0A")):
        text = text.replace(plain, coded)
    return f"::{level} title={title.replace(':', '%3A').replace(',', '%2C')}::{text}"


def gitlab(found: Bisection) -> str:
    """A Code Quality report (JSON), which GitLab shows on the merge request."""
    issues = []
    for commit in found.result.first:
        issues += [_issue(found, commit.id, file) for file in (commit.files or ("Makefile",))[:10]]
    return json.dumps(issues, indent=1) + "\n"


def _issue(found: Bisection, commit: str, file: str) -> dict[str, object]:
    return {
        "description": printable(headline(found)),
        "check_name": f"kvtools bisect {found.check}",
        "fingerprint": f"{found.check}:{commit}:{file}",
        "severity": "critical",
        "location": {"path": file, "lines": {"begin": 1}},
    }
