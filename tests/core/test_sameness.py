"""What counts as the same, and what may not."""

import pytest

from interlock.core.sameness import CHARS_MAX, sense

AS_LONG_AS_CAN_BE = "1".ljust(CHARS_MAX, "0")


@pytest.mark.parametrize(
    ("form", "one", "other"),
    [
        (None, {"a": 1, "b": [2]}, {"b": [2], "a": 1}),
        ("number", 1200, 1200.0),
        ("number", "1200", 1200),
        ("number", " 1,200.50 ", 1200.5),
        ("number", "1.200,50", "1200.5"),
        ("number", "1 200,50", "1,200.50"),
        ("number", "1'200", "1200"),
        ("number", "1,200,000", 1_200_000),
        ("number", "1.2e3", "1200"),
        ("number", "-7.0", -7),
        ("number", "0,125", 0.125),
        ("number", "12.5", "12,50"),
        ("number", AS_LONG_AS_CAN_BE, 10 ** (CHARS_MAX - 1)),
        ("date", "2026-03-01", "1 March 2026"),
        ("date", "2026-03-01", "01.03.2026"),
        ("date", "2026-03-01", "March 1st, 2026"),
        ("date", "2026-09-04", "Sept 4, 2026"),
        ("date", "2026-01-04", "4 January 2026"),
        ("date", "2026-01-04", "4 Jan. 2026"),
        ("date", "2026-12-31", "31 December 2026"),
        ("date", "2026-12-31", "31 Dec 2026"),
        ("date", "2026-03-13", "13/03/2026"),
        ("date", "2026-03-13", "03/13/2026"),
        ("date", "2026-04-04", "04/04/2026"),
        ("date", "1965-02-28", "28. 2. 1965"),
        ("date", "1965-02-28", "28. 2. 1965".ljust(CHARS_MAX)),
        ("text", "Alder & Finch  LTD", "alder & finch ltd"),
        ("text", "ﬁne", "FINE"),
        ("text", "10²", "10^2"),
    ],
)
def test_the_same_in_other_words(form, one, other):
    assert sense(one, form) == sense(other, form)


@pytest.mark.parametrize(
    ("form", "one", "other"),
    [
        (None, 1, 1.0),
        (None, 1, True),
        (None, "a", "A"),
        (None, [1, 2], [2, 1]),
        ("number", True, 1),
        ("number", "1,200", 1200),  # or one and a fifth
        ("number", "1,200", 1.2),
        ("number", "1,200", "1.200"),
        ("number", "01,200", 1.2),
        ("number", "1,200.5", "1200,5.0"),
        ("number", "1,200,50", 120050),
        ("number", "1,200,300,4", 12003004),
        ("number", "12,00,000", 1200000),
        ("number", "1.200.300.4", "12003004"),
        ("number", "EUR 5", 5),
        ("number", "1e9999", 1),
        ("number", "1".rjust(CHARS_MAX + 1, "0"), 1),
        ("number", 10**17 + 1, 1e17),
        ("number", "0.1000000000000000000000000000000001", 0.1),
        ("number", None, 0),
        ("number", "", 0),
        ("date", "04/05/2026", "2026-04-05"),  # or in May
        ("date", "04/05/2026", "2026-05-04"),
        ("date", "30 February 2026", "2026-03-02"),
        ("date", "2026-02-30", "2026-03-02"),
        ("date", "13/13/2026", "2027-01-13"),
        ("date", "5 Marchember 2026", "2026-03-05"),
        ("date", "5 mars 2026", "2026-03-05"),
        ("date", "5 mars 2026", "2026-01-05"),
        ("date", "28. 2. 1965".ljust(CHARS_MAX + 1), "1965-02-28"),
        ("date", "1² March 2026", "12 March 2026"),
        ("date", 20260301, "2026-03-01"),
        ("date", "2026-03-01", "2026-03-01T00:00:00Z"),
        ("text", "Alder", "Adler"),
        ("text", 1, "1"),
        ("text", "10²", "102"),
        ("text", "2⁵", "25"),
        ("text", "a₁₂", "a12"),
        ("text", "1½", "11⁄2"),
    ],
)
def test_what_is_not_the_same(form, one, other):
    assert sense(one, form) != sense(other, form)
