"""How far a learner is, as data: for the screen, the page and programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tt_course.workspace import Workspace

__all__ = ["overview", "page"]


def overview(workspace: Workspace) -> dict[str, Any]:
    """Modules with their points and hints, checkpoints, milestones, and their sums."""
    rows = workspace.progress.modules()
    modules = []
    for m in workspace.modules:
        row = rows.get(m.name)
        known = workspace.progress.exercises(m.name) if row else {}
        state = "complete" if workspace.is_complete(m) else "started" if workspace.is_started(m) else "to do"
        modules.append(
            {
                "number": m.label,
                "name": m.name,
                "title": m.manifest.title,
                "question": m.manifest.question,
                "state": state,
                "points": row.points if row and state != "to do" else 0,
                "total": sum(e.points for e in m.manifest.exercise),
                "exercises": len(m.manifest.exercise),
                "passed": sum(1 for e in known.values() if e.state == "passed") if state != "to do" else 0,
                "hints": sum(e.hints for e in known.values()),
                "completed": row.completed if row else "",
            }
        )
    points = workspace.progress.all_reached("checkpoint")
    stones = workspace.progress.all_reached("milestone")
    checkpoints = [
        {
            "number": p.number,
            "name": p.name,
            "question": p.question,
            "passed": points[p.name].passed if p.name in points else None,
        }
        for tier in workspace.tiers
        for p in tier.manifest.checkpoint
    ]
    milestones = [
        {
            "year": s.year,
            "name": s.title or s.name,
            "passed": stones[s.name].passed if s.name in stones else None,
            "figures": stones[s.name].figures if s.name in stones else {},
            "thresholds": s.thresholds,
        }
        for tier in workspace.tiers
        for s in tier.manifest.milestone
    ]
    return {
        "workspace": str(workspace.root),
        "path": workspace.settings.path,
        "points": sum(m["points"] for m in modules),
        "total": sum(m["total"] for m in modules),
        "complete": sum(m["state"] == "complete" for m in modules),
        "modules": modules,
        "checkpoints": sorted(checkpoints, key=lambda c: c["number"]),
        "milestones": sorted(milestones, key=lambda s: s["year"]),
    }


def page(content: dict[str, Any]) -> str:
    """The overview as one HTML page that needs nothing else."""
    import jinja2

    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = Path(__file__).with_name("progress.html").read_text(encoding="utf-8")
    return environment.from_string(template).render(content)
