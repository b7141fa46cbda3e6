# SPDX-License-Identifier: GPL-2.0-or-later
"""The build step on the fake kernel tree: real make, gcc and ld, under a second a build."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from kvtools import configs, headers, kconfig, make, toolchain
from kvtools.errors import MachineError
from kvtools.headers import state
from kvtools.model import Config, Outcome, Owner, Status, Step
from kvtools.steps import build

ROOT = Path(__file__).parents[2]
GUEST = """CONFIG_64BIT=y
CONFIG_SPARSEMEM=y
CONFIG_MEMORY_HOTPLUG=y
CONFIG_MIGRATION=y
CONFIG_VIRTIO=y
"""
Run = Callable[..., Outcome]


def config(text: str = GUEST, target: str = "tinyconfig") -> Config:
    asked = kconfig.fragment(text, "test")
    digest = hashlib.sha256((target + text).encode()).hexdigest()
    return Config("guest", "x86_64", target, text, asked.requested, asked.optional, digest)


@pytest.fixture(scope="session")
def chain() -> toolchain.Toolchain:
    return toolchain.probe("x86_64", ROOT)


@pytest.fixture
def run(fakelinux: Path, tmp_path: Path, chain: toolchain.Toolchain) -> Run:
    """Build the fake tree as it stands; each call has an ``out`` of its own."""
    calls = iter(range(99))

    def call(**changes: object) -> Outcome:
        out = tmp_path / f"out{next(calls)}"
        out.mkdir()
        request = build.BuildRequest(
            source=fakelinux, objects=tmp_path / "o", config=config(), toolchain=chain, jobs=2,
            touched={}, deadline=60.0, out=out)
        ticks: list[tuple[int, int, str]] = []
        outcome = build.run(replace(request, **changes), lambda *tick: ticks.append(tick))  # type: ignore[arg-type]
        call.ticks = ticks  # type: ignore[attr-defined]
        return replace(outcome, directory=out)

    return call


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def image(outcome: Outcome) -> str:
    assert outcome.status is Status.PASS, outcome.evidence
    return str(outcome.details["image_sha256"])


def test_a_build_leaves_its_artefacts(run: Run) -> None:
    outcome = run()
    assert (outcome.step, outcome.name, outcome.status) == (Step.BUILD, "guest", Status.PASS)
    assert outcome.directory
    kept = {path.name for path in outcome.directory.iterdir()}
    assert kept == {"bzImage", "config", "System.map", "build.log", "fragment.config"}
    data = (outcome.directory / "bzImage").read_bytes()
    assert outcome.details["image_sha256"] == hashlib.sha256(data).hexdigest()
    assert outcome.details["image_bytes"] == len(data)
    assert outcome.details["objects_built"] == 4
    assert b"Linux version 6.1.0 (kvtools@kvtools) #1 " in data
    final = kconfig.parse((outcome.directory / "config").read_text())
    assert final["MEMORY_HOTPLUG"] == "y"
    assert final["LOCALVERSION_AUTO"] == "n"


def test_equal_sources_give_equal_images_wherever_the_objects_are(
    run: Run, tmp_path: Path
) -> None:
    assert image(run()) == image(run(objects=tmp_path / "elsewhere"))


def test_without_the_fixed_environment_images_would_differ(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check above can fail: the fake tree tells time, user and host as the real one does."""
    monkeypatch.setattr(make, "FIXED_ENV", {})
    assert image(run()) != image(run(objects=tmp_path / "elsewhere"))


def test_another_source_gives_another_image(run: Run, fakelinux: Path) -> None:
    before = image(run())
    edit(fakelinux / "mm/page_alloc.c", "& PG_buddy", "& PG_table")
    assert image(run()) != before


def test_nothing_is_built_twice_and_the_config_keeps_its_age(
    run: Run, fakelinux: Path, tmp_path: Path
) -> None:
    first = run()
    age = (tmp_path / "o/.config").stat().st_mtime_ns
    second = run()
    assert second.details["objects_built"] == 0
    assert (tmp_path / "o/.config").stat().st_mtime_ns == age
    assert image(second) == image(first)
    (fakelinux / "mm/page_alloc.c").touch()
    assert run().details["objects_built"] == 0  # it is what the objects were made of
    (fakelinux / "mm/page_alloc.c").touch()
    assert run(header_aware=False).details["objects_built"] == 1


def test_what_is_edited_and_not_committed_is_built_and_built_back(
    run: Run, fakelinux: Path
) -> None:
    before = image(run())
    edit(fakelinux / "mm/page_alloc.c", "& PG_buddy", "& PG_table")
    after = image(run())
    edit(fakelinux / "mm/page_alloc.c", "& PG_table", "& PG_buddy")
    assert image(run()) == before != after


