//! Points in time and spans, as whole milliseconds.
//!
//! The clock is read at the edge alone; everything else takes `now` as a value.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A point in time: milliseconds since 1970-01-01T00:00:00 UTC.
///
/// [`Timestamp::ZERO`] stands for "never" where a stored time may be absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The epoch itself; "never" in stored records.
    pub const ZERO: Timestamp = Timestamp(0);

    /// Reads the system clock. For the edge only.
    pub fn now() -> Self {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    /// This time plus `span`, saturating.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Timestamp(self.0.saturating_add(millis(span)))
    }

    /// This time minus `span`, saturating.
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        Timestamp(self.0.saturating_sub(millis(span)))
    }

    /// How long after `earlier` this is; zero when it is not after.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Whole seconds since the epoch, rounded down.
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// RFC 3339 in UTC with milliseconds, the form of an event's `time`.
    pub fn rfc3339(self) -> String {
        let time = jiff::Timestamp::from_millisecond(self.0).unwrap_or_default();
        format!("{time:.3}")
    }

    /// Reads RFC 3339.
    ///
    /// # Errors
    /// Says what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, jiff::Error> {
        text.parse::<jiff::Timestamp>().map(|time| Timestamp(time.as_millisecond()))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rfc3339())
    }
}

/// A duration as stored: whole milliseconds, at most `i64::MAX`.
pub fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// The duration of stored milliseconds. More than [`millis`] ever writes count as the most that it does, so that what
/// is read is written back as it was.
pub fn from_millis(stored: u64) -> Duration {
    Duration::from_millis(stored.min(i64::MAX.unsigned_abs()))
}

/// Serialises a [`Duration`] as whole milliseconds: `#[serde(with = "replicante_model::time::as_millis")]`.
pub mod as_millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes whole milliseconds.
    ///
    /// # Errors
    /// Those of the serialiser.
    pub fn serialize<S: Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(super::millis(*span))
    }

    /// Reads whole milliseconds, as [`from_millis`](super::from_millis).
    ///
    /// # Errors
    /// Those of the deserialiser.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(super::from_millis)
    }
}

/// Serialises an optional [`Timestamp`] as RFC 3339: `#[serde(with = "replicante_model::time::as_rfc3339")]`.
pub mod as_rfc3339 {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Timestamp;

    /// Writes RFC 3339 or null.
    ///
    /// # Errors
    /// Those of the serialiser.
    pub fn serialize<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
        time.map(Timestamp::rfc3339).serialize(serializer)
    }

    /// Reads RFC 3339 or null.
    ///
    /// # Errors
    /// Those of the deserialiser, and text that is no time.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
        Option::<String>::deserialize(deserializer)?
            .map(|text| Timestamp::parse(&text).map_err(serde::de::Error::custom))
            .transpose()
    }
}

/// A time as text: RFC 3339.
pub mod as_text {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Timestamp;

    /// Writes RFC 3339.
    ///
    /// # Errors
    /// Those of the serialiser.
    pub fn serialize<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        time.rfc3339().serialize(serializer)
    }

    /// Reads RFC 3339.
    ///
    /// # Errors
    /// Those of the deserialiser, and text that is no time.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        Timestamp::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// A duration as people write and read it: `250ms`, `10s`, `5m`, `1h30m`.
pub fn human(span: Duration) -> String {
    let total = span.as_millis();
    if total == 0 {
        return "0s".into();
    }
    let (hours, minutes, seconds, rest) =
        (total / 3_600_000, total / 60_000 % 60, total / 1000 % 60, total % 1000);
    let mut text = String::new();
    for (count, unit) in [(hours, "h"), (minutes, "m"), (seconds, "s"), (rest, "ms")] {
        if count > 0 {
            text.push_str(&format!("{count}{unit}"));
        }
    }
    text
}

/// Reads what [`human`] writes: whole numbers with `ms`, `s`, `m`, `h` or `d`, largest first.
///
/// # Errors
/// Names what was expected when the text is not such a duration.
pub fn parse_human(text: &str) -> Result<Duration, String> {
    let bad = || {
        format!(
            "`{text}` is no duration: expected a whole number and a unit, like 500ms, 30s, 5m, 1h30m or 2d"
        )
    };
    let mut rest = text;
    let mut total: u64 = 0;
    let mut last = u64::MAX;
    if rest.is_empty() {
        return Err(bad());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
        let count: u64 = rest[..digits].parse().map_err(|_| bad())?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let unit = match &rest[..letters] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(bad()),
        };
        if unit >= last {
            return Err(bad());
        }
        last = unit;
        total = count.checked_mul(unit).and_then(|span| total.checked_add(span)).ok_or_else(bad)?;
        rest = &rest[letters..];
    }
    Ok(Duration::from_millis(total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_utc_with_milliseconds() {
        assert_eq!(Timestamp(1_767_319_445_678).rfc3339(), "2026-01-02T02:04:05.678Z");
        assert_eq!(Timestamp(1_767_319_445_000).rfc3339(), "2026-01-02T02:04:05.000Z");
        assert_eq!(Timestamp::parse("2026-01-02T02:04:05.678Z").unwrap(), Timestamp(1_767_319_445_678));
    }

    #[test]
    fn durations_are_read_as_people_write_them() {
        for text in ["250ms", "10s", "5m", "1h30m", "1m2s3ms"] {
            assert_eq!(human(parse_human(text).unwrap()), text);
        }
        assert_eq!(parse_human("2d").unwrap(), Duration::from_secs(172_800));
        for text in ["", "10", "s", "1.5s", "10 s", "1s1m", "-1s", "99999999999999999999s"] {
            assert!(parse_human(text).is_err(), "{text}");
        }
    }
}
