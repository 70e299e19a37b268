"""Where jobs run, of each kind that there is: what the scenarios of ``test_scenarios.py`` run against."""
