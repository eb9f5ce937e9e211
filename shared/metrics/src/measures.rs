//! Measures: the values of one invocation, by metric.

use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::time::Duration;

use crate::catalogue::{Metric, Unit};

/// What was measured: of a metric that is counted one sum, of one in milliseconds each value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measures(BTreeMap<Metric, Vec<f64>>);

impl Measures {
    /// Takes down so many more. Of zero, and of what is no finite number, nothing is taken down.
    pub fn count(&mut self, metric: Metric, amount: f64) {
        if amount != 0.0 && amount.is_finite() {
            self.take(metric, amount);
        }
    }

    /// Takes down one more time, in whole milliseconds. Zero is one too.
    pub fn time(&mut self, metric: Metric, span: Duration) {
        self.take(metric, span.as_millis() as f64);
    }

    /// What was taken down of a metric.
    pub fn of(&self, metric: Metric) -> &[f64] {
        self.0.get(&metric).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Metric, &[f64])> {
        self.0.iter().map(|(metric, values)| (*metric, values.as_slice()))
    }

    fn take(&mut self, metric: Metric, value: f64) {
        let values = self.0.entry(metric).or_default();
        match (metric.definition().unit, values.as_mut_slice()) {
            (Unit::Count, [sum]) => *sum += value,
            _ => values.push(value),
        }
    }
}

impl AddAssign<&Measures> for Measures {
    fn add_assign(&mut self, other: &Measures) {
        for (metric, values) in other.iter() {
            values.iter().for_each(|value| self.take(metric, *value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    #[test]
    fn what_is_counted_adds_up_and_times_stay_apart() {
        let mut measures = Measures::default();
        for amount in [2.0, 0.5, 0.0, f64::NAN] {
            measures.count(Metric::ReadUnits, amount);
            measures.count(Metric::Events, 0.0);
        }
        for span in [3 * MILLI, Duration::ZERO, MILLI / 2] {
            measures.time(Metric::Lateness, span);
        }
        assert_eq!(measures.of(Metric::ReadUnits), [2.5]);
        assert_eq!(measures.of(Metric::Lateness), [3.0, 0.0, 0.0]);
        assert!(measures.of(Metric::Events).is_empty(), "zero is not told");
        let both = {
            let mut both = measures.clone();
            both += &measures;
            both
        };
        assert_eq!(both.of(Metric::ReadUnits), [5.0]);
        assert_eq!(both.of(Metric::Lateness), [3.0, 0.0, 0.0, 3.0, 0.0, 0.0]);
    }
}
