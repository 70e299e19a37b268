"""What a page of one run has: a module a section; document.py has their order."""
