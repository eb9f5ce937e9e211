//! x
use replicante_protocol_model::record::*;
use stateright::*;
use std::time::Instant;

#[test]
fn full() {
    let env = |n: &str, d: u8| std::env::var(n).ok().and_then(|v| v.parse().ok()).unwrap_or(d);
    let bounds = Bounds {
        claims: env("CLAIMS", 3),
        changes: env("CHANGES", 2),
        crashes: env("CRASHES", 2),
        airborne: env("AIR", 1),
        failures: env("FAIL", 1),
        values: env("VALUES", 2),
        chunks: env("CHUNKS", 2),
        events: env("EVENTS", 2),
    };
    let start = Instant::now();
    let model = RecordModel::<2> { setup: Setup { bounds, without: None } };
    let checker = model.checker().threads(2).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    println!(
        "{bounds:?} {} states, depth {}, {:?}",
        checker.unique_state_count(),
        checker.max_depth(),
        start.elapsed()
    );
    for (name, path) in checker.discoveries() {
        println!("BROKEN {name}");
        for (state, action) in path.into_vec() {
            println!("{:?} {:?} {:?}\n   {action:?}", state.stored, state.workers.map(|w| w.step), state.air);
        }
    }
}

#[test]
fn mutants() {
    use replicante_protocol_model::rule::Rule::*;
    let env = |n: &str, d: u8| std::env::var(n).ok().and_then(|v| v.parse().ok()).unwrap_or(d);
    let bounds = Bounds {
        claims: env("CLAIMS", 3),
        changes: env("CHANGES", 2),
        crashes: env("CRASHES", 1),
        airborne: env("AIR", 1),
        failures: env("FAIL", 1),
        values: env("VALUES", 2),
        chunks: env("CHUNKS", 2),
        events: env("EVENTS", 2),
    };
    for rule in [
        ClaimRaisesFence,
        FreshHolder,
        OwnClaimIsKnown,
        ChunkCheck,
        OwedFirst,
        StoredEvents,
        OtherSlot,
        FenceInChunks,
        FenceInCommit,
        AbsoluteValues,
        OwedInCommit,
        RefusedIsDropped,
        CommitFirst,
        OneCommit,
        AcceptedInOrder,
        ResendAll,
        OwedUntilAllIsAccepted,
        OwedUntilTheReply,
        FenceInRelease,
    ] {
        let only = std::env::var("ONLY").unwrap_or_default();
        if !only.is_empty() && only != format!("{rule:?}") {
            continue;
        }
        let start = Instant::now();
        let model = RecordModel::<2> { setup: Setup { bounds, without: Some(rule) } };
        let until = if std::env::var("ALL").is_ok() {
            HasDiscoveries::AllFailures
        } else {
            HasDiscoveries::AnyFailures
        };
        let checker = model.checker().threads(2).finish_when(until).spawn_bfs().join();
        let d = checker.discoveries();
        println!(
            "{rule:?}: {} states, depth {}, {:?}",
            checker.unique_state_count(),
            checker.max_depth(),
            start.elapsed()
        );
        for (name, path) in d {
            println!("    {name} in {}", path.clone().into_actions().len());
            if std::env::var("TRACE").is_ok() {
                for (state, action) in path.into_vec() {
                    println!(
                        "{:?} {:?} {:?}\n   {action:?}",
                        state.stored,
                        state.workers.map(|w| w.step),
                        state.air
                    );
                }
            }
        }
    }
}

