//! What `capacity` prints, word for word, and that the document says the same.

use clap::Parser;

use super::*;
use crate::args::{Cli, Command};

fn printed(line: &str) -> String {
    let cli = Cli::try_parse_from(line.split_whitespace()).unwrap();
    let Command::Capacity(args) = cli.command else { panic!("{line} is another command") };
    anstream::adapter::strip_str(&show(&args).unwrap().join("\n")).to_string()
}

#[test]
fn one_fleet_is_shown_item_by_item() {
    insta::assert_snapshot!(printed("replicante capacity --clusters 1000 --nodes 5 --interval 60s"), @"");
}

#[test]
fn several_are_a_line_each() {
    let several =
        printed("replicante capacity --clusters 100,100000 --nodes 5 --interval 60s,5m --batch 10,1");
    insta::assert_snapshot!(several, @"");
}

#[test]
fn programs_get_everything_as_json() {
    let one = printed("replicante capacity --clusters 1000 --nodes 5 --interval 60s -o json");
    let one: serde_json::Value = serde_json::from_str(&one).unwrap();
    let total: f64 =
        one["bill"]["items"].as_array().unwrap().iter().map(|item| item["cost"].as_f64().unwrap()).sum();
    assert!((total - one["bill"]["total"].as_f64().unwrap()).abs() < 1e-9);
    let several = printed("replicante capacity --clusters 1,2 --nodes 5 --interval 60s -o json");
    assert_eq!(serde_json::from_str::<Vec<serde_json::Value>>(&several).unwrap().len(), 2);
    // What is shown of prices can be given as prices.
    Prices::with(&one["prices"].to_string()).unwrap();
}

#[test]
fn values_that_make_no_sense_are_refused() {
    for wrong in
        ["--clusters 0", "--nodes 0", "--interval 1s", "--batch 11", "--changes -1", "--changes many"]
    {
        let (name, _) = wrong.split_once(' ').unwrap();
        let mut line = "replicante capacity".to_owned();
        for given in ["--clusters 1", "--nodes 1", "--interval 60s"] {
            if !given.starts_with(name) {
                line += &format!(" {given}");
            }
        }
        assert!(Cli::try_parse_from(format!("{line} {wrong}").split_whitespace()).is_err(), "{wrong}");
    }
}

/// Each command of the document stands above what it prints.
#[test]
fn the_document_says_what_the_command_prints() {
    let document = include_str!("../../../docs/cost.md");
    let mut compared = 0;
    for block in document.split("```sh\nreplicante capacity").skip(1) {
        let (arguments, rest) = block.split_once("\n```\n").unwrap();
        let arguments = arguments.replace("\\\n", " ");
        let expected = printed(&format!("replicante capacity{arguments}"));
        let found = rest.trim_start().trim_start_matches("```text\n");
        assert!(
            found.starts_with(&expected),
            "capacity{arguments} prints\n\n{expected}\n\nand docs/cost.md says something else"
        );
        compared += 1;
    }
    assert!(compared >= 3, "only {compared} commands were found");
}
