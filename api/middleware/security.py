"""Headers that keep browsers from making more of an answer than it is."""

from __future__ import annotations

from collections.abc import Sequence

Headers = Sequence[tuple[bytes, bytes]]

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The page is made of its own files: nothing inline, nothing from elsewhere, in nobody's frame."""

DATA_POLICY = "default-src 'none'; frame-ancestors 'none'"
"""Whatever is not the page is not to do anything in a browser."""

_NOSNIFF = (b"x-content-type-options", b"nosniff")
_PAGE: Headers = (
    (b"content-security-policy", PAGE_POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
)
_DATA: Headers = ((b"content-security-policy", DATA_POLICY.encode()),)

PAGE_HEADERS: Headers = (*_PAGE, _NOSNIFF)
DATA_HEADERS: Headers = (*_DATA, _NOSNIFF)
"""All of them; an answer whose headers begin with these needs no look at the others."""


def security_headers(headers: Headers) -> Headers:
    """What is to be added to an answer's headers; some routes say ``nosniff`` themselves.

    Nothing to one with a policy: a 304 of the page has no media type, and replaces what the browser kept.
    """
    page = nosniff = False
    for name, value in headers:
        if name == b"content-security-policy":
            return ()
        if name == b"content-type":
            page = value.startswith(b"text/html")
        elif name == b"x-content-type-options":
            nosniff = True
    if nosniff:
        return _PAGE if page else _DATA
    return PAGE_HEADERS if page else DATA_HEADERS
