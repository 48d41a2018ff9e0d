//! The proleptic Gregorian calendar in integers (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").

const DAYS_PER_ERA: i64 = 146_097; // 400 years
const DAYS_TO_1970: i64 = 719_468; // from 0000-03-01

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Civil {
    pub year: i64,
    pub month: u32,
    pub day: u32,
}

/// The date that is this many days after 1970-01-01.
pub fn civil_of_days(days: i64) -> Civil {
    let shifted = days + DAYS_TO_1970;
    let era = shifted.div_euclid(DAYS_PER_ERA);
    let day_of_era = shifted.rem_euclid(DAYS_PER_ERA);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * month_from_march + 2) / 5 + 1) as u32;
    let month = (if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    }) as u32;
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    Civil { year, month, day }
}

/// Days from 1970-01-01 to a date. The month is 1 to 12.
pub fn days_of_civil(year: i64, month: u32, day: u32) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = i64::from((month + 9) % 12);
    let day_of_year = (153 * month_from_march + 2) / 5 + i64::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * DAYS_PER_ERA + day_of_era - DAYS_TO_1970
}

/// The same day of the month, this many months later; the last day if that month is too short.
pub fn months_later(days: i64, months: i64) -> i64 {
    let civil = civil_of_days(days);
    let index = civil.year * 12 + i64::from(civil.month) - 1 + months;
    let (year, month) = (index.div_euclid(12), index.rem_euclid(12) as u32 + 1);
    days_of_civil(year, month, civil.day.min(days_in_month(year, month)))
}

pub fn days_in_month(year: i64, month: u32) -> u32 {
    match month {
        2 if year.rem_euclid(4) == 0 && (year.rem_euclid(100) != 0 || year.rem_euclid(400) == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_there_and_back() {
        for days in -800_000..800_000 {
            let civil = civil_of_days(days);
            assert_eq!(days_of_civil(civil.year, civil.month, civil.day), days);
            assert!(civil.day >= 1 && civil.day <= days_in_month(civil.year, civil.month));
        }
        assert_eq!(
            civil_of_days(0),
            Civil {
                year: 1970,
                month: 1,
                day: 1
            }
        );
    }
}
