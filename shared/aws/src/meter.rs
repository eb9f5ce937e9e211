//! The meter: counts what calls cost, from what AWS says they consumed.

use std::fmt;
use std::ops::{Add, AddAssign};
use std::sync::Mutex;

use aws_sdk_dynamodb::types::ConsumedCapacity;

/// What a number of calls cost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// DynamoDB write units.
    pub write_units: f64,
    /// DynamoDB read units.
    pub read_units: f64,
    /// Calls to DynamoDB.
    pub table_requests: u64,
    /// PutRecords calls.
    pub stream_requests: u64,
    /// Records put into the stream, copies included.
    pub stream_records: u64,
}

impl Add for Cost {
    type Output = Cost;

    fn add(mut self, other: Cost) -> Cost {
        self += other;
        self
    }
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Cost) {
        self.write_units += other.write_units;
        self.read_units += other.read_units;
        self.table_requests += other.table_requests;
        self.stream_requests += other.stream_requests;
        self.stream_records += other.stream_records;
    }
}

/// Counts the cost of the calls made through one [`crate::Table`] or [`crate::Stream`].
#[derive(Default)]
pub struct Meter {
    cost: Mutex<Cost>,
}

impl Meter {
    /// The cost so far.
    pub fn cost(&self) -> Cost {
        *self.lock()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Cost> {
        // Only additions happen under the lock: a panic elsewhere leaves it sound.
        self.cost.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(crate) fn write(&self, consumed: Option<&ConsumedCapacity>) {
        let mut cost = self.lock();
        cost.table_requests += 1;
        cost.write_units += units(consumed);
    }

    /// A conditional write that was refused: AWS charges one unit for an item of up to 1 KB, and does not say so.
    pub(crate) fn refused(&self) {
        let mut cost = self.lock();
        cost.table_requests += 1;
        cost.write_units += 1.0;
    }

    pub(crate) fn read(&self, consumed: Option<&ConsumedCapacity>) {
        let mut cost = self.lock();
        cost.table_requests += 1;
        cost.read_units += units(consumed);
    }

    pub(crate) fn published(&self, records: usize) {
        let mut cost = self.lock();
        cost.stream_requests += 1;
        cost.stream_records += records as u64;
    }
}

fn units(consumed: Option<&ConsumedCapacity>) -> f64 {
    consumed.and_then(ConsumedCapacity::capacity_units).unwrap_or(0.0)
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cost().fmt(f)
    }
}
