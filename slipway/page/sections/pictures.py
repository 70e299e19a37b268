"""Pictures that the program wrote."""

from __future__ import annotations

from slipway.page.found import File, open_regular
from slipway.page.markup import Html, data_url, element, href, join, notes
from slipway.page.subject import Section, Subject
from slipway.text.wording import megabytes, one_line

_MOST_BYTES = 3 << 20
_MOST_BYTES_EACH = 1200 << 10
_MOST_PICTURES = 24
_MOST_NAMED = 10
_ENDINGS = (".png", ".jpg", ".jpeg", ".gif", ".webp")
# By how their files begin: a browser takes a picture for what it is, whatever its name says.
_KINDS = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"RIFF", "image/webp"),
)


def section(subject: Subject) -> Section | None:
    """The pictures, as far as the page can hold them; links to the others."""
    files = sorted(subject.found.with_ending(*_ENDINGS), key=lambda file: (file.name.count("/"), file.name))
    if not files:
        return None
    shown: list[Html] = []
    left: list[File] = []
    said: list[str] = []
    total = 0
    for file in files:
        if len(shown) >= _MOST_PICTURES or file.size_bytes > min(_MOST_BYTES_EACH, _MOST_BYTES - total):
            left.append(file)
            continue
        picture = _picture(file, said)
        if picture is not None:
            total += file.size_bytes
            shown.append(picture)
    body = join(element("div", *shown, class_="pictures") if shown else None, _left(left), notes(said))
    return Section(key="pictures", title="Pictures", body=body)


def _picture(file: File, said: list[str]) -> Html | None:
    try:
        with open_regular(file.path) as opened:
            content = opened.read(_MOST_BYTES_EACH)
    except OSError as error:
        said.append(f"{one_line(file.name, 200)} cannot be read: {error.strerror or error}")
        return None
    kind = next((kind for begin, kind in _KINDS if content.startswith(begin)), None)
    if kind is None:
        said.append(f"{one_line(file.name, 200)} is no picture, in spite of its name")
        return None
    name = one_line(file.name, 120)
    image = element("img", src=data_url(kind, content), alt=f"picture {name}", loading="lazy")
    link = element("a", image, href=href(file.link), class_="enlarge", aria_label=f"{name}, larger")
    return element("figure", link, element("figcaption", name))


def _left(files: list[File]) -> Html | None:
    if not files:
        return None
    links = [
        element(
            "li",
            element("a", one_line(file.name, 120), href=href(file.link)),
            f", {megabytes(file.size_bytes)}",
        )
        for file in files[:_MOST_NAMED]
    ]
    more = len(files) - len(links)
    end = element("li", f"and {more:,} more") if more > 0 else None
    words = "Not in the page, which would be too large; these are beside it:"
    return join(element("p", words, class_="notes"), element("ul", *links, end, class_="notes"))
