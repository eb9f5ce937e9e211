//! The emitter: whose metrics they are, and who writes the line.

use std::fmt;
use std::sync::Arc;

use replicante_model::Timestamp;

use crate::catalogue::Function;
use crate::measures::Measures;

/// Tells what the invocations of one function measured. Cheap to clone.
#[derive(Clone)]
pub struct Emitter {
    deployment: Arc<str>,
    function: Function,
    write: Arc<dyn Fn(&str) + Send + Sync>,
}

impl Emitter {
    /// An emitter for this function of this deployment. `write` is handed one line, without its end, for an invocation;
    /// it must not fail for want of somebody who reads it.
    pub fn new(deployment: &str, function: Function, write: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Emitter { deployment: deployment.into(), function, write: Arc::new(write) }
    }

    /// Tells what an invocation measured that ended `at` this time: one line, or none if there is nothing to tell.
    pub fn emit(&self, measures: &Measures, at: Timestamp) {
        if let Some(line) = measures.document(&self.deployment, self.function, at) {
            (self.write)(&line);
        }
    }
}

impl fmt::Debug for Emitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Emitter({}, {})", self.deployment, self.function.as_str())
    }
}
