"""The doctor finds what is wrong, and what to do about it."""

from pathlib import Path

import pytest

from tt_course.doctor import Finding, examine
from tt_course.manifest import Tier
from tt_course.workspace import create


def findings() -> dict[str, Finding]:
    return {finding.name: finding for finding in examine()}


def test_outside_of_a_workspace_the_installation_is_looked_at(
    chain: Tier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = findings()
    assert all(finding.is_good for finding in found.values())
    assert found["course chain"].found == "3 modules"
    assert "is in no workspace" in found["workspace"].found


def test_what_is_missing_is_found_with_a_remedy(chain: Tier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ws = create(tmp_path / "mine", "builder", [chain])
    monkeypatch.chdir(ws.root)
    assert findings()["repository"].found == "on main"
    (ws.root / ".git").rename(tmp_path / "gone")
    (chain.folder / "02_lines" / "cases.py").unlink()
    for module in chain.modules:
        module.__dict__.pop("manifest", None)
    monkeypatch.setenv("PATH", "")
    bad = {name: finding for name, finding in findings().items() if not finding.is_good}
    assert {"git", "repository", "course chain"} <= set(bad)
    assert "apt install git" in bad["git"].remedy
    assert "there is no cases.py beside it" in bad["course chain"].found
