"""Maintenance of studies and machines: doctor, gc, rename, delete."""
