"""The hooks of pre-commit can be read, and fetch nothing."""

import subprocess

import yaml

from sevenfold.settings import REPOSITORY

CONFIGURATION = REPOSITORY / ".pre-commit-config.yaml"
PROGRAMS = REPOSITORY / ".venv" / "bin"


def test_pre_commit_reads_its_configuration() -> None:
    subprocess.run([PROGRAMS / "pre-commit", "validate-config", CONFIGURATION], check=True, capture_output=True)


def test_every_hook_is_a_program_of_the_lock_or_a_target_of_the_makefile() -> None:
    repositories = yaml.safe_load(CONFIGURATION.read_text(encoding="utf-8"))["repos"]
    assert [repository["repo"] for repository in repositories] == ["local"]
    hooks = repositories[0]["hooks"]
    assert {hook["language"] for hook in hooks} == {"system"}
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    for hook in hooks:
        program, first, *_ = hook["entry"].split()
        if program == "make":
            assert f"\n{first}: " in makefile, hook["id"]
        else:
            assert (REPOSITORY / program).is_relative_to(PROGRAMS), hook["id"]
            assert (REPOSITORY / program).exists(), hook["id"]
