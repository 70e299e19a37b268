"""Completion of what is typed in a shell: from words and a cursor to candidates."""
