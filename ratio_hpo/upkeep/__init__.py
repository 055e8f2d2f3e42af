"""Maintenance of studies and machines: doctor, gc, rename, delete, retry."""

from ratio_hpo.upkeep.doctor import Check, examine
from ratio_hpo.upkeep.garbage import DiskUsage, Garbage, disk_usage, find_garbage, free
from ratio_hpo.upkeep.studies import delete, rename, retry

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
