# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line. The commands are imported only when one runs: ``--help`` stays quick."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable
from importlib.metadata import version
from typing import TYPE_CHECKING

from kvtools import sizes
from kvtools.cli import arguments_bisect, arguments_submit

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

FROM_LIST = "a series given by message-id"

TEST_EXAMPLES = """\
examples:
  kvtools test                                  the series of this repository on its base
  kvtools test mine/ --base debian-6.12         a directory of patches
  kvtools test v2.mbx --tree ~/linux --base v6.12
  kvtools test v6.12..my-branch --tree ~/linux --patches tip
  kvtools test --base oracle                    the untouched tree, no series
  kvtools test --only build --patches 3..5 --json run.json

exit status: 0 all good, 1 a patch is at fault, 2 usage or bad input, 3 ERROR (no verdict)
"""


FORMATS = {
    "json": "JSON after run.schema.json, everything there is",
    "junit": "JUnit XML",
    "html": "one HTML page with the matrix, logs and plots",
    "mail": "text for a mail, 72 columns",
    "markdown": "Markdown for a merge request",
    "ktap": "KTAP version 1",
    "kcidb": "KCIDB 5.3, checked against the schema where kvtools[kcidb] is installed",
    "patchwork": "JSON with the checks of each patch, for patchwork's API",
    "github": "GitHub workflow commands: annotations",
    "gitlab": "GitLab code quality report",
}
"""Options of kvtools test and report; kvtools.report.formats has the writer of each."""


def _lazy(module: str) -> Callable[[argparse.Namespace], int]:
    def run(arguments: argparse.Namespace) -> int:
        code: int = importlib.import_module(f"kvtools.cli.{module}").run(arguments)
        return code

    return run


def parser() -> argparse.ArgumentParser:
    """The parser of all commands; ``run`` in the namespace is the command's function."""
    top = argparse.ArgumentParser(
        prog="kvtools",
        description="Apply, build, boot and test every patch of a Linux kernel series.",
        epilog="kvtools COMMAND --help has the options and examples of each command.",
    )
    top.add_argument("--version", action="version", version=f"kvtools {version('kvtools')}")
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    _test(commands)
    _bisect(commands)
    _config(commands)
    _base(commands)
    _shell(commands)
    _runs(commands)
    _report(commands)
    _submit(commands)
    _review(commands)
    _cache(commands)
    _doctor(commands)
    _b4_check(commands)
    _hook(commands)
    _completion(commands)
    return top


def _add(commands: Commands, name: str, text: str, epilog: str = "") -> argparse.ArgumentParser:
    command = commands.add_parser(
        name,
        help=text,
        description=text[0].upper() + text[1:] + ".",
        epilog=epilog or None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.set_defaults(run=_lazy(name.replace("-", "_")))
    return command


def _tree_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--tree", metavar="PATH", help="your own git clone of the kernel; it is only read"
    )
    command.add_argument(
        "--base", metavar="NAME|REV", help="a base by name, or with --tree a revision of that tree"
    )


def _format_options(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("files to write (- for stdout)")
    for name, text in FORMATS.items():
        group.add_argument(f"--{name}", metavar="FILE", help=text)


def _run_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "-j", "--jobs", type=_positive, metavar="N", help="jobs of make (default: cores + 1)"
    )
    command.add_argument(
        "--guests",
        type=_positive,
        metavar="N",
        help="guests that run at once (default: half the cores, at least 2, 4 GiB for each)",
    )
    command.add_argument(
        "--accel",
        choices=("auto", "kvm", "tcg"),
        default="auto",
        help="how QEMU runs guests; auto tries KVM by running code in it",
    )
    command.add_argument(
        "--ccache",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="have ccache, when it is installed, answer for files that were compiled before",
    )
    command.add_argument("-q", "--quiet", action="store_true", help="no progress, only the result")


def _trust_options(command: argparse.ArgumentParser, whose: str) -> None:
    """``whose`` series is confined when neither is given."""
    trust = command.add_mutually_exclusive_group()
    trust.add_argument(
        "--untrusted",
        action="store_true",
        default=None,
        help="confine what the series runs: no network, no home, nothing written outside "
        f"(docs/untrusted.md); so it is done with {whose}",
    )
    trust.add_argument(
        "--trusted",
        action="store_false",
        dest="untrusted",
        help=f"do not confine {whose}: you have read it",
    )