def test_the_source_stays_as_it_was(run: Run, fakelinux: Path) -> None:
    run()
    said = subprocess.run(["git", "status", "--porcelain", "--ignored"], cwd=fakelinux,
                          capture_output=True, check=True)
    assert said.stdout == b""


def test_progress_counts_what_is_going_to_be_compiled(run: Run, fakelinux: Path) -> None:
    run()
    (fakelinux / "include/linux/page-flags.h").touch()
    run(header_aware=False)
    done = [tick for tick in run.ticks if tick[1]]  # type: ignore[attr-defined]
    assert done[-1][:2] == (3, 3)
    assert {tick[2] for tick in done} == {
        "init/main.o", "mm/page_alloc.o", "mm/memory_hotplug.o"}


def test_a_compile_error_is_the_patch_s_and_names_the_line(run: Run, fakelinux: Path) -> None:
    edit(fakelinux / "mm/memory_hotplug.c", "nr_online += nr_pages;", "nr_online += nr_page;")
    outcome = run(touched={"mm/memory_hotplug.c": ((11, 11),)})
    assert (outcome.status, outcome.owner) == (Status.FAIL, Owner.PATCH)
    assert outcome.summary.startswith("mm/memory_hotplug.c:11: error: 'nr_page' undeclared")
    (error,) = outcome.details["errors"]
    assert error["function"] == "online_pages"
    assert error["touched"] is True
    assert any("nr_online += nr_page;" in line for line in outcome.evidence)
    assert outcome.fingerprints[0].startswith("cc: mm/memory_hotplug.c: online_pages: 'nr_page'")


def test_an_error_elsewhere_is_not_marked_as_touched(run: Run, fakelinux: Path) -> None:
    edit(fakelinux / "mm/memory_hotplug.c", "nr_online += nr_pages;", "nr_online += nr_page;")
    outcome = run(touched={"mm/memory_hotplug.c": ((1, 3),), "mm/page_alloc.c": ((1, 99),)})
    (error,) = outcome.details["errors"]
    assert (error["touched"], error["touched_file"]) == (False, True)


def test_an_undefined_symbol_is_found_when_linking(run: Run, fakelinux: Path) -> None:
    edit(fakelinux / "mm/page_alloc.c", "return page",
         "extern int lost(void);\n\treturn lost() + page")
    outcome = run()
    assert outcome.status is Status.FAIL
    assert "undefined reference to 'lost'" in outcome.summary
    assert outcome.details["errors"][0]["tool"] == "ld"


def test_warnings_are_known_also_when_nothing_is_compiled(run: Run, fakelinux: Path) -> None:
    edit(fakelinux / "mm/page_alloc.c", "return page", "int unused;\n\n\treturn page")
    touched = {"mm/page_alloc.c": ((6, 7),)}
    first, second = run(touched=touched), run(touched=touched)
    for outcome in (first, second):
        assert outcome.status is Status.PASS
        (warning,) = outcome.details["warnings"]
        assert (warning["file"], warning["line"], warning["touched"]) == (
            "mm/page_alloc.c", 6, True)
        assert outcome.fingerprints == (
            "cc: mm/page_alloc.c: page_is_buddy: unused variable 'unused' [-Wunused-variable]",)
    assert second.details["objects_built"] == 0


def test_a_warning_is_forgotten_with_its_cause(run: Run, fakelinux: Path) -> None:
    edit(fakelinux / "mm/page_alloc.c", "return page", "int unused;\n\n\treturn page")
    assert run().details["warnings"]
    edit(fakelinux / "mm/page_alloc.c", "int unused;\n\n\t", "")
    assert run().details["warnings"] == []


def test_a_dropped_symbol_fails_before_anything_is_compiled(run: Run) -> None:
    outcome = run(config=config("CONFIG_64BIT=y\nCONFIG_MEMORY_HOTPLUG=y\nCONFIG_SPARSMEM=y\n"))
    assert (outcome.status, outcome.owner) == (Status.FAIL, Owner.PATCH)
    why = {one["symbol"]: one["why"] for one in outcome.details["dropped"]}
    assert why["MEMORY_HOTPLUG"] == "needs SPARSEMEM (is n)"
    assert why["SPARSMEM"] == "no such symbol in this kernel; perhaps SPARSEMEM"
    assert outcome.fingerprints == ("config: MEMORY_HOTPLUG=y", "config: SPARSMEM=y")
    assert outcome.directory and not (outcome.directory / "bzImage").exists()


def test_an_optional_symbol_may_be_missing(run: Run) -> None:
    text = GUEST + "\n# optional: comes with the series\nCONFIG_VIRTIO_MEM2=y\n"
    assert run(config=config(text)).status is Status.PASS


