"""The installed foundation tier's course keeps what learners are promised, module by module."""

import pytest

from tt_course import manifest
from tt_course.manifest import Tier, find_module
from tt_course.verify import verify

pytestmark = pytest.mark.slow

MISTAKES_IN_ALL = 35


@pytest.fixture
def foundation(monkeypatch: pytest.MonkeyPatch) -> Tier:
    monkeypatch.delenv("PYTHONPATH", raising=False)  # no toy tier beside it
    manifest.tiers.cache_clear()
    return manifest.load_tier("foundation")


@pytest.mark.parametrize("number", range(1, 8))
def test_exercises_turn_in_order_mistakes_are_told_and_the_data_are_complete(foundation: Tier, number: int) -> None:
    module = find_module(str(number), (foundation,))
    report = verify(module)
    assert report.problems == []
    m = module.manifest
    assert 5 <= len(m.exercise) <= 15
    assert len(m.case) >= 15
    assert len(m.reflection) == 3
    assert m.measurement is not None
    assert not [warning for warning in report.warnings if "only cases that return the same" in warning]


def test_enough_common_mistakes_are_known_and_every_prerequisite_is_an_earlier_module(foundation: Tier) -> None:
    manifests = [module.manifest for module in foundation.modules]
    assert sum(len(m.mistake) for m in manifests) >= MISTAKES_IN_ALL
    assert [m.number for m in manifests] == list(range(1, 8))
