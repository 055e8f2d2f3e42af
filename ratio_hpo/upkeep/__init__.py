"""Maintenance of studies and machines: doctor, gc, rename, delete, retry."""

from ratio_hpo.upkeep.doctor import Check, examine
from ratio_hpo.upkeep.garbage import Garbage, find_garbage, free
from ratio_hpo.upkeep.studies import delete, rename, retry
from ratio_hpo.upkeep.usage import DiskUsage, disk_usage

__all__ = [
    "Check",
    "DiskUsage",
    "Garbage",
    "delete",
    "disk_usage",
    "examine",
    "find_garbage",
    "free",
    "rename",
    "retry",
]