#[test]
fn sched() {
    use replicante_protocol_model::rule::Rule::*;
    use replicante_protocol_model::scheduler::*;
    let env = |n: &str, d: u8| std::env::var(n).ok().and_then(|v| v.parse().ok()).unwrap_or(d);
    let bounds = Bounds {
        schedulers: env("SCHED", 2),
        ticks: env("TICKS", 6),
        interval: env("INTERVAL", 1),
        lease: env("LEASE", 1),
        give_up: env("GIVEUP", 3),
        sends: env("SENDS", 3),
        crashes: env("CRASHES", 1),
        failures: env("FAIL", 1),
        losses: env("LOSS", 1),
        copies: env("COPIES", 1),
        disables: env("DISABLES", 1),
    };
    for rule in [
        None,
        Some(Lease),
        Some(LeaseEnds),
        Some(DuplicateIsRefused),
        Some(OwedIsNoDuplicate),
        Some(SendThenMark),
        Some(MarkIfDueIsUnmoved),
        Some(OneTask),
        Some(GiveUp),
        Some(OwedIsQueued),
        Some(DoneIsOnlyRaised),
        Some(DoneOnSuccess),
        Some(DiscardedIsDone),
    ] {
        let only = std::env::var("ONLY").unwrap_or_default();
        if !only.is_empty() && only != format!("{rule:?}") {
            continue;
        }
        let start = Instant::now();
        let model =
            SchedulerModel { setup: replicante_protocol_model::scheduler::Setup { bounds, without: rule } };
        let until = if std::env::var("ALL").is_ok() {
            HasDiscoveries::AllFailures
        } else {
            HasDiscoveries::AnyFailures
        };
        let checker = model.checker().threads(2).finish_when(until).spawn_bfs().join();
        let d = checker.discoveries();
        println!(
            "{rule:?}: {} states, depth {}, {:?}",
            checker.unique_state_count(),
            checker.max_depth(),
            start.elapsed()
        );
        for (name, path) in d {
            println!("    {name} in {}", path.clone().into_actions().len());
            if std::env::var("TRACE").is_ok() {
                for (state, action) in path.into_vec() {
                    println!(
                        "{} {:?} {:?} {:?} {:?}\n   {action:?}",
                        state.now, state.head, state.queue, state.workers, state.schedulers
                    );
                }
            }
        }
    }
}

#[test]
fn removal() {
    use replicante_protocol_model::removal::*;
    use replicante_protocol_model::rule::Rule::*;
    let env = |n: &str, d: u8| std::env::var(n).ok().and_then(|v| v.parse().ok()).unwrap_or(d);
    let bounds = Bounds {
        rival: env("RIVAL", 0) == 1,
        changes: env("CHANGES", 3),
        discoveries: env("DISC", 4),
        refreshes: env("REFR", 3),
        crashes: env("CRASHES", 1),
    };
    for rule in [
        None,
        Some(WantedIsUnchangedAtCommit),
        Some(WantedIsUnchanged),
        Some(RemovalUnderFence),
        Some(PublishedBeforeRemoval),
        Some(TombstoneKeepsFence),
        Some(TombstoneKeepsEpoch),
        Some(ReturnIsOneTransaction),
        Some(CreateIfAbsent),
        Some(ItemOwner),
        Some(ItemFence),
        Some(ItemsAreOwed),
        Some(ItemBeforeWanted),
    ] {
        let only = std::env::var("ONLY").unwrap_or_default();
        if !only.is_empty() && only != format!("{rule:?}") {
            continue;
        }
        let start = Instant::now();
        let model =
            RemovalModel { setup: replicante_protocol_model::removal::Setup { bounds, without: rule } };
        let until = if std::env::var("ALL").is_ok() {
            HasDiscoveries::AllFailures
        } else {
            HasDiscoveries::AnyFailures
        };
        let checker = model.checker().threads(2).finish_when(until).spawn_bfs().join();
        let d = checker.discoveries();
        println!(
            "{rule:?}: {} states, depth {}, {:?}",
            checker.unique_state_count(),
            checker.max_depth(),
            start.elapsed()
        );
        for (name, path) in d {
            println!("    {name} in {}", path.clone().into_actions().len());
            if std::env::var("TRACE").is_ok() {
                for (state, action) in path.into_vec() {
                    println!(
                        "{} {:?} {:?} {:?} {:?}\n   {:?} {:?}\n    {action:?}",
                        state.source,
                        state.discoveries,
                        state.item,
                        state.head,
                        state.tombstone,
                        state.discovering,
                        state.refreshing
                    );
                }
            }
        }
    }
}
