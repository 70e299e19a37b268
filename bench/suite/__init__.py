"""One suite of benches: a row a module, ways of doing one piece of work side by side, goals."""
