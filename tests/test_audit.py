"""The audit's rule on planted cohorts, whose truth is known without training anything."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import scipy.stats
import torch
from torch import Tensor, nn

from medxgan.audit import Audit, AuditSettings
from medxgan.audit.auditing import audit, judge_cohort
from medxgan.audit.cohort import Cohort
from medxgan.audit.document import HEADER, document, region_rows
from medxgan.audit.recurrence import find_recurrence
from medxgan.audit.settings import Rule
from medxgan.audit.trust import judge_trust
from medxgan.audit.wording import conclusion, legend, sentence, terms
from medxgan.classifiers import TorchClassifier
from medxgan.data import Dataset, build_dataset, open_dataset
from medxgan.errors import ConfigError, DataError
from medxgan.explainer import Explainer
from medxgan.loader import load
from medxgan.types import ClassifierSpec, Problem, ProblemKind, Status

SIZE = 32
SPEC = ClassifierSpec(size=SIZE, class_names=("healthy", "lesion"))
CORNER = (slice(2, 6), slice(2, 6))
ELSEWHERE = (slice(20, 24), slice(20, 24))
SETTINGS = AuditSettings(methods=("difference",))


class Watches(nn.Module):
    """Calls an image positive if one place of it is bright; sees nothing else."""

    def __init__(self, place: tuple[slice, slice]) -> None:
        super().__init__()
        self.place = place
        self.gain = nn.Parameter(torch.tensor(40.0))

    def forward(self, images: Tensor) -> Tensor:
        brightness = images[:, 0, self.place[0], self.place[1]].mean(dim=(1, 2)) - 0.75
        return torch.stack([torch.zeros_like(brightness), self.gain * brightness], dim=1)


@pytest.fixture
def watching(tiny_bundle: Path) -> Callable[[tuple[slice, slice]], Explainer]:
    """An explainer whose classifier watches one place."""

    def build(place: tuple[slice, slice]) -> Explainer:
        explainer = load(str(tiny_bundle), device="cpu")
        explainer.classifier = TorchClassifier(Watches(place), SPEC)
        return explainer

    return build


def make_cohort(
    changes: Tensor, *, groups: Tensor | None = None, masks: Tensor | None = None
) -> Cohort:
    """A cohort of bright images from which ``changes`` ``[N, H, W]`` are taken away."""
    count = len(changes)
    return Cohort(
        names=[f"image-{row}" for row in range(count)],
        groups=torch.arange(count) if groups is None else groups,
        images=torch.full((count, 1, SIZE, SIZE), 0.9),
        removal=-changes[:, None],
        difference=changes,
        maps={"difference": changes.abs()},
        masks=torch.zeros(count, SIZE, SIZE, dtype=torch.bool) if masks is None else masks,
        has_mask=torch.full((count,), masks is not None),
        scores=torch.full((count,), 0.9),
        flipped=torch.ones(count, dtype=torch.bool),
        transferred=torch.ones(count, dtype=torch.bool),
        statuses=[Status()] * count,
        varied=torch.ones(SIZE, SIZE, dtype=torch.bool),
        positives=count,
        negatives=7,
        skipped={},
    )


def changes_at(place: tuple[slice, slice], count: int = 40) -> Tensor:
    """The same bright place in every image."""
    changes = torch.zeros(count, SIZE, SIZE)
    changes[:, place[0], place[1]] = 0.8
    return changes


def scattered_changes(count: int = 40) -> Tensor:
    """A 4 x 4 lesion in each image, each time somewhere else: 64 places in turn."""
    changes = torch.zeros(count, SIZE, SIZE)
    for row in range(count):
        top, left = 4 * (row % 8), 4 * (row // 8 % 8)
        changes[row, top : top + 4, left : left + 4] = 0.8
    return changes


def judged(explainer: Explainer, cohort: Cohort, settings: AuditSettings = SETTINGS) -> Audit:
    return judge_cohort(explainer, cohort, settings, images=len(cohort) + cohort.negatives)


class TestVerdict:
    def test_a_place_that_recurs_and_decides_is_suspicious(self, watching):
        found = judged(watching(CORNER), make_cohort(changes_at(CORNER))).judge
        assert found.verdict == "suspicious"
        (region,) = found.regions
        # Half of a flat evidence is half of its pixels, the first ones.
        assert (region.box, region.area) == ((2, 2, 3, 5), 8)
        assert (region.kind, region.peak, region.relied_on) == ("suspicious", 1.0, 1.0)
        assert region.flips["value"] == 1.0
        assert region.touched["value"] == 1.0
        assert region.change == pytest.approx(0.8)
        assert region.chance < 1e-9

    def test_a_place_that_recurs_and_decides_nothing_only_recurs(self, watching):
        """The classifier watches another place, whose brightness changes too, but less."""
        changes = changes_at(CORNER)
        changes[:, ELSEWHERE[0], ELSEWHERE[1]] = 0.7
        found = judged(watching(ELSEWHERE), make_cohort(changes)).judge
        assert found.verdict == "recurring"
        assert found.regions[0].flips["value"] == 0.0
        assert found.regions[0].box[:2] == (2, 2)

    def test_lesions_that_differ_in_place_are_not_found(self, watching):
        found = judged(watching(CORNER), make_cohort(scattered_changes())).judge
        assert found.verdict == "nothing found"
        assert not found.suspicious
        assert {region.kind for region in found.regions} <= {"spread"}

    def test_suspicious_places_come_first(self, watching):
        """Half of the evidence here, half there; only one of the places decides."""
        changes = changes_at(CORNER)
        changes[:, ELSEWHERE[0], ELSEWHERE[1]] = 0.8
        explainer = watching(ELSEWHERE)
        rule = Rule(evidence=1.0)
        found = judged(explainer, make_cohort(changes), replace(SETTINGS, rule=rule)).judge
        assert [region.kind for region in found.regions] == ["suspicious", "recurring"]
        assert [region.number for region in found.regions] == [1, 2]
        assert found.regions[0].box == (20, 20, 23, 23)

    def test_below_ten_images_nothing_is_said(self, watching):
        outcome = judged(watching(CORNER), make_cohort(changes_at(CORNER, 9)))
        assert outcome.verdict == "too few images"
        assert "Only 9" in sentence(outcome, outcome.judge)

    def test_a_dozen_images_are_enough_for_a_blatant_shortcut(self, watching):
        outcome = judged(watching(CORNER), make_cohort(changes_at(CORNER, 12)))
        assert outcome.verdict == "suspicious"

    def test_ten_are_not_and_that_is_said(self, watching):
        """A third to the tenth power, times 1024 places, is more than 1 %."""
        outcome = judged(watching(CORNER), make_cohort(changes_at(CORNER, 10)))
        assert outcome.verdict == "nothing found"
        assert "so few" in sentence(outcome, outcome.judge)


class TestPatients:
    def test_many_images_of_few_patients_are_few(self, watching):
        cohort = make_cohort(changes_at(CORNER), groups=torch.arange(40) // 8)
        outcome = judged(watching(CORNER), cohort)
        assert outcome.verdict == "too few images"
        assert outcome.judge.patients == 5

    def test_one_patient_with_many_images_is_no_recurrence(self, watching):
        """45 of 60 images touch the corner, all of one patient."""
        changes = torch.cat([changes_at(CORNER, 45), scattered_changes(15)])
        alone, together = torch.arange(60), torch.cat([torch.zeros(45), torch.arange(1, 16)])
        explainer = watching(CORNER)
        assert judged(explainer, make_cohort(changes, groups=alone)).verdict == "suspicious"
        found = judged(explainer, make_cohort(changes, groups=together.long())).judge
        assert found.verdict == "nothing found"
        corner = next(region for region in found.regions if bool(region.pixels[2, 2]))
        assert corner.peak == corner.relied_on == pytest.approx(1 / 16)


class TestMasks:
    def test_what_lies_on_the_own_lesion_is_excused(self, watching):
        masks = changes_at(CORNER) > 0
        cohort = make_cohort(changes_at(CORNER), masks=masks)
        outcome = judged(watching(CORNER), cohort)
        assert outcome.verdict == "nothing found"
        assert outcome.excused
        assert outcome.judge.share.max() == 1.0
        assert outcome.judge.counted.max() == 0.0

    def test_masks_can_be_ignored(self, watching):
        cohort = make_cohort(changes_at(CORNER), masks=changes_at(CORNER) > 0)
        outcome = judged(watching(CORNER), cohort, replace(SETTINGS, masks=False))
        assert outcome.verdict == "suspicious"
        assert outcome.judge.regions[0].on_lesion["value"] == 1.0
        assert not outcome.excused

    def test_lesions_elsewhere_excuse_nothing(self, watching):
        cohort = make_cohort(changes_at(CORNER), masks=changes_at(ELSEWHERE) > 0)
        outcome = judged(watching(CORNER), cohort)
        assert outcome.verdict == "suspicious"
        assert outcome.judge.regions[0].on_lesion["value"] == 0.0

    def test_without_masks_nothing_is_claimed_about_lesions(self, watching):
        outcome = judged(watching(CORNER), make_cohort(changes_at(CORNER)))
        assert outcome.judge.regions[0].on_lesion["value"] is None
        assert "unknown or ignored" in terms(outcome)["counted"]


class TestFailedMaps:
    def test_a_map_with_nan_is_left_out_and_counted(self, watching):
        cohort = make_cohort(changes_at(CORNER))
        cohort.maps["difference"][3, 0, 0] = torch.nan
        found = judged(watching(CORNER), cohort).judge
        assert (found.n, found.failed, found.patients) == (39, 1, 39)
        assert found.verdict == "suspicious"
        assert 3 not in found.regions[0].examples

    def test_nothing_left(self, watching):
        cohort = make_cohort(changes_at(CORNER))
        cohort.maps["difference"].fill_(torch.nan)
        outcome = judged(watching(CORNER), cohort)
        assert (outcome.verdict, outcome.judge.n, outcome.judge.failed) == ("too few images", 0, 40)

    def test_maps_without_evidence_touch_nothing(self, watching):
        cohort = make_cohort(changes_at(CORNER))
        cohort.maps["difference"].zero_()
        found = judged(watching(CORNER), cohort).judge
        assert found.verdict == "nothing found"
        assert found.regions == ()


class TestRule:
    def test_an_even_spread_is_what_it_says(self):
        heat = scattered_changes(64)
        everywhere = torch.ones(SIZE, SIZE, dtype=torch.bool)
        found = find_recurrence(
            heat, torch.arange(64), torch.zeros_like(heat).bool(), everywhere, Rule(evidence=1.0)
        )
        assert found.even == pytest.approx(1 / 64)
        assert found.share.tolist() == torch.full((SIZE, SIZE), 1 / 64).tolist()
        assert not found.recurring.any()
        assert not found.clusters.any()

    def test_the_habit_that_is_let_pass_sets_the_limit(self):
        """P(count >= k) for a binomial with chance 1/3, times 1024 places."""
        heat = scattered_changes(40)
        everywhere = torch.ones(SIZE, SIZE, dtype=torch.bool)
        found = find_recurrence(
            heat, torch.arange(40), torch.zeros_like(heat).bool(), everywhere, Rule()
        )
        assert found.places == SIZE * SIZE
        assert found.critical == pytest.approx(28 / 40)

    def test_patients_with_several_images_need_the_wider_bound(self):
        """The binomial tail with the mean chance, times e, times the places."""
        heat = scattered_changes(41).repeat(2, 1, 1)
        everywhere = torch.ones(SIZE, SIZE, dtype=torch.bool)
        found = find_recurrence(
            heat, torch.arange(41).repeat(2), torch.zeros_like(heat).bool(), everywhere, Rule()
        )
        tails = [scipy.stats.binom.sf(count - 1, 41, Rule().habit) for count in range(42)]
        wanted = next(k for k, tail in enumerate(tails) if tail * math.e * 1024 <= Rule().level)
        assert wanted == 1 + next(k for k, tail in enumerate(tails) if tail * 1024 <= Rule().level)
        assert found.critical == pytest.approx(wanted / 41)

    def test_wide_maps_cannot_recur(self):
        """All explanations touch half of the image: four times an even spread is certain."""
        heat = torch.zeros(40, SIZE, SIZE)
        heat[:, : SIZE // 2] = 1.0
        everywhere = torch.ones(SIZE, SIZE, dtype=torch.bool)
        found = find_recurrence(
            heat, torch.arange(40), torch.zeros_like(heat).bool(), everywhere, Rule(evidence=1.0)
        )
        assert found.critical > 1
        assert not found.recurring.any()
        assert found.chance.min() == 1.0

    def test_a_cluster_is_touched_twice_as_often_as_an_even_spread(self):
        heat = scattered_changes(64)
        heat[:6] = changes_at(CORNER, 6)
        everywhere = torch.ones(SIZE, SIZE, dtype=torch.bool)
        found = find_recurrence(
            heat, torch.arange(64), torch.zeros_like(heat).bool(), everywhere, Rule(evidence=1.0)
        )
        assert torch.equal(found.clusters > 0, changes_at(CORNER, 1)[0] > 0)


class TestWords:
    def test_careful(self, watching):
        outcome = judged(watching(CORNER), make_cohort(changes_at(CORNER)))
        words = sentence(outcome, outcome.judge)
        assert "100 % of 40 explanations touch one place, upper left" in words
        assert "a hint, not a proof" in words

    def test_nothing_found_does_not_acquit(self, watching):
        outcome = judged(watching(CORNER), make_cohort(scattered_changes()))
        assert "does not show that there is no shortcut" in sentence(outcome, outcome.judge)

    def test_recurring_is_not_called_a_shortcut(self, watching):
        outcome = judged(watching(ELSEWHERE), make_cohort(changes_at(CORNER)))
        assert "no shortcut is shown" in sentence(outcome, outcome.judge)

    def test_a_generator_that_flips_little_cannot_acquit(self, watching):
        cohort = make_cohort(changes_at(CORNER))
        words = {}
        for able in (19, 20):
            transferred = torch.arange(40) < able
            outcome = judged(watching(ELSEWHERE), replace(cohort, transferred=transferred))
            words[able] = sentence(outcome, outcome.judge)
        assert "whole change flips 48 % of the originals, so this generator is" in words[19]
        assert "of the originals" not in words[20]

    def test_maps_too_wide_to_tell(self, watching):
        cohort = make_cohort(torch.full((40, SIZE, SIZE), 0.5))
        outcome = judged(watching(CORNER), cohort)
        assert outcome.verdict == "nothing found"
        assert "so wide" in sentence(outcome, outcome.judge)


def with_problems(cohort: Cohort, kinds: dict[ProblemKind, int]) -> Cohort:
    """The first explanations of a cohort get problems, so many of each kind, one each."""
    bad = [
        Status((Problem(kind, 1.0, 0.5, f"{kind}: too much"),))
        for kind, count in kinds.items()
        for _ in range(count)
    ]
    return replace(cohort, statuses=bad + cohort.statuses[len(bad) :])


class TestTrust:
    """14 of 40 untrusted explanations are more than a third, 13 are not."""

    def test_images_unlike_those_of_the_training_are_said_first(self, watching):
        cohort = with_problems(make_cohort(changes_at(CORNER)), {"poor reconstruction": 40})
        cohort = replace(cohort, transferred=torch.zeros(40, dtype=torch.bool))
        outcome = judged(watching(ELSEWHERE), cohort)
        assert outcome.judge.verdict == "recurring"
        assert outcome.verdict == "inconclusive"
        first, last = conclusion(outcome)
        assert first == (
            "None of 40 explanations can be trusted (most common reason: poor reconstruction, in "
            "all of them): these images look unlike those that the bundle was trained on. Train a "
            "bundle on images like these, and audit with that one."
        )
        assert last.startswith("For the record, Difference: 100 % of 40 explanations touch")
        assert "weak" not in last

    @pytest.mark.parametrize(
        ("kinds", "inconclusive", "unlike"),
        [
            ({"code outside the prior": 13}, False, False),
            ({"code outside the prior": 14}, True, True),
            ({"poor reconstruction": 7, "no flip": 7}, True, True),
            ({"poor reconstruction": 6, "no flip": 8}, True, False),
            ({"prediction gap": 14}, True, False),
        ],
    )
    def test_limits(self, watching, kinds, inconclusive, unlike):
        cohort = with_problems(make_cohort(scattered_changes()), kinds)
        outcome = judged(watching(CORNER), cohort)
        assert outcome.trust.trusted == 40 - sum(kinds.values())
        assert (outcome.verdict == "inconclusive") is outcome.trust.few is inconclusive
        assert outcome.trust.images_unlike is unlike
        assert len(conclusion(outcome)) == 1 + inconclusive

    @pytest.mark.parametrize(("untrusted", "few"), [(10, False), (11, True)])
    def test_a_third_exactly_is_let_pass(self, untrusted, few):
        bad = Status((Problem("no flip", 1.0, 0.5, "no flip"),))
        statuses = [bad] * untrusted + [Status()] * (30 - untrusted)
        assert judge_trust(statuses, limit=1 / 3).few is few

    def test_a_bundle_that_has_not_learned_is_not_blamed_on_the_images(self, watching):
        cohort = with_problems(
            make_cohort(scattered_changes()), {"prediction gap": 9, "no flip": 15}
        )
        (first, _) = conclusion(judged(watching(CORNER), cohort))
        assert "Only 16 of 40" in first
        assert "(most common reason: no flip, in 15 of 40)" in first
        assert "has not learned these images" in first
        assert "Train it for longer" in first

    def test_several_problems_of_one_explanation_count_once(self, watching):
        cohort = make_cohort(scattered_changes())
        both = tuple(
            Problem(kind, 1.0, 0.5, kind) for kind in ("code outside the prior", "no flip")
        )
        outcome = judged(watching(CORNER), replace(cohort, statuses=[Status(both)] * 40))
        assert (outcome.trust.trusted, outcome.trust.unlike) == (0, 40)
        assert outcome.trust.problems == {"code outside the prior": 40, "no flip": 40}

    def test_a_place_that_decides_stays_suspicious(self, watching):
        """The classifier itself was asked; the warning stands before it all the same."""
        cohort = with_problems(make_cohort(changes_at(CORNER)), {"poor reconstruction": 40})
        outcome = judged(watching(CORNER), cohort)
        assert outcome.verdict == "suspicious"
        assert [part[:4] for part in conclusion(outcome)] == ["None", "100 "]

    def test_maps_that_need_no_generator_may_find_nothing(self, watching):
        cohort = make_cohort(scattered_changes())
        cohort = with_problems(
            replace(cohort, maps={"ig": cohort.maps["difference"]}), {"no flip": 40}
        )
        settings = replace(SETTINGS, methods=("ig",))
        assert judged(watching(CORNER), cohort, settings).verdict == "nothing found"

    def test_the_document_says_it(self, watching):
        cohort = with_problems(make_cohort(changes_at(CORNER)), {"poor reconstruction": 38})
        outcome = judged(watching(ELSEWHERE), cohort)
        content = json.loads(json.dumps(document(outcome, cohort)))
        assert content["verdict"] == "inconclusive"
        assert content["sentence"].startswith("Only 2 of 40 explanations can be trusted")
        assert content["trust"] == {
            "explained": 40,
            "trusted": 2,
            "few": True,
            "images_unlike_training": True,
            "problems": {"poor reconstruction": 38},
            "sentence": conclusion(outcome)[0],
        }


BESIDE_CORNER = (slice(2, 6), slice(7, 11))


class TestHints:
    def compared(
        self, watching: Callable[[tuple[slice, slice]], Explainer], **places: tuple[slice, slice]
    ) -> Audit:
        """Audit of scattered differences, and of comparison maps that stay in one place each."""
        cohort = make_cohort(scattered_changes())
        names = {name.replace("_", "-"): place for name, place in places.items()}
        maps = {name: changes_at(place) for name, place in names.items()}
        cohort = replace(cohort, maps=cohort.maps | maps)
        return judged(
            watching(ELSEWHERE), cohort, replace(SETTINGS, methods=("difference", *names))
        )

    def test_maps_that_agree_are_a_hint(self, watching):
        """The places are one pixel apart: as near as pixels that count as one place."""
        outcome = self.compared(watching, ig=CORNER, grad_cam=BESIDE_CORNER)
        (agreed,) = outcome.agreements
        assert agreed.shares == {"ig": 1.0, "grad-cam": 1.0}
        assert agreed.box == (2, 2, 3, 10)
        hint, found = conclusion(outcome)
        assert hint == (
            "Integrated gradients and Grad-CAM, whose maps need no generator, agree on one place, "
            "upper left (rows 2 to 3, columns 2 to 10): 100 % and 100 % of their maps touch it. "
            "That is a hint that the classifier may rely on it, not a proof."
        )
        assert found.startswith("No place is touched")

    @pytest.mark.parametrize(("gap", "count"), [(2, 1), (3, 0)])
    def test_places_meet_across_the_gap_that_does_not_part_a_region(self, watching, gap, count):
        beside = (CORNER[0], slice(CORNER[1].stop + gap, CORNER[1].stop + gap + 4))
        outcome = self.compared(watching, ig=CORNER, grad_cam=beside)
        assert len(outcome.agreements) == count

    def test_the_document_holds_them(self, watching):
        outcome = self.compared(watching, ig=CORNER, grad_cam=CORNER)
        (hint,) = document(outcome, make_cohort(scattered_changes()))["hints"]
        assert hint["box"] == {"top": 2, "left": 2, "bottom": 3, "right": 5}
        assert hint["counted_share"] == {"ig": 1.0, "grad-cam": 1.0}
        assert (hint["pixels"], hint["where"][:10]) == (8, "upper left")

    def test_maps_that_differ_are_none(self, watching):
        outcome = self.compared(watching, ig=CORNER, grad_cam=ELSEWHERE)
        assert outcome.agreements == ()

    def test_one_map_alone_is_none(self, watching):
        assert self.compared(watching, ig=CORNER).agreements == ()

    def test_maps_by_the_generator_do_not_count(self, watching):
        outcome = self.compared(watching, ig=CORNER, lig=CORNER, lig_transferred=CORNER)
        assert outcome.agreements == ()

    def test_places_that_do_not_recur_are_none(self, watching):
        """48 lesions in turn, six of them in the corner: shown as spread, by both maps."""
        changes = scattered_changes(48)
        changes[:6] = changes_at(CORNER, 6)
        cohort = replace(make_cohort(changes), maps=dict.fromkeys(("ig", "grad-cam"), changes))
        outcome = judged(watching(ELSEWHERE), cohort, AuditSettings(("ig", "grad-cam")))
        assert all(found.regions for found in outcome.methods)
        assert outcome.agreements == ()

    def test_too_few_patients_give_none(self, watching):
        """Nine maps that agree exactly recur where few pixels are tested, but nine are too few."""
        changes = changes_at(CORNER, 9)
        cohort = replace(
            make_cohort(changes),
            maps=dict.fromkeys(("ig", "grad-cam"), changes),
            varied=changes[0] > 0,
        )
        outcome = judged(
            watching(ELSEWHERE),
            cohort,
            AuditSettings(("ig", "grad-cam"), rule=Rule(tolerance=0.5)),
        )
        assert outcome.judge.regions[0].kind == "recurring"
        assert outcome.verdict == "too few images"
        assert outcome.agreements == ()

    def test_what_most_touch_comes_first(self, watching):
        cohort = make_cohort(scattered_changes())
        heat = changes_at(ELSEWHERE) + changes_at(CORNER)
        heat[:4, CORNER[0], CORNER[1]] = 0
        cohort = replace(cohort, maps=dict.fromkeys(("ig", "grad-cam", "occlusion"), heat))
        settings = AuditSettings(("ig", "grad-cam", "occlusion"), rule=Rule(evidence=1.0))
        outcome = judged(watching(CORNER), cohort, settings)
        assert [agreed.box[:2] for agreed in outcome.agreements] == [(20, 20), (2, 2)]
        hint = conclusion(outcome)[0]
        assert "Integrated gradients, Grad-CAM and Occlusion" in hint
        assert "(1 more place(s) likewise)" in hint

    def test_a_suspicious_place_needs_no_hint(self, watching):
        cohort = make_cohort(changes_at(CORNER))
        maps = {name: changes_at(CORNER) for name in ("difference", "ig", "grad-cam")}
        settings = replace(SETTINGS, methods=tuple(maps))
        outcome = judged(watching(CORNER), replace(cohort, maps=maps), settings)
        assert outcome.verdict == "suspicious"
        assert outcome.agreements
        assert len(conclusion(outcome)) == 1


class TestLegend:
    def test_spread_is_no_finding(self, watching):
        scattered = scattered_changes(48)
        scattered[:6] = changes_at(CORNER, 6)
        outcome = judged(watching(ELSEWHERE), make_cohort(scattered))
        assert {region.kind for region in outcome.judge.regions} == {"spread"}
        assert [line.split(":")[0] for line in legend(outcome)] == ["Flips alone", "Spread"]
        assert "Not a finding" in legend(outcome)[1]

    def test_words_that_the_tables_do_not_use_are_left_out(self, watching):
        outcome = judged(watching(CORNER), make_cohort(changes_at(CORNER)))
        assert [line.split(":")[0] for line in legend(outcome)] == ["Flips alone"]
        blank = judged(watching(CORNER), make_cohort(torch.zeros(40, SIZE, SIZE)))
        assert legend(blank) == []


class TestDocument:
    def test_json_holds_it(self, watching):
        cohort = make_cohort(changes_at(CORNER))
        outcome = judged(watching(CORNER), cohort)
        content = json.loads(json.dumps(document(outcome, cohort), allow_nan=False))
        assert content["verdict"] == "suspicious"
        assert content["called_negative"] == 7
        region = content["methods"]["difference"]["regions"][0]
        assert region["box"] == {"top": 2, "left": 2, "bottom": 3, "right": 5}
        assert region["on_lesion"]["value"] is None
        assert region["on_lesion"]["reason"]
        assert len(region["examples"]) == 4
        assert content["trust"]["trusted"] == content["status_ok"] == 40
        assert content["trust"]["sentence"] is None
        assert content["hints"] == []
        assert "the generator's change" in content["terms"]["flips alone"]

    def test_rows_fit_their_header(self, watching):
        outcome = judged(watching(CORNER), make_cohort(changes_at(CORNER)))
        (row,) = region_rows(outcome.judge)
        assert len(row) == len(HEADER)


@pytest.fixture
def phantoms(phantom_archive: Path) -> Dataset:
    """All 160 phantoms."""
    return open_dataset(phantom_archive)


class TestAudit:
    def test_explains_what_is_called_positive(self, tiny_bundle: Path, phantoms: Dataset):
        explainer = load(str(tiny_bundle), device="cpu")
        told: list[tuple[str, int, int]] = []
        settings = AuditSettings(methods=("difference", "grad-cam"), steps=1)
        outcome, cohort = audit(explainer, phantoms, settings, lambda *step: told.append(step))
        assert outcome.positives + outcome.negatives == outcome.images == 160
        assert outcome.explained == outcome.positives == len(cohort)
        assert bool((cohort.scores >= 0.5).all())
        assert [found.method for found in outcome.methods] == ["difference", "grad-cam"]
        assert told[-1] == ("explanations", len(cohort), len(cohort))
        assert ("scores", 160, 160) in told

    def test_what_is_removed_leads_from_the_redrawn_to_the_negative_image(
        self, tiny_bundle: Path, phantoms: Dataset
    ):
        explainer = load(str(tiny_bundle), device="cpu")
        settings = AuditSettings(methods=("difference",), most=10)
        cohort = audit(explainer, phantoms, settings)[1]
        z1, z2 = explainer.encoder(cohort.images)
        redrawn, negative = explainer.generator(z1, z2), explainer.generator(z1, 0 * z2)
        torch.testing.assert_close(redrawn + cohort.removal, negative, atol=1e-5, rtol=0)
        torch.testing.assert_close(cohort.difference, -cohort.removal[:, 0])
        changed = (cohort.images + cohort.removal).clamp(-1, 1)
        negative_now = explainer.classifier(changed)[:, explainer.target] < 0.5
        assert torch.equal(cohort.transferred, negative_now)
        torch.testing.assert_close(cohort.maps["difference"], cohort.difference.abs())

    def test_a_random_draw_of_many(self, tiny_bundle: Path, phantoms: Dataset):
        explainer = load(str(tiny_bundle), device="cpu")
        settings = AuditSettings(methods=("difference",), most=10, seed=3)
        outcome, cohort = audit(explainer, phantoms, settings)
        again = audit(explainer, phantoms, settings)[1]
        other = audit(explainer, phantoms, replace(settings, seed=4))[1]
        assert outcome.explained == 10 < outcome.positives
        assert cohort.names == again.names != other.names

    def test_no_positives(self, tiny_bundle: Path):
        explainer = load(str(tiny_bundle), device="cpu")
        explainer.classifier = TorchClassifier(Watches(CORNER), SPEC)
        dark = build_dataset(torch.zeros(12, 1, SIZE, SIZE).byte().numpy(), [0, 1] * 6)
        with pytest.raises(DataError, match="calls none of 12 images"):
            audit(explainer, dark, SETTINGS)

    def test_images_of_another_size(self, tiny_bundle: Path):
        explainer = load(str(tiny_bundle), device="cpu")
        small = build_dataset(torch.zeros(12, 1, 16, 16).byte().numpy(), [0, 1] * 6)
        with pytest.raises(DataError, match="open it with that size"):
            audit(explainer, small, SETTINGS)

    def test_no_method_can_be_computed(
        self, tiny_bundle: Path, phantoms: Dataset, monkeypatch: pytest.MonkeyPatch
    ):
        explainer = load(str(tiny_bundle), device="cpu")
        monkeypatch.setattr(type(explainer.classifier), "last_convolution", lambda self: None)
        with pytest.raises(ConfigError, match="grad-cam: the classifier shows no convolution"):
            audit(explainer, phantoms, AuditSettings(methods=("grad-cam",), most=10))

    @pytest.mark.parametrize(
        ("wrong", "words"),
        [
            ({"methods": ("lgi",)}, "no method is named 'lgi'"),
            ({"methods": ()}, "at least one method"),
            ({"most": 9}, "most must be at least 10, got 9"),
            ({"steps": 0}, "steps must be at least 1, got 0"),
            ({"seed": -1}, "seed must be at least 0, got -1"),
        ],
    )
    def test_refuses_settings(self, wrong: dict[str, object], words: str):
        with pytest.raises(ConfigError, match=words):
            AuditSettings(**wrong)
