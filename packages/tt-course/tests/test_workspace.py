"""Workspaces: nothing is lost on the way from `start` to `complete`, whatever Git knows."""

import json
import subprocess
from pathlib import Path

import pytest

from tt_course import workspace as workspaces
from tt_course.errors import CourseError
from tt_course.manifest import Tier
from tt_course.workspace import Workspace, create, find


@pytest.fixture
def ws(chain: Tier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A new workspace of a learner whose Git knows no user."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    return create(tmp_path / "mine", "builder", [chain])


def git(ws: Workspace, *arguments: str) -> str:
    user = ["-c", "user.name=L", "-c", "user.email=l@example.org"]
    return subprocess.run(
        ["git", *user, *arguments], cwd=ws.root, capture_output=True, text=True, check=True
    ).stdout.strip()


def test_a_new_workspace_is_a_clean_repository_on_main(ws: Workspace) -> None:
    assert git(ws, "status", "--porcelain") == ""
    assert git(ws, "branch", "--show-current") == "main"
    assert git(ws, "log", "--format=%s by %an") == "Begin by tito"
    assert [m.name for m in ws.modules] == ["01_numbers", "02_lines", "03_fits"]
    assert (ws.root / "toyworld" / "__init__.py").is_file()
    assert "What can be done with a number?" in (ws.root / "README.md").read_text()


def test_the_users_name_is_used_where_git_knows_it(ws: Workspace) -> None:
    git(ws, "config", "user.name", "Ada")
    git(ws, "config", "user.email", "ada@example.org")
    ws.start(ws.modules[0])
    assert git(ws, "log", "-1", "--format=%an %s") == "Ada Start 01 Numbers"


def test_start_opens_a_branch_with_the_starter_and_the_questions(ws: Workspace) -> None:
    module = ws.modules[0]
    assert ws.start(module) == "module/01_numbers"
    text = ws.file(module).read_text()
    assert text.count("raise NotImplementedError(") == 5
    assert 'raise NotImplementedError("01.1 Twice and half")' in text
    assert "Why is twice not the square?" in (ws.folder(module) / "reflection.md").read_text()
    assert git(ws, "branch", "--show-current") == "module/01_numbers"
    assert git(ws, "status", "--porcelain") == ""
    with pytest.raises(CourseError, match=r"module 01 is started: modules/01_numbers/numbers\.py"):
        ws.start(module)


def test_work_that_was_not_committed_survives_start_and_complete(ws: Workspace) -> None:
    first, second = ws.modules[:2]
    ws.start(first)
    ws.file(first).write_text("mine = 1\n")
    (ws.root / "notes.txt").write_text("untracked")
    ws.start(second)
    assert ws.file(first).read_text() == "mine = 1\n"
    ws.file(second).write_text("mine = 2\n")
    ws.complete(second)
    assert ws.file(first).read_text() == "mine = 1\n"
    assert ws.file(second).read_text() == "mine = 2\n"
    assert (ws.root / "notes.txt").read_text() == "untracked"
    assert git(ws, "branch", "--show-current") == "main"
    assert git(ws, "status", "--porcelain") == "?? notes.txt"
    assert git(ws, "show", "main:modules/02_lines/lines.py") == "mine = 2"


def test_complete_commits_merges_and_lists_the_file(ws: Workspace) -> None:
    module = ws.modules[0]
    ws.start(module)
    ws.file(module).write_text("mine = 1\n")
    ws.complete(module)
    assert ws.is_complete(module)
    assert ws.files() == {"toy_chain.numbers": ws.file(module)}
    entry = json.loads((ws.root / "framework.json").read_text())["completed"]["toy_chain.numbers"]
    assert (entry["version"], entry["prepare"]) == ("1.0", "toy_chain.settings:prepare")
    assert git(ws, "log", "-1", "--format=%s") == "Merge 01 Numbers"
    assert len(git(ws, "log", "-1", "--format=%P").split()) == 2
    assert git(ws, "status", "--porcelain") == ""
    ws.complete(module)
    assert git(ws, "status", "--porcelain") == ""


def test_commits_on_main_meanwhile_are_taken_in(ws: Workspace) -> None:
    module = ws.modules[0]
    ws.start(module)
    git(ws, "switch", "main")
    (ws.root / "README.md").write_text("mine\n")
    git(ws, "commit", "-am", "By hand")
    git(ws, "switch", "module/01_numbers")
    ws.complete(module)
    assert (ws.root / "README.md").read_text() == "mine\n"
    assert "By hand" in git(ws, "log", "--format=%s")


def test_a_conflict_with_main_changes_nothing_and_is_told(ws: Workspace) -> None:
    module = ws.modules[0]
    ws.start(module)
    ws.file(module).write_text("branch = 1\n")
    ws.save("Branch")
    git(ws, "switch", "main")
    ws.folder(module).mkdir(parents=True, exist_ok=True)
    ws.file(module).write_text("main = 1\n")
    git(ws, "add", "modules")
    git(ws, "commit", "-m", "By hand")
    git(ws, "switch", "module/01_numbers")
    with pytest.raises(CourseError, match="the branch main holds changes that conflict with yours"):
        ws.complete(module)
    assert ws.file(module).read_text() == "branch = 1\n"
    assert not ws.is_complete(module)
    assert git(ws, "status", "--porcelain") == ""


def test_reset_begins_anew_and_keeps_a_copy_in_the_folder_and_in_git(ws: Workspace) -> None:
    module = ws.modules[0]
    ws.start(module)
    ws.file(module).write_text("mine = 1\n")
    ws.complete(module)
    ws.file(module).write_text("mine = 2\n")
    copy, again = ws.reset(module), ws.reset(module)
    assert copy != again
    assert (copy / "numbers.py").read_text() == "mine = 2\n"
    assert "NotImplementedError" in ws.file(module).read_text()
    assert not ws.is_complete(module)
    assert "mine = 2" in git(ws, "log", "-p")
    with pytest.raises(CourseError, match="module 03 is not started"):
        ws.reset(ws.modules[2])


def test_a_branch_of_that_name_is_left_alone(ws: Workspace) -> None:
    git(ws, "branch", "module/01_numbers")
    assert ws.start(ws.modules[0]) == "module/01_numbers-2"


def test_hooks_and_signatures_of_the_user_do_not_matter(ws: Workspace, tmp_path: Path) -> None:
    hook = ws.root / ".git" / "hooks" / "pre-commit"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    git(ws, "config", "commit.gpgsign", "true")
    git(ws, "config", "user.signingkey", "nobody")
    ws.start(ws.modules[0])
    assert git(ws, "status", "--porcelain") == ""


def test_a_variable_of_another_repository_does_not_matter(
    ws: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    subprocess.run(["git", "init", "--quiet", str(other)], check=True)
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    ws.start(ws.modules[0])
    monkeypatch.delenv("GIT_DIR")
    assert git(ws, "log", "-1", "--format=%s") == "Start 01 Numbers"


def test_a_workspace_may_lie_in_another_repository(chain: Tier, ws: Workspace) -> None:
    inner = create(ws.root / "inner", "builder", [chain])
    inner.start(inner.modules[0])
    assert git(inner, "rev-parse", "--show-toplevel") == str(inner.root)
    assert git(ws, "log", "--format=%s") == "Begin"


def test_a_repository_that_is_gone_is_told(ws: Workspace) -> None:
    (ws.root / ".git").rename(ws.root.parent / "moved")
    with pytest.raises(CourseError, match="is no Git repository any more"):
        ws.start(ws.modules[0])


def test_git_that_is_missing_is_told(ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(CourseError, match="tito needs git"):
        ws.start(ws.modules[0])
    assert not ws.is_started(ws.modules[0])


def test_guided_leaves_a_third_of_the_bodies_and_puts_the_reference_beside(chain: Tier, tmp_path: Path) -> None:
    guided = create(tmp_path / "guided", "guided", [chain])
    module = guided.modules[0]
    guided.start(module)
    text = guided.file(module).read_text()
    assert text.count("raise NotImplementedError(") == 2
    assert (guided.folder(module) / "reference.py").read_text() == module.source.read_text()


def test_only_an_empty_folder_becomes_a_workspace(ws: Workspace, chain: Tier, tmp_path: Path) -> None:
    with pytest.raises(CourseError, match="is a workspace already"):
        create(ws.root, "builder", [chain])
    with pytest.raises(CourseError, match="is not empty"):
        create(ws.root / "toyworld", "builder", [chain])
    with pytest.raises(CourseError, match="no tier is installed"):
        create(tmp_path / "none", "builder", [])


def test_a_workspace_is_found_from_within_and_by_its_variable(
    ws: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find(ws.root / "toyworld").root == ws.root
    with pytest.raises(CourseError, match="is in no workspace"):
        find(tmp_path)
    monkeypatch.setenv("TITO_WORKSPACE", str(ws.root))
    assert find(tmp_path).root == ws.root


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        ("tito.toml", "path = 1\ntiers = []\n", r"tito\.toml: Invalid|tito\.toml: Expected"),
        ("tito.toml", 'path = "builder"\ntiers = ["ghost"]\n', "no tier 'ghost'"),
        ("framework.json", "{", r"framework\.json is broken"),
        ("framework.json", '{"completed": {"a": {}}, "imports": {}}', r"framework\.json is broken"),
        ("framework.json", '{"completed": {"a": {"file": "no.py"}}, "imports": {}}', r"no\.py is gone"),
    ],
)
def test_a_broken_file_is_told(ws: Workspace, file: str, text: str, told: str) -> None:
    (ws.root / file).write_text(text)
    again = Workspace(ws.root)
    with pytest.raises(CourseError, match=told):
        _ = (again.tiers, again.files())


def test_the_module_at_hand_is_the_last_started_that_is_not_complete(ws: Workspace) -> None:
    with pytest.raises(CourseError, match="no module is started") as caught:
        ws.module(None)
    assert caught.value.hint == "Next: tito module start 01"
    ws.start(ws.modules[0])
    ws.start(ws.modules[1])
    assert ws.module(None).name == "02_lines"
    ws.complete(ws.modules[1])
    assert ws.module(None).name == "01_numbers"
    assert ws.next_module() is ws.modules[0]


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file.txt"
    workspaces.write(path, "old")
    with pytest.raises(UnicodeEncodeError):
        workspaces.write(path, "new \ud800")
    assert path.read_text() == "old"
