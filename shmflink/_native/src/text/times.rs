//! Dates, times and timestamps as text, in the two standards of Flink's formats.

/// How a timestamp is written: `2020-12-30 12:13:14.5` or `2020-12-30T12:13:14.5`; followed by `Z` if the column
/// has a time zone, because its values are then instants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standard {
    Sql,
    Iso,
}

const SECONDS_PER_DAY: i64 = 86_400;

const PAIRS: &[u8; 200] =
    b"0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546474849\
5051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899";

fn push_pair(out: &mut Vec<u8>, number: u32) {
    let at = number as usize * 2;
    out.extend_from_slice(&PAIRS[at..at + 2]);
}

/// Year, month and day of a day since 1970 (Hinnant, "chrono-compatible low-level date algorithms").
fn civil(days: i64) -> (i64, u32, u32) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month as u32, day as u32)
}

/// `2020-12-30`; a year before 0 or after 9999 has a sign, as in ISO 8601.
pub fn push_date(out: &mut Vec<u8>, days: i64) {
    let (year, month, day) = civil(days);
    if (0..10_000).contains(&year) {
        push_pair(out, (year / 100) as u32);
        push_pair(out, (year % 100) as u32);
    } else {
        let sign = if year < 0 { '-' } else { '+' };
        out.extend_from_slice(format!("{sign}{:04}", year.abs()).as_bytes());
    }
    out.push(b'-');
    push_pair(out, month);
    out.push(b'-');
    push_pair(out, day);
}

/// `12:13:14.5`: the fraction without trailing zeros. `per_second` is a power of ten.
pub fn push_time(out: &mut Vec<u8>, value: i64, per_second: i64) {
    let seconds = value.div_euclid(per_second).rem_euclid(SECONDS_PER_DAY) as u32;
    push_pair(out, seconds / 3_600);
    out.push(b':');
    push_pair(out, seconds / 60 % 60);
    out.push(b':');
    push_pair(out, seconds % 60);
    let mut fraction = value.rem_euclid(per_second);
    if fraction == 0 {
        return;
    }
    out.push(b'.');
    let mut place = per_second / 10;
    while fraction != 0 {
        out.push(b'0' + (fraction / place) as u8);
        fraction %= place;
        place /= 10;
    }
}

pub fn push_timestamp(out: &mut Vec<u8>, value: i64, per_second: i64, is_instant: bool, standard: Standard) {
    push_date(out, value.div_euclid(per_second * SECONDS_PER_DAY));
    out.push(if standard == Standard::Iso { b'T' } else { b' ' });
    push_time(out, value, per_second);
    if is_instant {
        out.push(b'Z');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn dates() {
        let of = |days| text(|out| push_date(out, days));
        assert_eq!(of(0), "1970-01-01");
        assert_eq!(of(-1), "1969-12-31");
        assert_eq!(of(11_016), "2000-02-29");
        assert_eq!(of(-719_529), "-0001-12-31");
        assert_eq!(of(2_932_897), "+10000-01-01");
    }

    #[test]
    fn timestamps() {
        let of = |value, instant, standard| text(|out| push_timestamp(out, value, 1_000_000, instant, standard));
        assert_eq!(of(1_700_000_000_000_000, false, Standard::Sql), "2023-11-14 22:13:20");
        assert_eq!(
            of(1_700_000_000_120_000, true, Standard::Iso),
            "2023-11-14T22:13:20.12Z"
        );
        assert_eq!(of(-1, false, Standard::Sql), "1969-12-31 23:59:59.999999");
    }
}