def test_modules_are_built_and_installed_without_links_to_this_machine(
    run: Run, tmp_path: Path
) -> None:
    outcome = run(config=config(GUEST + "CONFIG_MODULES=y\nCONFIG_VIRTIO_MEM=m\n"))
    assert outcome.status is Status.PASS
    assert outcome.directory
    found = sorted((outcome.directory / "modules/lib/modules/6.1.0").rglob("*.ko"))
    assert [path.name for path in found] == ["virtio_mem.ko"]
    assert len(outcome.details["modules_sha256"]) == 64
    assert state.recorded(tmp_path / "o")  # modules_install is a make as well


def test_a_killed_compiler_is_the_machine_s_fault(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    fake = programs / "gcc"
    fake.write_text("#!/bin/sh\necho 'gcc: fatal error: Killed signal terminated program cc1' >&2\n"
                    "exit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    outcome = run()
    assert (outcome.status, outcome.owner) == (Status.ERROR, Owner.MACHINE)
    assert "Killed signal" in outcome.summary


def test_machine_words_in_the_source_do_not_acquit_a_patch(run: Run, fakelinux: Path) -> None:
    edit(fakelinux / "mm/page_alloc.c", "return page",
         'return "No space left on device: Killed signal" + pag')
    assert run().status is Status.FAIL


@pytest.mark.parametrize(("said", "blamed"), [
    ("cc1: out of memory allocating 65536 bytes after a total of 1", True),
    ("mm/slub.c:12:1: internal compiler error: Segmentation fault", True),
    ("{standard input}: Assembler messages:\nfatal error: can't write 50 bytes: "
     "No space left on device", True),
    ("/bin/sh: 1: bc: not found", True),
    ("make[1]: *** [kernel/Makefile:12: kernel/config_data.gz] Error 127", True),
    ("scripts/sign-file.c:25:10: fatal error: openssl/opensslv.h: No such file or directory", True),
    ("mm/foo.c:3:10: fatal error: linux/pageflags.h: No such file or directory", False),
    ("mm/foo.c:3:10: error: 'Out of memory' undeclared", False),
    ("   12 |  pr_err(\"Out of memory\")", False),
    ("make[3]: *** [scripts/Makefile.build:250: mm/foo.o] Error 1", False),
])
def test_machine_faults(said: str, blamed: bool) -> None:
    assert bool(build.machine_fault(said)) is blamed


def test_a_deadline_is_an_error_and_the_next_build_recovers(run: Run, fakelinux: Path) -> None:
    edit(fakelinux / "Makefile", "\t@echo '  LD      $@'", "\t@echo '  LD      $@'; sleep 30")
    outcome = run(deadline=2.0)
    assert (outcome.status, outcome.owner) == (Status.ERROR, Owner.MACHINE)
    assert outcome.summary == "make ran past 2 s"
    edit(fakelinux / "Makefile", "; sleep 30", "")
    assert run().status is Status.PASS


def test_half_written_objects_of_a_killed_build_are_made_again(run: Run, tmp_path: Path) -> None:
    good = image(run())
    objects = tmp_path / "o"
    (objects / ".kvtools-busy").touch()
    broken = objects / "mm/page_alloc.o"
    (objects / "mm/.page_alloc.o.cmd").touch()
    broken.write_bytes(b"half")
    again = run()
    assert again.details["objects_built"] == 1
    assert image(again) == good


def test_objects_of_another_toolchain_are_not_mixed_in(
    run: Run, tmp_path: Path, chain: toolchain.Toolchain
) -> None:
    run()
    (tmp_path / "o/mm/page_alloc.o").write_bytes(b"from another compiler")
    assert run(toolchain=replace(chain, digest="other")).details["objects_built"] == 4


def test_a_strange_object_directory_is_left_alone(run: Run, tmp_path: Path) -> None:
    (tmp_path / "o").mkdir()
    (tmp_path / "o/thesis.tex").write_text("mine")
    with pytest.raises(MachineError, match="did not make"):
        run()
    assert (tmp_path / "o/thesis.tex").read_text() == "mine"


def test_a_kconfig_error_is_the_patch_s(run: Run, fakelinux: Path) -> None:
    edit(fakelinux / "scripts/kconfig/conf.py", "import os\n",
         "import sys; print('mm/Kconfig:12: syntax error'); sys.exit(1)\nimport os\n")
    outcome = run()
    assert outcome.status is Status.FAIL
    assert outcome.summary == "mm/Kconfig:12: error: syntax error"


def test_the_reproducer_builds_the_same_image_without_kvtools(run: Run, tmp_path: Path) -> None:
    outcome = run()
    assert outcome.directory
    work = tmp_path / "by-hand"
    work.mkdir()
    shutil.copy(outcome.directory / build.FRAGMENT, work)
    subprocess.run(["sh", "-e", "-c", "\n".join(outcome.reproduce)], cwd=work, check=True,
                   capture_output=True)
    by_hand = (work / "o/arch/x86/boot/bzImage").read_bytes()
    assert hashlib.sha256(by_hand).hexdigest() == image(outcome)


def test_extra_warnings_are_those_of_w_1_and_only_then(
    run: Run, fakelinux: Path, tmp_path: Path
) -> None:
    path = fakelinux / "mm/page_alloc.c"
    path.write_text(path.read_text() + "\nint nobody_declared(void)\n{\n\treturn 1;\n}\n")

    def texts(outcome: Outcome) -> list[str]:
        assert outcome.status is Status.PASS, outcome.evidence
        return [w["text"] for w in outcome.details["warnings"]]

    assert not any("nobody_declared" in text for text in texts(run()))
    loud = run(config=configs.with_warnings(config(), "1"), objects=tmp_path / "loud")
    assert any("nobody_declared" in text for text in texts(loud)), texts(loud)
    assert loud.reproduce[-1].endswith(" W=1 -j2 bzImage")


def test_a_verified_build_is_compared_with_one_from_nothing(run: Run, fakelinux: Path,
                                                            tmp_path: Path) -> None:
    verified = {"header_aware": True, "verify": True}
    assert run(**verified).details["verified"] is False  # nothing was kept
    for name in ("init/main.o", "mm/page_alloc.o"):
        (tmp_path / "fresh" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(tmp_path / "o" / name, tmp_path / "fresh" / name)
    assert headers.differing(tmp_path / "o", tmp_path / "fresh") == ()
    with (tmp_path / "fresh/mm/page_alloc.o").open("ab") as file:
        file.write(b"\0")
    (tmp_path / "fresh/mm/extra.o").touch()
    assert headers.differing(tmp_path / "o", tmp_path / "fresh") == (
        "mm/extra.o", "mm/page_alloc.o")


READ_BY_NOBODY = ("MAINTAINERS", "drivers/virtio/virtio_mem.c",
                  "tools/testing/selftests/memory-hotplug/mem-on-off-test.sh")


@pytest.mark.parametrize("name", READ_BY_NOBODY)
def test_make_is_not_called_when_no_product_reads_what_changed(
    run: Run, fakelinux: Path, name: str
) -> None:
    first = run()
    with (fakelinux / name).open("a") as file:
        file.write("\n")
    second = run()
    assert (first.details["make_called"], second.details["make_called"]) == (True, False)
    assert image(second) == image(first)
    assert second.summary.endswith("0 objects (nothing that is read has changed)")
    off = run(header_aware=False)  # make itself finds nothing to do either
    assert (off.details["make_called"], off.details["objects_built"]) == (True, 0)


def test_what_is_read_or_may_be_is_left_to_make(run: Run, fakelinux: Path, tmp_path: Path) -> None:
    run()
    for name in ("mm/page_alloc.c", "include/linux/mm.h", "Kbuild", "scripts/fixdep.sh",
                 "README"):
        with (fakelinux / name).open("a") as file:
            file.write("\n")
        assert run().details["make_called"], name
        subprocess.run(["git", "-c", "user.name=A", "-c", "user.email=a@b.c", "commit", "-qam",
                        "x"], cwd=fakelinux, check=True)
        run()
    (fakelinux / "mm/new.c").touch()
    assert run().details["make_called"]
    (fakelinux / "mm/new.c").unlink()
    (tmp_path / "o/vmlinux").unlink()
    assert run().details["make_called"]
    assert not run().details["make_called"]


def test_verification_covers_a_build_for_which_make_was_not_called(
    run: Run, fakelinux: Path, tmp_path: Path
) -> None:
    run()
    (tmp_path / "o/mm/page_alloc.o").write_bytes(b"not what the compiler makes")
    with (fakelinux / "MAINTAINERS").open("a") as file:
        file.write("\n")
    outcome = run(verify=True)
    assert (outcome.status, outcome.details["wrong_reuse"]) == (Status.ERROR, ["mm/page_alloc.o"])


def test_a_header_edited_behind_a_symbolic_link_is_seen(
    run: Run, fakelinux: Path, tmp_path: Path
) -> None:
    """kbuild writes physical paths: asked by another name, no product would read the header."""
    (tmp_path / "link").symlink_to(fakelinux)
    (tmp_path / "out-there").mkdir()
    (tmp_path / "there").symlink_to("out-there")
    through = {"source": tmp_path / "link", "objects": tmp_path / "there/o"}
    before = run(**through)
    edit(fakelinux / "include/linux/page-flags.h", "PG_buddy\t0x00000080",
         "PG_buddy\t0x00000040")
    after = run(**through)
    assert after.details["objects_built"] > 0 and image(after) != image(before)
    edit(fakelinux / "mm/page_alloc.c", "& PG_buddy", "& PG_table")
    assert run(**through).details["make_called"]
