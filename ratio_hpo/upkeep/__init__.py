"""Keeping studies and machines in order: doctor, gc, rename, delete, retry."""

from ratio_hpo.upkeep.doctor import Check, examine
from ratio_hpo.upkeep.garbage import Garbage, find_garbage, free
from ratio_hpo.upkeep.studies import delete, rename, retry

__all__ = ["Check", "Garbage", "delete", "examine", "find_garbage", "free", "rename", "retry"]