def _test(commands: Commands) -> None:
    command = _add(commands, "test", "test every patch of a series", TEST_EXAMPLES)
    command.add_argument(
        "series",
        nargs="?",
        metavar="SERIES",
        help="a directory of patches, an mbox or .mbx, a Maildir, a git range of --tree, or a "
        "message-id (default: patches/virtio-mem, or no series when only a base is named)",
    )
    _tree_options(command)
    _test_options(command)
    command.add_argument(
        "--bisect-exit",
        action="store_true",
        help="exit as git bisect run wants it: 0 good, 1 bad, 125 skip, 128 stop",
    )


def _test_options(command: argparse.ArgumentParser, whose: str = FROM_LIST) -> None:
    command.add_argument(
        "--patches",
        default="all",
        metavar="WHICH",
        help="all (default), tip, base, a number, a range 3..5, or a list 1,3..5",
    )
    command.add_argument(
        "--config",
        action="append",
        default=[],
        metavar="NAME",
        help="a config of kbuild/configs; may be repeated",
    )
    command.add_argument(
        "-W",
        dest="extra_warnings",
        default="",
        metavar="LEVEL",
        help="build with make's W=LEVEL (1, 2, 3); a warning that a patch brings shows as WARN",
    )
    command.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="STEP[:NAME]",
        help="only these cells and what they need, e.g. boot, selftest:vmem.resize, "
        "check:checkpatch, or check:patch for all checks that need no build",
    )
    command.add_argument(
        "--no-reuse", action="store_true", help="run everything again, stored outcomes or not"
    )
    command.add_argument(
        "--keep", action="store_true", help="keep the crash dumps of cells that pass, too"
    )
    command.add_argument(
        "--early", action="store_true",
        help="run scenarios before the patch that series.toml promises them from, too",
    )
    command.add_argument(
        "--header-aware",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="keep objects that cannot see the edit of a header that they read, and do not call "
        "make for an edit of what it does not read (default; docs/headers.md)",
    )
    _trust_options(command, whose)
    command.add_argument(
        "--verify-build",
        action="store_true",
        help="build everything again after each build that kept objects, and compare; "
        "takes nothing from the store",
    )
    _format_options(command)
    _run_options(command)


def _bisect(commands: Commands) -> None:
    command = _add(commands, "bisect", "find the first bad patch or commit, flaky or not",
                   arguments_bisect.EXAMPLES)
    arguments_bisect.bisect(command)
    _tree_options(command)
    _run_options(command)


def _config(commands: Commands) -> None:
    command = _add(commands, "config", "find the config symbols that make a kernel fail",
                   arguments_bisect.CONFIG_EXAMPLES)
    arguments_bisect.config(command)
    _tree_options(command)
    _run_options(command)


def _base(commands: Commands) -> None:
    command = _add(
        commands,
        "base",
        "list, prepare or locate the kernel trees that series are applied to",
        "examples:\n  kvtools base list\n  kvtools base prepare debian-6.12\n"
        "  git -C $(kvtools base path debian-6.1) log --oneline\n",
    )
    actions = command.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("list", help="the bases known, and which are prepared")
    for name, text in (("prepare", "fetch and unpack one"), ("path", "print its repository")):
        action = actions.add_parser(name, help=text)
        action.add_argument("name", nargs="?", metavar="NAME", help="default: debian-6.1")


def _shell(commands: Commands) -> None:
    command = _add(
        commands,
        "shell",
        "boot a patch interactively with a virtio-mem device",
        "examples:\n  kvtools shell          the tip of the series of this repository\n"
        "  kvtools shell 3        its third patch\n"
        "  kvtools shell 0 --base oracle\n",
    )
    command.add_argument(
        "patch", nargs="?", type=int, metavar="PATCH", help="patch number, 0 the base; default tip"
    )
    command.add_argument("--series", metavar="SERIES", help="as for kvtools test")
    _tree_options(command)
    command.add_argument("--config", metavar="NAME", help="a config of kbuild/configs")
    _run_options(command)


def _runs(commands: Commands) -> None:
    command = _add(commands, "runs", "list the runs made on this machine, newest last")
    command.add_argument("-n", type=_positive, metavar="N", help="only the last N")


