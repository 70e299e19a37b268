"""The time by the clock of whoever serves the files: a login node's own may be off by hours."""

from __future__ import annotations

# `file_clock PROBE` prints the time in seconds since 1970, by a file that it makes for that and removes;
# where it cannot be made, by the machine's clock. `clock_ahead_minutes PROBE` prints by how much the clock of
# the machine, which `find -mmin` goes by, is ahead.
FILE_CLOCK = r"""
file_clock() {
    if touch -- "$1" 2>/dev/null; then stat -c %Y -- "$1"; else date +%s; fi
    rm -f -- "$1" 2>/dev/null
}
clock_ahead_minutes() {
    set -- "$(($(date +%s) - $(file_clock "$1")))"
    if [ "$1" -gt 0 ]; then echo "$((($1 + 59) / 60))"; else echo 0; fi
}
"""
