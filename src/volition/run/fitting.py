"""A run's reward model: fitted to what its store holds, and forgotten once that is more."""

from __future__ import annotations

import shutil
from functools import partial

from volition.comparison import Observations, Segment, reduced
from volition.judgment import Preference
from volition.questions.covering import Looks, unjudged_looks
from volition.reward.fit import fit
from volition.reward.learning import (
    Doubling,
    Judged,
    Recipe,
    RewardFit,
    Seen,
    digest,
    doubling,
    read_fit,
    verdicts,
)
from volition.reward.model import FILE, RewardModel
from volition.reward.preferences import PreferenceData
from volition.reward.stages import learn, weigh
from volition.run.correcting.changing import begin_again
from volition.run.creating import setup_of
from volition.run.folder import RunFolder
from volition.run.sessions import practise
from volition.storage.documents import as_document
from volition.storage.store import Store

UNJUDGED = 2000  # moments whose pictures are drawn, where judgments are learned from pictures


class Fitting:
    """What is learned from a run's judgments.

    Args:
        folder: Of the run.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._looks: Looks | None = None

    def fit(self, store: Store) -> tuple[RewardModel, RewardFit]:
        """The reward model of all that the store holds; it is fitted unless that has been done.

        Raises:
            JudgeUnfit: A judge's answers say nothing.
        """
        folder = self._folder
        if (folder.reward_model / FILE).is_file():
            known = read_fit(folder.reward_model)
            if known.preferences == digest(folder.preferences(store)):
                return RewardModel.load(folder.reward_model), known
        model, learned = learn(self._judged(store), self._recipe(), partial(self._look, store))
        model.save(folder.reward_model, as_document(learned))
        return model, learned

    def again(self) -> tuple[RewardModel, RewardFit]:
        """The same on another thread, which has a connection of its own."""
        with self._folder.open_store() as store:
            return self.fit(store)

    def weigh(self) -> Doubling:
        """What twice the judgments have taught, likewise."""
        with self._folder.open_store() as store:
            judged = self._judged(store)
        recipe = self._recipe()
        return weigh(judged, recipe) if recipe.stages else doubling(judged, recipe)

    def warm_up(self, store: Store) -> None:
        """Compiles what comes next. Programs depend on shapes, not on what a judge will answer."""
        ids, recipe = store.comparison_ids(), self._recipe()
        guesses = [Preference(name, float(n % 2), 1.0) for n, name in enumerate(ids)]
        data = PreferenceData.gather(store.observed(), guesses)
        fit(data, recipe.section, recipe.symmetric, recipe.seed)
        self.practise()

    def practise(self) -> None:
        """Compiles what the policy learns by."""
        folder, recipe = self._folder, self._recipe()
        practise(setup_of(folder.task, folder.settings), recipe.section, len(recipe.vetoes))

    def forget_what_is_outdated(self) -> None:
        """Removes all that was learned from other judgments than the store's, such as from fewer.

        So the result of a run that asks nobody meanwhile depends on its judgments and never on when
        they came. The reward model, by which this is seen, goes last: killed in between, it is done
        again. A live run that is not finished goes on: new answers are what it lives on.
        """
        folder = self._folder
        unfinished = not folder.result.is_file()
        if not (folder.reward_model / FILE).is_file() or (folder.settings.judge and unfinished):
            return
        with folder.open_store() as store:
            current = digest(folder.preferences(store))
        if read_fit(folder.reward_model).preferences == current:
            return
        for file in (
            folder.result,
            folder.evaluation,
            folder.report,
            folder.film,
            folder.checkpoint,
        ):
            file.unlink(missing_ok=True)
        said = folder.settings.correction
        if said is not None:  # the learner goes on from where it was before the correction
            begin_again(folder.path, said.corrected)
        for outdated in (
            folder.policy,
            *((folder.kept, folder.tensorboard) if said is None else ()),
            folder.reward_model,
        ):
            shutil.rmtree(outdated, ignore_errors=True)

    def _judged(self, store: Store) -> Judged:
        folder, judges, said = self._folder, store.judges(), store.judgments()
        counting = folder.counting(said, store)
        people = {name for name, judge in judges.items() if judge.is_person}
        # Of the same moment: others may be answering meanwhile.
        others = verdicts(j for j in folder.counting(said, store, ()) if j.judge_id not in people)
        return Judged(counting, store.observed(), judges, verdicts(counting) - others)

    def _recipe(self) -> Recipe:
        task, settings = self._folder.task, self._folder.settings
        return Recipe(
            task.reward,
            task.stated_goal().vetoes,
            settings.symmetric,
            settings.seed,
            "reward.observations" in settings.found,
            tuple(said.said for said in settings.corrections if said.kind == "principle"),
            task.stated_goal().stages,
        )

    def _look(self, store: Store) -> Seen:
        """The pictures of what was judged, and of what was not, which are drawn once."""
        task, settings = self._folder.task, self._folder.settings
        if self._looks is None:
            self._looks = unjudged_looks(task.environment, task.view, UNJUDGED, settings.seed)

        def picture(side: Segment) -> Observations:
            pixels: Observations = reduced(side.frames[0].pixels)
            return pixels[None]

        judged = {
            comparison_id: (picture(comparison.first), picture(comparison.second))
            for comparison_id, comparison in store.comparisons().items()
        }
        return Seen(judged, *self._looks)
