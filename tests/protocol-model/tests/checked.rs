//! Every state within the bounds: the full protocol holds, and each rule that is left out is missed.
//!
//! `cargo test -p replicante-protocol-model -- --nocapture` prints what was checked and what each mutant broke.

use std::collections::BTreeSet;
use std::fmt::{Debug, Write};
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

use replicante_protocol_model::mutant::{Checked, Mutant, Verdict, check};
use replicante_protocol_model::record::{self, RecordModel};
use replicante_protocol_model::removal::{self, RemovalModel};
use replicante_protocol_model::rule::Rule;
use replicante_protocol_model::scheduler::{self, SchedulerModel};
use stateright::Model;

/// One model at a time: each takes all cores, and its share of memory.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// What was checked, line by line.
struct Report {
    lines: String,
    problems: Vec<String>,
}

impl Report {
    fn new(model: &str) -> Self {
        Report { lines: format!("\n{model}\n"), problems: Vec::new() }
    }

    fn line(&mut self, name: &str, checked: &Checked, found: &str) {
        let Checked { states, depth, time, .. } = checked;
        let seconds = time.as_secs_f64();
        let _ = writeln!(
            self.lines,
            "    {name:<33} {states:>9} states {depth:>3} deep {seconds:>6.1} s  {found}"
        );
    }

    /// The full protocol: no property is broken.
    fn full<M>(&mut self, bounds: &impl Debug, model: M)
    where
        M: Model + Send + Sync + 'static,
        M::State: Clone + Debug + Hash + PartialEq + Send + Sync + 'static,
        M::Action: Clone + Debug + PartialEq,
    {
        let checked = check(model, None);
        let bounds = format!("{bounds:?}");
        let _ = writeln!(self.lines, "  {}", bounds.replace("Bounds ", ""));
        let found = if checked.broken.is_empty() { "no violation" } else { "VIOLATION" };
        self.line("full protocol", &checked, found);
        for (property, way) in checked.broken {
            self.problems.push(format!("{bounds}: broken: {property}\n  {}", way.join("\n  ")));
        }
    }

    /// A mutant: it breaks the property that it should.
    fn mutant<B, M>(&mut self, mutant: &Mutant<B>, model: M)
    where
        M: Model + Send + Sync + 'static,
        M::State: Clone + Debug + Hash + PartialEq + Send + Sync + 'static,
        M::Action: Clone + Debug + PartialEq,
    {
        let Mutant { rule, verdict, .. } = mutant;
        let checked = check(model, verdict.property());
        let broke = |property| checked.broken.iter().any(|(broken, _)| *broken == property);
        let (holds, found) = match *verdict {
            Verdict::Breaks(property) => (broke(property), format!("breaks: {property}")),
            Verdict::Costs(property) => (broke(property), format!("costs: {property}")),
            Verdict::Harmless(reason) => (checked.broken.is_empty(), format!("no violation; {reason}")),
        };
        self.line(&format!("without {rule:?}"), &checked, if holds { &found } else { "NOT AS EXPECTED" });
        if !holds {
            self.problems.push(format!("without {rule:?}: expected {verdict:?}, found {:?}", checked.broken));
        }
    }

    fn end(self) {
        println!("{}", self.lines);
        assert!(self.problems.is_empty(), "{}", self.problems.join("\n"));
    }
}

#[test]
fn a_record_keeps_its_promise_and_misses_each_rule() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let mut report = Report::new("A record: head, slots, stream and workers");
    for bounds in record::TWO_WORKERS {
        let setup = record::Setup { bounds: *bounds, without: None };
        report.full(&("2 workers", bounds), RecordModel::<2> { setup });
    }
    for bounds in record::THREE_WORKERS {
        let setup = record::Setup { bounds: *bounds, without: None };
        report.full(&("3 workers", bounds), RecordModel::<3> { setup });
    }
    for mutant in record::MUTANTS {
        let setup = record::Setup { bounds: mutant.bounds, without: Some(mutant.rule) };
        report.mutant(mutant, RecordModel::<2> { setup });
    }
    report.end();
}

#[test]
#[ignore = "it takes some minutes and 3 GB"]
fn a_record_keeps_its_promise_with_two_calls_in_the_air() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let mut report = Report::new("A record, further");
    let setup = record::Setup { bounds: record::FAR, without: None };
    report.full(&("2 workers", record::FAR), RecordModel::<2> { setup });
    report.end();
}

#[test]
fn a_schedule_starves_nobody_and_misses_each_rule() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let mut report = Report::new("A schedule: due, queued_due, done_due, giving up, what is owed");
    for bounds in scheduler::BOUNDS {
        let setup = scheduler::Setup { bounds: *bounds, without: None };
        report.full(bounds, SchedulerModel { setup });
    }
    for mutant in scheduler::MUTANTS {
        let setup = scheduler::Setup { bounds: mutant.bounds, without: Some(mutant.rule) };
        report.mutant(mutant, SchedulerModel { setup });
    }
    report.end();
}

#[test]
fn what_comes_and_goes_settles_and_misses_each_rule() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let mut report = Report::new("Removal and return: items, wanted, tombstones");
    for bounds in removal::BOUNDS {
        let setup = removal::Setup { bounds: *bounds, without: None };
        report.full(bounds, RemovalModel { setup });
    }
    for mutant in removal::MUTANTS {
        let setup = removal::Setup { bounds: mutant.bounds, without: Some(mutant.rule) };
        report.mutant(mutant, RemovalModel { setup });
    }
    report.end();
}

/// Each rule and its verdict, in the order of the models.
fn verdicts() -> Vec<(Rule, Verdict)> {
    let record = record::MUTANTS.iter().map(|mutant| (mutant.rule, mutant.verdict));
    let scheduler = scheduler::MUTANTS.iter().map(|mutant| (mutant.rule, mutant.verdict));
    let removal = removal::MUTANTS.iter().map(|mutant| (mutant.rule, mutant.verdict));
    record.chain(scheduler).chain(removal).collect()
}

#[test]
fn every_rule_has_its_mutant() {
    let mutants: BTreeSet<Rule> = verdicts().into_iter().map(|(rule, _)| rule).collect();
    assert_eq!(mutants, Rule::ALL.iter().copied().collect());
    assert_eq!(mutants.len(), verdicts().len(), "a rule has two");
}

#[test]
fn the_documented_table_is_this_one() {
    let mut table = String::from("| rule | left out | what is broken without it |\n| --- | --- | --- |\n");
    for (rule, verdict) in verdicts() {
        let text = rule.text().trim_end_matches('.');
        let (text, broken) = match verdict {
            Verdict::Breaks(property) => (format!("**{text}**"), property.to_owned()),
            Verdict::Costs(property) => (text.to_owned(), format!("only work or time: {property}")),
            Verdict::Harmless(reason) => (text.to_owned(), format!("nothing; it {reason}")),
        };
        let _ = writeln!(table, "| {text} | `{rule:?}` | {broken} |");
    }
    let document = include_str!("../../../docs/model.md");
    assert!(document.contains(&table), "docs/model.md should have this table:\n\n{table}");
}
