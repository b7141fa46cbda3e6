# SPDX-License-Identifier: GPL-2.0-or-later
"""The arguments of ``kvtools submit``."""

from __future__ import annotations

import argparse
from collections.abc import Callable

EXAMPLES = """\
examples:
  kvtools test mine/ && kvtools submit prepare mine/ --output out/
  kvtools submit prepare mine/ --output v2/ --previous out/mails --replies thread.mbox
  kvtools submit send out/                      only writes the mails
  kvtools submit send out/ --really-send        hands them to b4 send

exit status: 0 prepared, 1 refused (the reasons are printed), 2 usage or bad input, 3 the machine
"""

TEMPLATE = """\
A template for --template is a jinja2 file that makes the text of the cover letter: first the
subject, then the body, then To: and Cc: lines. It is given title, summary, revision, changes,
table, tested, verdict, base, public, to and cc; kvtools/submit/cover.txt is the one in use.
"""


def submit(command: argparse.ArgumentParser,
           tree_options: Callable[[argparse.ArgumentParser], None]) -> None:
    """Both actions."""
    actions = command.add_subparsers(dest="action", metavar="ACTION", required=True)
    prepare = actions.add_parser(
        "prepare", help="check against the tests, collect recipients, write cover letter and mails",
        epilog=TEMPLATE, formatter_class=argparse.RawDescriptionHelpFormatter)
    prepare.add_argument("series", nargs="?", metavar="SERIES", help="as for kvtools test")
    prepare.add_argument("--output", required=True, metavar="DIR",
                         help="where mails, recipients.txt and b4's branch go")
    prepare.add_argument("--run", dest="run_id", metavar="RUN",
                         help="the run whose results count (default: the newest that fits)")
    prepare.add_argument("--previous", metavar="SOURCE",
                         help="the last revision as it was sent: number, change-id and range-diff "
                         "go on from it")
    prepare.add_argument("--replies", metavar="MBOX",
                         help="the thread of the last revision: b4 trailers adds what reviewers "
                         "gave")
    prepare.add_argument("--reroll", type=int, metavar="N", help="the number of this revision")
    prepare.add_argument("--resend", action="store_true",
                         help="the same revision again, marked RESEND")
    prepare.add_argument("--template", metavar="FILE", help="another cover letter, see below")
    prepare.add_argument("--to", action="append", default=[], metavar="WHO",
                         help="one more recipient in To:")
    prepare.add_argument("--cc", action="append", default=[], metavar="WHO",
                         help="one more recipient in Cc:")
    tree_options(prepare)
    prepare.add_argument("-q", "--quiet", action="store_true", help="no progress, only the result")
    prepare.set_defaults(jobs=None, guests=None, accel="auto", no_reuse=False)
    send = actions.add_parser("send", help="write the mails again, or hand them to b4 send")
    send.add_argument("directory", metavar="DIR", help="the --output of prepare")
    send.add_argument("--really-send", action="store_true", help="send them; asks before it does")
