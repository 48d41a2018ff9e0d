//! Local times in the zones of a schema's columns.

use std::sync::Arc;

use arrow_array::timezone::Tz;
use arrow_schema::{DataType, Schema};
use chrono::{DateTime, Duration, MappedLocalTime, Offset, TimeZone};

/// Longer than any gap of a zone in history.
const BEFORE_A_GAP_HOURS: i64 = 25;

/// The zones of all columns, except UTC.
#[derive(Clone, Debug, Default)]
pub struct Zones {
    known: Vec<(Arc<str>, Tz)>,
}

impl Zones {
    pub fn of(schema: &Schema) -> Result<Self, String> {
        let mut zones = Self::default();
        schema
            .fields()
            .iter()
            .try_for_each(|field| zones.add(field.data_type()))?;
        Ok(zones)
    }

    fn add(&mut self, kind: &DataType) -> Result<(), String> {
        match kind {
            DataType::Timestamp(_, Some(name)) if &**name != "UTC" && self.named(name).is_none() => {
                let zone = name.parse().map_err(|_| format!("there is no time zone `{name}`"))?;
                self.known.push((Arc::clone(name), zone));
                Ok(())
            }
            DataType::Struct(fields) => fields.iter().try_for_each(|field| self.add(field.data_type())),
            DataType::List(item) | DataType::LargeList(item) | DataType::Map(item, _) => self.add(item.data_type()),
            _ => Ok(()),
        }
    }

    fn named(&self, name: &str) -> Option<Tz> {
        self.known
            .iter()
            .find(|(known, _)| &**known == name)
            .map(|(_, zone)| *zone)
    }

    /// Seconds since 1970 in UTC of a local time, which is given as if it were UTC.
    ///
    /// An ambiguous time is the earlier one; a skipped time moves forward by the length of the gap (as in
    /// `java.time.LocalDateTime.atZone`).
    #[cold]
    pub fn utc_of_local(&self, seconds: i64, name: &str) -> Option<i64> {
        let Some(zone) = self.named(name) else {
            return Some(seconds); // UTC
        };
        let local = DateTime::from_timestamp(seconds, 0)?.naive_utc();
        let offset = match zone.offset_from_local_datetime(&local) {
            MappedLocalTime::Single(offset) | MappedLocalTime::Ambiguous(offset, _) => offset,
            MappedLocalTime::None => zone.offset_from_utc_datetime(&(local - Duration::hours(BEFORE_A_GAP_HOURS))),
        };
        Some(seconds - i64::from(offset.fix().local_minus_utc()))
    }
}

#[cfg(test)]
mod tests {
    use arrow_schema::{Field, TimeUnit};

    use super::*;

    #[test]
    fn gaps_and_overlaps() {
        let berlin = DataType::Timestamp(TimeUnit::Second, Some("Europe/Berlin".into()));
        let zones = Zones::of(&Schema::new(vec![Field::new("t", berlin, true)])).unwrap();
        let at = |local| zones.utc_of_local(local, "Europe/Berlin");
        assert_eq!(at(1_719_835_200), Some(1_719_828_000)); // 2024-07-01 12:00 is 10:00 UTC
        assert_eq!(at(1_711_852_200), Some(1_711_848_600)); // 2024-03-31 02:30 is skipped: 03:30, 01:30 UTC
        assert_eq!(at(1_729_996_200), Some(1_729_989_000)); // 2024-10-27 02:30 comes twice: 00:30 UTC
        assert_eq!(zones.utc_of_local(5, "UTC"), Some(5));
    }
}
