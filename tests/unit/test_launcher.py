# SPDX-License-Identifier: GPL-2.0-or-later
"""./kv: what it starts, what it installs, and what it says when it cannot."""

from __future__ import annotations

import fcntl
import os
import pwd
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kvtools import installer, launcher, packages, paths, process, venv
from kvtools.errors import MachineError
from kvtools.installer import Machine

PYPROJECT = "[project]\nname = 'x'\n"

# An apt-get that knows what it was asked, installs what $FAKE holds and fails as told.
APT = """#!/bin/sh
echo "$*" >>"$FAKE/asked"
case "$*" in
*update*) touch "$FAKE/updated" ;;
*install*)
    if [ -e "$FAKE/needs-update" ] && [ ! -e "$FAKE/updated" ]; then
        echo "E: Unable to locate package tool"; exit 100; fi
    if [ -e "$FAKE/lacks" ]; then
        case "$*" in *"$(cat "$FAKE/lacks")"*) echo "E: Unable to locate package"; exit 100;; esac
    fi
    if [ -e "$FAKE/says" ]; then cat "$FAKE/says"; exit 100; fi
    printf '#!/bin/sh\\n' >"$FAKE/bin/tool-x"; chmod +x "$FAKE/bin/tool-x" ;;
esac
"""
SUDO = '#!/bin/sh\necho "sudo $*" >>"$FAKE/asked"\n[ "$1" = -n ] && exit "${SUDO_N-0}"\nexec "$@"\n'

NEEDED = packages.parse("""
[tool]
level = "required"
why = "to work"
programs = ["tool-x"]
debian = "tool-deb"
fedora = "tool-rpm"

[nice]
level = "wanted"
why = "to be quick"
programs = ["nice-x"]
debian = "nice-deb"
""")

ROOT = Machine("debian", root=True, terminal=False)
USER = Machine("debian", root=False, terminal=False)


