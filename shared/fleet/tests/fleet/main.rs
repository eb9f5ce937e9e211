//! The fleet against the recordings of real agents, over real HTTP, and through many random changes.

#[cfg(test)]
mod agents;
#[cfg(test)]
mod discovery;
#[cfg(test)]
mod history;
#[cfg(test)]
mod recordings;
