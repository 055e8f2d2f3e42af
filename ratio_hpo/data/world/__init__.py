"""The embedded world: generated people and facts in eight languages, with examples of most tasks."""

from ratio_hpo.data.world.generate import LANGUAGES, PEOPLE, generate, masked_statements
from ratio_hpo.data.world.tasks import WORLD_TASKS, world_examples

__all__ = ["LANGUAGES", "PEOPLE", "WORLD_TASKS", "generate", "masked_statements", "world_examples"]