def script(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with a fake apt-get and apt lists, without tool-x."""
    root = tmp_path / "fake"
    (root / "bin").mkdir(parents=True)
    (root / "lists").mkdir()
    (root / "lists/x_InRelease").touch()
    script(root / "bin/apt-get", APT)
    monkeypatch.setenv("FAKE", str(root))
    monkeypatch.setenv("PATH", f"{root}/bin:/usr/bin:/bin")
    monkeypatch.setattr(installer, "APT_LISTS", root / "lists")
    return root


def asked(fake: Path) -> list[str]:
    file = fake / "asked"
    return file.read_text().splitlines() if file.exists() else []


def test_nothing_missing_asks_nobody(fake: Path) -> None:
    script(fake / "bin/tool-x", "")
    installer.provide(NEEDED, ROOT, may_lack=False)
    assert asked(fake) == []


def test_root_installs_after_showing_the_line(
    fake: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    installer.provide(NEEDED, ROOT, may_lack=False)
    (line,) = asked(fake)
    assert line.endswith("install -y --no-install-recommends tool-deb nice-deb")
    assert "DPkg::Lock::Timeout=300" in line
    shown = capfd.readouterr().err
    assert "apt-get install -y --no-install-recommends tool-deb nice-deb\n" in shown
    assert "tool (to work)" in shown


def test_empty_lists_are_fetched_first(fake: Path) -> None:
    (fake / "lists/x_InRelease").unlink()
    installer.provide(NEEDED, ROOT, may_lack=False)
    assert [line.split()[5] for line in asked(fake)] == ["update", "install"]


def test_unknown_package_makes_it_update_and_try_again(fake: Path) -> None:
    (fake / "needs-update").touch()
    installer.provide(NEEDED, ROOT, may_lack=False)
    assert [line.split()[5] for line in asked(fake)] == ["install", "update", "install"]


def test_a_wanted_package_that_cannot_be_had_stops_nothing(fake: Path) -> None:
    (fake / "lacks").write_text("nice-deb")
    installer.provide(NEEDED, ROOT, may_lack=False)
    assert asked(fake)[-1].endswith("tool-deb")


@pytest.mark.parametrize(
    ("says", "message"),
    [
        ("Err:1 Temporary failure resolving 'deb.debian.org'\nE: Failed to fetch", "no network"),
        ("E: You don't have enough free space in /var/cache/apt/archives/.", "disk full"),
        ("E: Sub-process dpkg returned an error code (1)", "apt-get failed"),
    ],
)
def test_apt_failures_are_one_line(
    fake: Path, says: str, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    (fake / "says").write_text(says)
    with pytest.raises(MachineError, match=f"^{message}"):
        installer.provide(NEEDED, ROOT, may_lack=False)
    assert ("dpkg returned" in capfd.readouterr().err) == ("dpkg returned" in says)


def test_installed_but_not_found(fake: Path) -> None:
    script(fake / "bin/apt-get", "#!/bin/sh\n")
    with pytest.raises(MachineError, match="not found: tool"):
        installer.provide(NEEDED, ROOT, may_lack=False)


def test_user_without_sudo_gets_the_line(
    fake: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "which", lambda name: None)
    with pytest.raises(MachineError) as caught:
        installer.provide(NEEDED, USER, may_lack=False)
    assert caught.value.exit_code == 3
    assert "sudo apt-get install -y --no-install-recommends tool-deb" in caught.value.fix
    installer.provide(NEEDED, USER, may_lack=True)
    assert "sudo apt-get install" in capfd.readouterr().err
    assert asked(fake) == []


def test_sudo_without_password_or_with_a_terminal(
    fake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(fake / "bin/sudo", SUDO)
    monkeypatch.setenv("SUDO_N", "1")
    with pytest.raises(MachineError, match="not root"):
        installer.provide(NEEDED, USER, may_lack=False)
    assert asked(fake) == ["sudo -n true"]
    monkeypatch.setenv("SUDO_N", "0")
    installer.provide(NEEDED, USER, may_lack=False)
    assert any(line.startswith("sudo env DEBIAN_FRONTEND=") for line in asked(fake))
    (fake / "bin/tool-x").unlink()
    (fake / "asked").unlink()
    installer.provide(NEEDED, USER._replace(terminal=True), may_lack=False)
    assert not any("-n" in line.split() for line in asked(fake))


@pytest.mark.parametrize(
    ("where", "line"),
    [
        ("fedora", "install them with: sudo dnf install tool-rpm"),
        ("", "on Debian they are called tool-deb"),
    ],
)
def test_elsewhere_the_line_is_printed_and_that_is_all(
    fake: Path, where: str, line: str, capfd: pytest.CaptureFixture[str]
) -> None:
    installer.provide(NEEDED, ROOT._replace(distribution=where), may_lack=False)
    assert line in capfd.readouterr().err
    assert asked(fake) == []


# A python whose `-m venv` makes a directory with itself in it and whose pip writes a file.
PYTHON = """#!/bin/sh
case "$1 $2" in
"-m venv") mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
"-m pip")
    echo run >>"$FAKE/pip"
    if [ -e "$FAKE/pip-slow" ]; then sleep 300; fi
    if [ -e "$FAKE/pip-says" ]; then cat "$FAKE/pip-says"; exit 1; fi ;;