def _report(commands: Commands) -> None:
    command = _add(
        commands,
        "report",
        "print a run again, or one cell of it with its log and its reproducer",
        "examples:\n  kvtools report                     the newest run\n"
        "  kvtools report 20261123-184501 --cell 3:boot:guest\n"
        "  kvtools report --json - | jq .status\n"
        "  kvtools report --html report.html\n"
        "  kvtools report run.json --html report.html\n"
        "  kvtools report --compare 20261123-184501 20261124-070314\n",
    )
    command.add_argument(
        "run_id",
        nargs="?",
        metavar="RUN",
        help="a run, or a file that --json wrote; default: the newest run",
    )
    command.add_argument(
        "--cell",
        metavar="PATCH:STEP[:NAME]",
        help="one cell: status, log lines, reproducer; the patch is a number or base",
    )
    command.add_argument("--log", action="store_true", help="with --cell: print its whole log")
    command.add_argument(
        "--compare",
        nargs=2,
        metavar=("OLD", "NEW"),
        help="what changed between two runs (or files that --json wrote)",
    )
    _format_options(command)


def _submit(commands: Commands) -> None:
    command = _add(commands, "submit", "prepare a tested series for the mailing list, with b4",
                   arguments_submit.EXAMPLES)
    arguments_submit.submit(command, _tree_options)


def _review(commands: Commands) -> None:
    command = _add(commands, "review", "test someone's series and write the replies to it",
                   arguments_submit.REVIEW_EXAMPLES)
    arguments_submit.review(command)
    _tree_options(command)
    _test_options(command, "the series of others")
    command.set_defaults(foreign=True)


def _cache(commands: Commands) -> None:
    command = _add(
        commands,
        "cache",
        "show what kvtools keeps on the disk, and remove what was not used for longest",
        "examples:\n  kvtools cache\n  kvtools cache prune --limit 20G --dry-run\n",
    )
    actions = command.add_subparsers(dest="action", metavar="ACTION")
    prune = actions.add_parser(
        "prune",
        help="remove stored outcomes, then worktrees with objects, then old versions of bases, "
        "until no more than the limit is left; runs and their reports stay",
    )
    prune.add_argument("--limit", required=True, type=_size, metavar="SIZE", help="as in 20G, 500M")
    prune.add_argument("--dry-run", action="store_true", help="only tell what would go")


def _b4_check(commands: Commands) -> None:
    command = _add(
        commands,
        "b4-check",
        "check the mail on standard input, as b4 asks for it",
        "examples:\n"
        '  git config b4.prep-perpatch-check-cmd "PATH/kv b4-check"\n'
        '  git config b4.review-perpatch-check-cmd "PATH/kv b4-check --json"\n'
        '  git config b4.review-series-check-cmd "PATH/kv b4-check --json --series"\n',
    )
    _here(command)
    command.add_argument("--json", action="store_true", help="a JSON list, as b4 review wants it")
    command.add_argument(
        "--series", action="store_true", help="the mail is a cover letter; check the whole series"
    )


def _here(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--tree", metavar="PATH", default=".", help="the top of the git clone (default: here)"
    )


def _hook(commands: Commands) -> None:
    command = _add(
        commands,
        "checkpatch-hook",
        "check commits as a git hook",
        "example:\n  printf '#!/bin/sh\\nexec PATH/kv checkpatch-hook post-commit\\n' > "
        ".git/hooks/post-commit && chmod +x .git/hooks/post-commit\n",
    )
    command.add_argument("event", choices=("post-commit", "pre-push"), help="which hook it is")
    command.add_argument("names", nargs="*", help=argparse.SUPPRESS)  # remote and URL of pre-push
    _here(command)


def _doctor(commands: Commands) -> None:
    _add(commands, "doctor", "tell what is missing or slow on this machine, and what mends it")


def _completion(commands: Commands) -> None:
    command = _add(
        commands,
        "completion",
        "print the shell code that completes kvtools' arguments",
        'examples:\n  eval "$(./kv completion bash)"\n',
    )
    command.add_argument("shell", choices=("bash", "zsh", "fish"))


def _size(text: str) -> int:
    try:
        return sizes.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number
