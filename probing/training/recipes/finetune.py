"""Fine-tuning: the loop with the task's own loss and nothing else."""

from probing.records import Task
from probing.settings.training import TrainSettings
from probing.training.objectives.supervised import supervised_loss
from probing.training.plan import PlannedModel


def plan_models(settings: TrainSettings, task: Task) -> list[PlannedModel]:
    """One model per seed, whatever the task."""
    del task
    return [PlannedModel(f"seed-{seed}", seed, supervised_loss) for seed in settings.seeds]
