"""The monitor's program for the cluster: any Python from 3.6 on runs it, with nothing but its library.

``slipway/steps/remote_monitor.py`` sends this folder there, and with it an order: all that the monitor has
to know, as one JSON file, which ``slipway/monitor/order.py`` makes. The rules are in there as a table; what
is here reads that, asks SLURM, and submits.
"""
