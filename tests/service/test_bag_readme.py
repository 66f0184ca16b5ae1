"""A person with the bag, the printed QR code and a bare machine follows README.txt and the page that it names."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

TOOLS = ("bash", "openssl", "sha256sum", "sed", "od", "head", "tail", "cut", "base64", "tr", "grep", "cat")


class Person:
    """Works in the bag's folder; no variable is set but the path, on which are a few tools and Python."""

    def __init__(self, bag: Path, home: Path) -> None:
        self.bag, self.readme = bag, (bag / "README.txt").read_text(encoding="utf-8")
        self.tools, self.scratch = home / "bin", home
        self.tools.mkdir()
        for tool in TOOLS:
            (self.tools / tool).symlink_to(str(shutil.which(tool)))
        (self.tools / "python3").symlink_to(sys.executable)

    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        script = script.replace("/tmp/", f"{self.scratch}/")  # noqa: S108
        environment = {"PATH": str(self.tools), "LC_ALL": "C.UTF-8"}
        command = [str(self.tools / "bash"), "-c", script]
        return subprocess.run(
            command, cwd=self.bag, env=environment, capture_output=True, text=True, check=False
        )

    def by_hand(self, paper: str = "") -> subprocess.CompletedProcess[str]:
        """All commands of the page beside the report, one after the other."""
        page = (self.bag / "data/by-hand.md").read_text(encoding="utf-8")
        blocks = re.findall(r"```bash\n(.*?)```", page, re.DOTALL)
        return self.run(f"PAPER={paper}\n" + "\n".join(blocks))


@pytest.fixture
def person(anchored: Any, tmp_path: Path, need: Callable[[bool, str], None]) -> Person:
    need(all(shutil.which(tool) for tool in TOOLS), "apt install bash openssl coreutils sed")
    bag = Path(shutil.copytree(anchored.bag, tmp_path / "bag"))
    for number, paper in enumerate(anchored.papers, 1):
        (tmp_path / f"paper{number}.txt").write_text(paper, encoding="utf-8")
    (tmp_path / "home").mkdir()
    return Person(bag, tmp_path / "home")


def test_the_commands_at_the_head_of_the_readme_say_that_all_is_well(person: Person) -> None:
    commands = re.findall(r"^  (python3 -I verify\.py.*)$", person.readme, re.MULTILINE)
    assert len(commands) == 3
    key = person.readme.partition("printed one\n  ")[2].partition("\n")[0]
    for command in commands:
        filled = command.replace("../paper.txt", "../paper1.txt").replace("KEY", key)
        done = person.run(filled)
        assert (done.returncode, done.stderr) == (0, ""), filled
        assert "✓ 完好" in done.stdout.splitlines()[-1]


def test_a_paper_that_is_put_into_the_bag_is_a_file_too_many_as_the_readme_says(person: Person) -> None:
    shutil.copyfile(person.bag.parent / "paper1.txt", person.bag / "paper.txt")
    done = person.run("python3 -I verify.py --checkpoint paper.txt")
    assert (done.returncode, "✗ paper.txt: 多出的文件" in done.stdout) == (1, True)


GOES_ON = "日志由纸上的检查点延续而来 the log goes on from the paper"


@pytest.mark.parametrize("name", ["paper1.txt", "paper2.txt"])
def test_the_log_goes_on_from_the_paper_by_hand(person: Person, name: str) -> None:
    done = person.by_hand(f"../{name}")
    assert done.returncode == 0, done.stdout
    assert f"✓ {GOES_ON}\n" in done.stdout
    assert "✓ 纸上的签名 signature on the paper\n" in done.stdout
    paper = person.bag.parent / name
    lines = paper.read_text(encoding="utf-8").split("\n")
    lines[2] = "A" * 43 + "="
    paper.write_text("\n".join(lines), encoding="utf-8")
    done = person.by_hand(f"../{name}")
    assert done.returncode != 0
    assert f"✗ {GOES_ON}\n" in done.stdout
    assert "✗ 纸上的签名 signature on the paper\n" in done.stdout


def test_the_checkpoint_goes_on_from_itself_by_hand_and_not_from_a_size_without_proof(person: Person) -> None:
    head = person.bag / "data/evidence/checkpoint"
    assert f"✓ {GOES_ON}\n" in person.by_hand("data/evidence/checkpoint").stdout
    lines = head.read_text(encoding="utf-8").split("\n")
    for size in ("1", "3", "4", "16", "99"):
        other = person.bag.parent / "other.txt"
        other.write_text("\n".join([lines[0], size, *lines[2:]]), encoding="utf-8")
        assert f"✗ {GOES_ON}\n" in person.by_hand("../other.txt").stdout, size


def test_without_a_paper_the_rest_is_checked_by_hand(person: Person) -> None:
    done = person.by_hand()
    assert (done.returncode, GOES_ON in done.stdout) == (0, False), done.stdout
