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
    insta::assert_snapshot!(printed("replicante capacity --clusters 1000 --nodes 5 --interval 60s"), @"
    1,000 clusters of 5 nodes, each refreshed every 1m in batches of 10, 1 change an hour each

    NEEDED                         
    refreshes a second         16.7
    write units a second       57.7  3 for a refresh, 5 with new readings, 6 with changes
    read units a second        35.1  2 for a refresh
    ... provisioned, at 70 %     83  write units, and 51 read units
    messages a second          16.7  6.0 requests
    refresh workers at once   0.263  of 158 ms; RefreshConcurrency at least twice that
    GB-seconds a second       0.284  1.7 invocations
    events a second           0.880  550 bytes
    shards                        1
    log bytes a second        9,262

    USD A MONTH
    DynamoDB: write units, on demand   94.75
    DynamoDB: read units, on demand    11.51
    DynamoDB: storage and recovery      0.00
    Kinesis: shards, kept for 7 days   25.55
    Kinesis: PUT units                  0.03
    SQS: requests                       6.35
    Lambda: GB-seconds, arm64           9.93
    Lambda: invocations                 0.90
    CloudWatch: logs                   12.17
    CloudWatch: metrics                12.00
    all                               173.21
    for a million refreshes             3.95

    BY OTHER MEANS
    the table provisioned, scaling to 70 %                  111.16
    the stream on demand                                    176.94
    2 servers that are always on, with the state in memory  169.27

    MET FIRST                                                   TAKEN       OF
    refresh scheduler: records that one pass moves on           0.6 %  180,000
    DynamoDB: write units a second of a table                   0.1 %   40,000  raised on request
    DynamoDB: read units a second of a table                  < 0.1 %   40,000  raised on request
    DynamoDB: write units a second of one partition of heads  < 0.1 %    1,000
    Lambda: concurrent executions of the account              < 0.1 %    1,000  raised on request
    Kinesis: shards of the account                            < 0.1 %   20,000  raised on request
    SQS: messages in flight of a queue                        < 0.1 %  120,000  raised on request

    List prices of us-east-1 as of 2025-12, without free tiers; docs/cost.md says what is left out.
    ");
}

#[test]
fn several_are_a_line_each() {
    let several =
        printed("replicante capacity --clusters 100,100000 --nodes 5 --interval 60s,5m --batch 10,1");
    insta::assert_snapshot!(several, @"
    CLUSTERS  EVERY  BATCH  WRITES/S  WORKERS   TABLE  LAMBDA, SQS   MONTH  PROVISIONED  ALWAYS ON
         100     1m     10       5.8    0.026      11            3      53           47        158
         100     1m      1       5.8    0.176      11           13      66           59        158
     100,000     1m     10     5,764     26.3  10,593        1,546  13,384        7,163      1,653
     100,000     1m      1     5,764      176  10,593       10,744  25,539       19,318      1,653
         100     5m     10       1.8    0.005       4            2      43           41        158
         100     5m      1       1.8    0.035       4            4      46           44        158
     100,000     5m     10     1,764      5.2   3,147          313   3,742        1,894      1,415
     100,000     5m      1     1,764     35.2   3,147        2,153   6,173        4,325      1,415
    ");
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
