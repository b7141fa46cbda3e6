# SPDX-License-Identifier: GPL-2.0-or-later
"""The arguments of ``kvtools submit`` and ``kvtools review``."""

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
table, cells, tested, verdict, base, public, to and cc; kvtools/submit/cover.txt is the one in use.
"""


REVIEW_EXAMPLES = """\
examples:
  kvtools review thread.mbox --output replies/        on whatever base it applies to
  kvtools review 20180523151151.6730-1-david@redhat.com --output replies/ --tree ~/linux
  kvtools review thread.mbox --output replies/ --tree ~/linux --candidate v6.12 --candidate v6.11
  kvtools review thread.mbox --output replies/ --run 20261125-114120   without testing again

Nothing is sent: the replies are files for a mail program.
exit status: as kvtools test
"""


def review(command: argparse.ArgumentParser) -> None:
    """What kvtools test has not."""
    command.add_argument("series", metavar="SOURCE",
                         help="as for kvtools test; replies thread to mails with a Message-ID")
    command.add_argument("--output", required=True, metavar="DIR",
                         help="where the replies go, as *.eml and as replies.mbox")
    command.add_argument("--candidate", action="append", default=[], metavar="BASE",
                         help="a base to try, with --tree a revision of it; may be repeated "
                         "(default: those that are prepared)")
    command.add_argument("--run", dest="run_id", metavar="RUN",
                         help="write the replies from this stored run, test nothing")
    command.add_argument("--tested-by", action="store_true",
                         help="offer a Tested-by when every patch passed in a guest")


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
