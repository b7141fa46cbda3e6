# SPDX-License-Identifier: GPL-2.0-or-later
"""The arguments of ``kvtools bisect`` and ``kvtools config``."""

from __future__ import annotations

import argparse

EXAMPLES = """\
examples:
  kvtools bisect mine/ --check boot                     the first bad patch of a series
  kvtools bisect v6.1..v6.2 --tree ~/linux --check selftest:vmem.resize
  kvtools bisect --check selftest:vmem.resize.grow v3.mbx --tree ~/linux --base v6.12
  kvtools bisect A..B --tree ~/linux --check "cmd:grep -q MemTotal /proc/meminfo" --flaky 0.2
  kvtools bisect A..B --tree ~/linux --check build --fix    the first commit that mends it

exit status: 0 found, 1 the ends are not good and bad, 2 usage or bad input, 3 no verdict
"""

CONFIG_EXAMPLES = """\
examples:
  kvtools config bisect good.config bad.config --check boot --base oracle
  kvtools config minimize bad.config --check "splat:WARNING in foo" --tree ~/linux --base v6.12

exit status: as kvtools bisect
"""


def bisect(command: argparse.ArgumentParser) -> None:
    """Options of ``kvtools bisect``; those of trees and runs are added by the caller."""
    command.add_argument(
        "series", nargs="?", metavar="SERIES|GOOD..BAD",
        help="a series as for kvtools test, or a range of --tree; with --replay the log's ends")
    check(command)
    command.add_argument("--config", metavar="NAME", help="a config of kbuild/configs")
    command.add_argument("--good", action="append", default=[], metavar="REV",
                         help="another commit that is good (with a range)")
    command.add_argument("--skip", action="append", default=[], metavar="REV",
                         help="a commit, or a range A..B, not to try")
    command.add_argument("--first-parent", action="store_true",
                         help="of merges follow the first parent only")
    command.add_argument("--path", action="append", default=[], metavar="PATH",
                         help="only commits that touch it")
    command.add_argument("--suspect", action="append", default=[], metavar="PATH",
                         help="commits that touch it are eight times as likely to be the first")
    command.add_argument("--fix", action="store_true",
                         help="search for the first commit that mends: GOOD fails and BAD passes")
    command.add_argument("--term-old", metavar="WORD", help="instead of good, as in git bisect")
    command.add_argument("--term-new", metavar="WORD", help="instead of bad")
    command.add_argument("--log", metavar="FILE", help="write a log for git bisect replay")
    command.add_argument("--replay", metavar="FILE",
                         help="start from what git bisect log, or --log, wrote")
    command.add_argument("--ci", choices=("github", "gitlab"),
                         help="print annotations (github), or write the Code Quality report "
                         "gl-code-quality-report.json (gitlab)")
    command.add_argument("--no-revert", action="store_true",
                         help="do not try the tip with the first bad commit reverted")


def check(command: argparse.ArgumentParser) -> None:
    """What is looked for, and how sure the answer has to be."""
    command.add_argument(
        "--check", required=True, metavar="WHAT",
        help="build, warning:TEXT, boot, selftest:NAME[.SUBTEST], dump:NAME, size:SYMBOL>BYTES, "
        "check:NAME, time:NAME>RATIO, splat:TITLE[@SCENARIO], cmd:COMMAND in the guest, "
        "cmd@host:COMMAND")
    command.add_argument("--confidence", type=_share, default=0.99, metavar="P",
                         help="how sure the answer has to be (default: 0.99)")
    command.add_argument("--flaky", type=_flaky, default="auto", metavar="auto|no|RATE",
                         help="no: the failure shows every time; RATE: in at least that share of "
                         "runs; auto (default): perhaps every time, perhaps in 1 of 20")
    command.add_argument("--noise", type=_noise, default=0.0, metavar="RATE",
                         help="the share of runs in which it fails on good commits too")
    command.add_argument("--most", type=int, default=1000, metavar="N",
                         help="give up after so many trials (default: 1000)")
    command.add_argument("--fresh", action="store_true",
                         help="do not go on with the same search that was stopped before")
    command.add_argument("--no-reuse", action="store_true",
                         help="do not use stored outcomes of earlier runs")
    command.add_argument("--json", metavar="FILE", help="write the result as JSON (- for stdout)")


def config(command: argparse.ArgumentParser) -> None:
    """Options of ``kvtools config bisect|minimize``."""
    command.add_argument("action", choices=("bisect", "minimize"))
    command.add_argument("files", nargs="+", metavar="CONFIG",
                         help="bisect: a good and a bad one; minimize: the bad one. Names of "
                         "kbuild/configs, or files")
    command.add_argument("--output", metavar="FILE", help="write the config that was found")
    check(command)


def _share(text: str) -> float:
    number = float(text)
    if not 0.5 <= number < 1:
        raise argparse.ArgumentTypeError("must be at least 0.5 and below 1")
    return number


def _noise(text: str) -> float:
    number = float(text)
    if not 0 <= number < 0.9:
        raise argparse.ArgumentTypeError("must be at least 0 and below 0.9")
    return number


def _flaky(text: str) -> str | float:
    if text in ("auto", "no"):
        return text
    number = float(text)
    if not 0.005 <= number < 1:
        raise argparse.ArgumentTypeError("must be auto, no, or a rate from 0.005 to 1")
    return number
