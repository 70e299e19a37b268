"""The monitor: what is done about runs that failed, by the reason why they did."""
