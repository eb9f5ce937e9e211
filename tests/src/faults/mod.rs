//! Faults of single calls: what stands between a worker and the services, and what it does to one call.

pub(crate) mod call;
mod layer;
mod turnstile;

pub use layer::{Faults, Layer};
pub use turnstile::{Gate, InTheAir, Turnstile, Waiting};

/// What is done to one call. An attempt is one of the SDK, which tries a call up to three times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The first attempt never reaches the service.
    Unsent,
    /// The first attempt takes effect, and its answer is lost.
    Unanswered,
    /// No attempt reaches the service.
    UnsentForGood,
    /// The first attempt takes effect, its answer is lost, and no later attempt reaches the service.
    UnansweredForGood,
    /// The worker dies before the call.
    CrashBefore,
    /// The call takes effect, and the worker dies before its answer.
    CrashAfter,
    /// The service refuses the first attempt because too much was asked of it.
    Throttled,
    /// Of a batch every second entry is refused, from the first on.
    InPart,
    /// A batch takes effect in the opposite order.
    OutOfOrder,
}

impl Fault {
    /// All of them.
    pub const ALL: [Fault; 9] = [
        Fault::Unsent,
        Fault::Unanswered,
        Fault::UnsentForGood,
        Fault::UnansweredForGood,
        Fault::CrashBefore,
        Fault::CrashAfter,
        Fault::Throttled,
        Fault::InPart,
        Fault::OutOfOrder,
    ];
}
