//! The discovery scheduler: queues a task for each of the discoveries that is due.
//!
//! Triggered by a schedule. The pass itself is `replicante-scheduler`'s.

use replicante_aws::Clients;
use replicante_model::Kind;
use replicante_scheduler::Scheduler;
use replicante_settings::Settings;

/// The function, from its settings.
pub fn discovery_scheduler(clients: &Clients, settings: &Settings) -> Scheduler {
    Scheduler::of(Kind::Discovery, clients, settings)
}