esac
"""


@pytest.fixture
def clone(tmp_path: Path, fake: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "clone"
    root.mkdir()
    (root / "pyproject.toml").write_text(PYPROJECT)
    script(fake / "bin/python", PYTHON)
    script(fake / "bin/tool-x", "")
    monkeypatch.setattr(sys, "executable", str(fake / "bin/python"))
    monkeypatch.setattr(packages, "here", lambda: "debian")
    return root


def install(clone: Path) -> int:
    return installer.install(clone, clone / ".venv", NEEDED, may_lack=False)


def pips(fake: Path) -> int:
    return len((fake / "pip").read_text().splitlines())


def test_a_virtual_environment_is_made_once(clone: Path, fake: Path) -> None:
    assert not venv.is_fresh(clone, clone / ".venv")
    assert install(clone) == 0
    assert venv.is_fresh(clone, clone / ".venv")
    assert install(clone) == 0
    assert pips(fake) == 1


def test_a_changed_project_is_installed_again_in_place(clone: Path, fake: Path) -> None:
    install(clone)
    (clone / ".venv/kept").touch()
    (clone / "pyproject.toml").write_text(PYPROJECT + "# more\n")
    assert not venv.is_fresh(clone, clone / ".venv")
    assert install(clone) == 0
    assert venv.is_fresh(clone, clone / ".venv")
    assert (clone / ".venv/kept").exists() and pips(fake) == 2


def test_a_moved_clone_makes_it_anew(clone: Path, fake: Path) -> None:
    install(clone)
    (clone / ".venv/old").touch()
    moved = clone.with_name("moved")
    clone.rename(moved)
    assert not venv.is_fresh(moved, moved / ".venv")
    assert install(moved) == 0
    assert not (moved / ".venv/old").exists()


def test_a_half_made_one_is_repaired(clone: Path, fake: Path) -> None:
    (fake / "pip-says").write_text("ERROR: broken\n")
    assert install(clone) == 3
    assert not venv.is_fresh(clone, clone / ".venv")
    (clone / ".venv/half").mkdir()
    (fake / "pip-says").unlink()
    assert install(clone) == 0
    assert not (clone / ".venv/half").exists()


def test_a_python_that_went_away_makes_it_anew(clone: Path) -> None:
    install(clone)
    (clone / ".venv/bin/python").unlink()
    assert not venv.is_fresh(clone, clone / ".venv")
    assert install(clone) == 0
    assert venv.is_fresh(clone, clone / ".venv")


@pytest.mark.parametrize(
    ("says", "message"),
    [
        ("WARNING: Retrying: Temporary failure in name resolution\nERROR: No match", "no network"),
        ("ERROR: Could not install: [Errno 28] No space left on device", "disk full"),
        ("ERROR: ResolutionImpossible", "pip failed"),
    ],
)
def test_pip_failures_are_one_line(
    clone: Path, fake: Path, says: str, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    (fake / "pip-says").write_text(says)
    assert install(clone) == 3
    assert capfd.readouterr().err.splitlines()[-1].startswith(f"kv: {message}")


def test_a_directory_of_someone_else_is_not_touched(
    clone: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (clone / ".venv").mkdir()
    (clone / ".venv/precious").touch()
    assert install(clone) == 3
    assert [entry.name for entry in (clone / ".venv").iterdir()] == ["precious"]
    assert "not made by kv" in capfd.readouterr().err


def test_a_place_that_cannot_be_written(clone: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (clone / "file").touch()
    assert installer.install(clone, clone / "file/venv", NEEDED, may_lack=False) == 3
    assert "KVTOOLS_VENV" in capfd.readouterr().err


def test_a_second_start_waits_for_the_first(
    clone: Path, fake: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    place = clone / ".venv"
    place.mkdir()
    with (place / venv.LOCK).open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        second = threading.Thread(target=install, args=(clone,))
        second.start()
        end = time.monotonic() + 5
        while "waiting" not in capfd.readouterr().err and time.monotonic() < end:
            time.sleep(0.01)
        assert not (fake / "pip").exists()
    second.join(10)
    assert venv.is_fresh(clone, place)


def test_the_command_to_become(tmp_path: Path) -> None:
    place = tmp_path / ".venv"
    python = str(place / "bin/python")
    made = launcher.command_args(tmp_path, place, ["test", "--json", "f"], tmp_path)
    assert made == [python, "-P", "-m", "kvtools", "test", "--json", "f"]


def test_pytest_finds_the_tests_from_anywhere(tmp_path: Path) -> None:
    clone, other = tmp_path / "clone", tmp_path / "other"
    (clone / "tests").mkdir(parents=True)
    other.mkdir()
    (other / "test_a.py").touch()

    def rest(cwd: Path, *argv: str) -> list[str]:
        return launcher.command_args(clone, clone / ".venv", ["pytest", *argv], cwd)[6:]

    # One file, or a debugger, wants one process.
    many = ["-n", str(max(4, os.cpu_count() or 1))]
    assert rest(clone, "-q") == [*many, "-q"]
    assert rest(other, "-q") == [*many, "-q", str(clone / "tests")]
    assert rest(other, "test_a.py::test_b") == ["test_a.py::test_b"]
    assert rest(clone, "--pdb") == ["--pdb"]
    assert rest(clone, "-n0") == ["-n0"]


def test_programs_of_the_environment_come_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin")
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    env = launcher.environment(tmp_path)
    assert env["PATH"] == f"{tmp_path}/bin:/usr/bin"
    assert "PYTHONHOME" not in env


def test_only_the_tests_write_bytecode_where_the_environment_says_not_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    assert launcher.environment(tmp_path)["PYTHONDONTWRITEBYTECODE"] == "1"
    assert "PYTHONDONTWRITEBYTECODE" not in launcher.environment(tmp_path, tests=True)


@pytest.fixture
def whole(tmp_path: Path) -> Iterator[Path]:
    """A copy of what ./kv needs of this clone, with a finished environment that echoes."""
    root = tmp_path / "whole"
    (root / "kvtools").mkdir(parents=True)
    (root / "kbuild").mkdir()
    for name in ("__init__.py", "launcher.py", "packages.py", "venv.py"):
        shutil.copy(paths.data() / "kvtools" / name, root / "kvtools")
    shutil.copy(paths.data() / "kv", root)
    (root / "kbuild/packages.toml").touch()
    (root / "pyproject.toml").write_text(PYPROJECT)
    (root / ".venv/bin").mkdir(parents=True)
    script(root / ".venv/bin/python", '#!/bin/sh\necho "$@"\necho "$HOME $PATH"\n')
    (root / ".venv" / venv.STAMP).write_bytes(venv.stamp(root, root / ".venv"))
    yield root


@pytest.mark.parametrize("home", [None, "", "/somewhere"])
def test_kv_itself(whole: Path, tmp_path: Path, home: str | None) -> None:
    env = {"PATH": "/usr/bin:/bin"} | ({"HOME": home} if home is not None else {})
    link = tmp_path / "link"
    link.symlink_to(whole / "kv")
    done = subprocess.run(
        [sys.executable, "-I", str(link), "runs", "a b"],
        env=env,
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert done.stderr == ""
    first, second = done.stdout.splitlines()
    assert first == "-P -m kvtools runs a b"
    assert second.endswith(f" {whole}/.venv/bin:/usr/bin:/bin")
    assert second.split()[0] == (home or pwd.getpwuid(os.getuid()).pw_dir)


def test_a_start_with_nothing_missing_is_quick(whole: Path) -> None:
    def seconds(argv: list[str]) -> float:
        begun = time.perf_counter()
        subprocess.run(argv, check=True, capture_output=True, cwd=whole)
        return time.perf_counter() - begun

    shutil.copy(paths.data() / "kbuild/packages.toml", whole / "kbuild")
    text = (whole / "kbuild/packages.toml").read_text().replace('"required"', '"optional"')
    (whole / "kbuild/packages.toml").write_text(text + NEEDLESS)
    assert min(seconds([sys.executable, str(whole / "kv")]) for _ in range(5)) < 0.3


NEEDLESS = "".join(
    f'[sh{n}]\nlevel = "required"\nwhy = "x"\nprograms = ["sh"]\ndebian = "x"\n' for n in range(30)
)


def test_an_old_python_is_told(whole: Path, tmp_path: Path) -> None:
    text = (whole / "kv").read_text()
    assert "(3, 11)" in text
    (whole / "kv").write_text(text.replace("(3, 11)", "(9, 11)").replace('"python3.', '"none3.'))
    done = subprocess.run([sys.executable, str(whole / "kv")], capture_output=True, text=True)
    assert done.returncode == 3
    assert done.stderr.startswith("kv: Python 3.11 or newer is needed, this is 3.")
    assert len(done.stderr.splitlines()) == 1
