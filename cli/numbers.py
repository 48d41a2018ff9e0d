"""Numbers for people: 12.3 M rows, 4.5 MiB, 1:02."""

from __future__ import annotations

__all__ = ["count", "elapsed", "percent", "size"]

_SCALES = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


def count(value: float) -> str:
    """1234 -> '1,234'; from 100,000 on scaled: '123 k', '4.56 M'."""
    if value < 100_000:
        return f"{value:,.0f}"
    for scale, letter in _SCALES:
        if value >= scale:
            return f"{value / scale:.3g} {letter}"
    raise AssertionError(value)


def size(value: float) -> str:
    """Bytes as B, KiB, MiB, GiB, TiB."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def elapsed(seconds: float) -> str:
    """'0.53 s' below ten seconds, then '0:12', '1:02:03'."""
    if seconds < 10:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.0f} %" if whole > 0 else "-"
