//! What the calls do: the conditions and effects of the adapter's writes, the stream, and the reader.

use super::state::{Call, Commit, Outbox, Release, Setup, Stored};
use crate::rule::Rule;

/// The content of an event: what it tells, and which part of the way it is. Never 0.
fn content(outbox: Outbox, index: u8) -> u8 {
    outbox.value * 4 + index
}

impl Stored {
    /// Carries a call out: whether its condition held.
    pub fn carry_out(&mut self, call: Call, setup: &Setup) -> bool {
        match call {
            Call::None => false,
            Call::Claim(holder) => {
                self.claim(holder, setup);
                true
            }
            Call::WriteState(slot, chunk, written) => {
                let stored = &mut self.slots[usize::from(slot)].state[usize::from(chunk)];
                let free = stored.fence <= written.fence || !setup.keeps(Rule::FenceInChunks);
                if free {
                    *stored = written;
                }
                free
            }
            Call::WriteOutbox(slot, fence, outbox) => {
                let stored = &mut self.slots[usize::from(slot)];
                let free = stored.outbox_fence <= fence || !setup.keeps(Rule::FenceInChunks);
                if free {
                    (stored.outbox_fence, stored.outbox) = (fence, outbox);
                }
                free
            }
            Call::Commit(fence, commit, outbox, events) => {
                let ours = self.head.fence == fence || !setup.keeps(Rule::FenceInCommit);
                if ours {
                    self.commit(commit, outbox, events, setup);
                }
                ours
            }
            Call::Release(fence, release) => {
                let ours = self.head.fence == fence || !setup.keeps(Rule::FenceInRelease);
                if ours {
                    self.release(release);
                }
                ours
            }
            Call::Publish(outbox, events) => {
                (0..8)
                    .filter(|index| events & (1 << index) != 0)
                    .for_each(|index| self.publish(outbox, index));
                true
            }
        }
    }

    /// A claim that takes effect: the lease is past, or seems so.
    pub fn claim(&mut self, holder: u8, setup: &Setup) {
        if setup.keeps(Rule::ClaimRaisesFence) {
            self.head.fence += 1;
        }
        self.head.lease = true;
        self.head.holder = holder;
    }

    fn commit(&mut self, commit: Commit, outbox: Outbox, events: u8, setup: &Setup) {
        let head = &mut self.head;
        head.body = commit.body;
        head.published = commit.published;
        head.owed = commit.owed && setup.keeps(Rule::OwedInCommit);
        if setup.keeps(Rule::AbsoluteValues) {
            head.sequence = commit.sequence;
        } else {
            head.sequence += events;
        }
        for index in 0..events {
            let Some(logged) = self.log.get_mut(usize::from(outbox.first + index)) else { continue };
            let told = content(outbox, index);
            self.broken.two_contents |= *logged != 0 && *logged != told;
            *logged = told;
        }
    }

    fn release(&mut self, release: Release) {
        self.head.lease = false;
        if release.clear_owed {
            self.head.owed = false;
        }
        if let Some(published) = release.published {
            self.head.published = published;
        }
    }

    /// An event arrives in the stream, and the reader reads it: the next is applied; a copy, or one that is further
    /// ahead, is passed over.
    pub fn publish(&mut self, outbox: Outbox, index: u8) {
        let sequence = outbox.first + index;
        let committed = self.log.get(usize::from(sequence)).copied().unwrap_or_default();
        if committed == 0 {
            self.broken.phantom = true;
        } else if committed != content(outbox, index) {
            self.broken.two_contents = true;
        }
        if sequence == self.reader + 1 {
            self.reader = sequence;
        }
    }

    /// What the reader makes of the events that it applied.
    pub fn folded(&self) -> u8 {
        self.log.get(usize::from(self.reader)).map_or(0, |told| told / 4)
    }

    /// What the head names: the content, if each chunk carries the fence that it should.
    pub fn readable(&self) -> Option<u8> {
        let body = self.head.body;
        if body.fence == 0 {
            return Some(0);
        }
        let slot = &self.slots[usize::from(body.slot)];
        let chunks = &slot.state[..usize::from(body.chunks)];
        let whole = chunks.iter().all(|chunk| chunk.fence == body.fence && chunk.value == chunks[0].value);
        let owed = !self.head.owed || slot.outbox_fence == body.fence;
        (whole && owed).then(|| chunks[0].value)
    }
}

/// Which events are to be sent again, as bits, after a PutRecords of some that stored these, in this order.
pub fn to_resend(sent: u8, stored: &[u8], setup: &Setup) -> u8 {
    let place = |index: u8| stored.iter().position(|at| *at == index);
    let mut last = None;
    let mut failed = 0;
    for index in (0..8).filter(|index| sent & (1 << index) != 0) {
        let at = place(index);
        let above = at.is_some() && (at > last || !setup.keeps(Rule::AcceptedInOrder));
        if above && (failed == 0 || !setup.keeps(Rule::ResendAll)) {
            last = at;
        } else {
            failed |= 1 << index;
        }
    }
    failed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::TWO_WORKERS;

    fn setup(without: Option<Rule>) -> Setup {
        Setup { bounds: TWO_WORKERS[0], without }
    }

    #[test]
    fn from_the_first_event_that_does_not_stand_in_order_all_are_sent_again() {
        let full = setup(None);
        assert_eq!(to_resend(0b111, &[0, 1, 2], &full), 0);
        assert_eq!(to_resend(0b111, &[0, 2], &full), 0b110);
        assert_eq!(to_resend(0b111, &[1, 2], &full), 0b111);
        assert_eq!(to_resend(0b111, &[0, 2, 1], &full), 0b100);
        assert_eq!(to_resend(0b110, &[2, 1], &full), 0b100);
        assert_eq!(to_resend(0b111, &[0, 2], &setup(Some(Rule::ResendAll))), 0b010);
        assert_eq!(to_resend(0b111, &[2, 1, 0], &setup(Some(Rule::AcceptedInOrder))), 0);
    }

    #[test]
    fn a_reader_applies_the_next_event_alone() {
        let mut stored = Stored::default();
        let outbox = Outbox { first: 1, value: 1 };
        stored.log[1] = content(outbox, 0);
        stored.log[2] = content(outbox, 1);
        stored.publish(outbox, 1);
        assert_eq!(stored.reader, 0, "others come before it");
        stored.publish(outbox, 0);
        stored.publish(outbox, 0);
        assert_eq!(stored.reader, 1);
        stored.publish(outbox, 1);
        assert_eq!((stored.reader, stored.folded()), (2, 1));
        assert_eq!(stored.broken, Default::default());
        stored.publish(outbox, 2);
        assert!(stored.broken.phantom, "it was never committed");
    }
}
