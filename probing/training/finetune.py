"""Fine-tuning: the loop with the task's own loss and nothing else."""

from probing.records import Task
from probing.training.objectives import supervised_loss
from probing.training.plan import PlannedModel
from probing.training_settings import TrainSettings


def plan_models(settings: TrainSettings, task: Task) -> list[PlannedModel]:
    """One model per seed, whatever the task."""
    del task
    return [PlannedModel(f"seed-{seed}", seed, supervised_loss) for seed in settings.seeds]
