"""Cameras as other programs write them down, and which of these files a sequence has.

A format is a module with a ``Form``, and an entry in ``catalog.FORMS``.
"""
