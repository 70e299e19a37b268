"""All that the program has left, and what is not shown of it."""

from __future__ import annotations

from slipway.page.markup import element, href, join, more, notes, table
from slipway.page.subject import Section, Subject
from slipway.text.wording import megabytes, one_line

_MOST = 300


def section(subject: Subject) -> Section | None:
    """The files, each a link, and notes of all sections."""
    files, said = subject.found.files, subject.found.notes
    if not files and not said:
        return None
    rows = [
        [element("a", one_line(file.name, 200), href=href(file.link)), megabytes(file.size_bytes)]
        for file in files[:_MOST]
    ]
    total = megabytes(sum(file.size_bytes for file in files))
    listing = table(("file", "size"), rows, caption="Files beside this page")
    left = f"{len(files) - _MOST:,} more are not listed." if len(files) > _MOST else None
    return Section(
        key="files",
        title="Files",
        body=join(
            more(f"{len(files):,} files, {total}", listing, element("p", left) if left else None)
            if files
            else None,
            notes(said),
        ),
    )
