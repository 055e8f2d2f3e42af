"""The embedded world: people and facts about them in eight languages, generated, with questions."""

from ratio_hpo.data.world.generate import LANGUAGES, PEOPLE, generate, masked_statements

__all__ = ["LANGUAGES", "PEOPLE", "generate", "masked_statements"]
