//! `--stack`: the real command, on a CloudFormation that answers as AWS does.

// Helpers of tests fail as tests do.
#![allow(clippy::unwrap_used)]

#[path = "../../shared/stack/tests/fake/mod.rs"]
mod fake;

use std::collections::BTreeMap;
use std::process::{Command, Output};

use fake::{Fake, Said};
use replicante_local::{Local, LocalConfig};

/// Runs the command with the endpoints of a local system, and nothing else of it.
fn run(environment: &BTreeMap<String, String>, fake: &Fake, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_replicante"));
    for name in ["AWS_PROFILE", "REPLICANTE_STACK", "REPLICANTE_TABLE"] {
        command.env_remove(name);
    }
    let aws = environment.iter().filter(|(name, _)| name.starts_with("AWS_"));
    command.envs(aws).env("AWS_ENDPOINT_URL_CLOUDFORMATION", &fake.url).args(arguments).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_is_found_by_its_name_and_what_it_names_is_used() {
    let local = Local::start(&LocalConfig::default()).await.unwrap();
    let fake = Fake::start().await;
    let settings = &local.settings;
    let outputs = [
        ("TableName", settings.table.as_str()),
        ("StreamName", settings.stream.as_str()),
        ("DiscoveryQueueUrl", settings.discovery_queue.as_str()),
        ("RefreshQueueUrl", settings.refresh_queue.as_str()),
        ("RefreshDeadLettersUrl", "http://127.0.0.1:9/dead"),
        ("Deployment", "prod"),
    ];
    fake.say(Said::outputs(&outputs));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("discovery.yaml");
    let object = "apiVersion: replicante.io/v0\nkind: Discovery\nmetadata: { name: fleet }\n\
                  spec: { interval: 60s, refresh: { interval: 60s }, source: { file: { path: x.json } } }\n";
    std::fs::write(&file, object).unwrap();
    let applied =
        run(&local.environment, &fake, &["apply", "--stack", "replicante", "-f", file.to_str().unwrap()]);
    assert!(applied.status.success(), "{}", stderr(&applied));
    for arguments in
        [["get", "discoveries", "--stack", "replicante"], ["discover", "fleet", "--stack", "replicante"]]
    {
        let done = run(&local.environment, &fake, &arguments);
        assert!(done.status.success(), "{arguments:?}: {}", stderr(&done));
        assert!(String::from_utf8_lossy(&done.stdout).contains("fleet"), "{arguments:?}");
    }
    let by_variable = BTreeMap::from([("REPLICANTE_STACK".to_owned(), "replicante".to_owned())]);
    let mut environment = local.environment.clone();
    environment.extend(by_variable.clone());
    let mut command = Command::new(env!("CARGO_BIN_EXE_replicante"));
    let aws = environment.iter().filter(|(name, _)| name.starts_with("AWS_"));
    command.envs(aws).envs(by_variable).env("AWS_ENDPOINT_URL_CLOUDFORMATION", &fake.url);
    let events = command.args(["events"]).output().unwrap();
    assert!(events.status.success(), "{}", stderr(&events));
    assert_eq!(fake.asked().len(), 4, "each command asked once");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_runs_of_a_stack_come_from_the_log_of_its_worker() {
    let local = Local::start(&LocalConfig::default()).await.unwrap();
    let fake = Fake::start().await;
    let settings = &local.settings;
    let outputs = |logs: &str| {
        Said::outputs(&[
            ("TableName", &settings.table),
            ("StreamName", &settings.stream),
            ("DiscoveryQueueUrl", &settings.discovery_queue),
            ("RefreshQueueUrl", &settings.refresh_queue),
            ("Deployment", "prod"),
            ("RefreshWorkerLogs", logs),
        ])
    };
    let line = |record: &str, outcome: &str| {
        let fields = serde_json::json!({ "message": "task", "record": record, "cause": "Schedule", "outcome": outcome,
            "duration_ms": 12, "late_ms": 3 });
        serde_json::json!({ "level": "INFO", "fields": fields }).to_string()
    };
    let now = replicante_model::Timestamp::now().0;
    let (one, other) = (line("cluster/default/zk", "unchanged"), line("cluster/default/rs", "changed"));
    let page = Said::lines(&[(now - 2_000, &one), (now - 1_000, &other)], None);
    fake.say_each([outputs("/logs/refresh"), page]);
    let mut environment = local.environment.clone();
    environment.insert("AWS_ENDPOINT_URL_CLOUDWATCH_LOGS".into(), fake.url.clone());
    let done =
        run(&environment, &fake, &["runs", "zk", "--stack", "replicante", "--since", "2h", "-o", "json"]);
    assert!(done.status.success(), "{}", stderr(&done));
    let runs: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(runs.as_array().unwrap().len(), 1, "of this record alone: {runs}");
    assert_eq!((&runs[0]["outcome"], &runs[0]["ms"]), (&"unchanged".into(), &12.into()));
    let asked: serde_json::Value = serde_json::from_str(&fake.asked()[1].1).unwrap();
    assert_eq!(asked["logGroupName"], "/logs/refresh");
    let since = asked["startTime"].as_i64().unwrap();
    assert!((now - 7_200_000..now - 7_100_000).contains(&since), "{since}");

    // A stack of an earlier release names no log group.
    fake.say(outputs(""));
    let refused = run(&environment, &fake, &["runs", "zk", "--stack", "replicante"]);
    assert!(stderr(&refused).contains("REPLICANTE_REFRESH_LOGS is not set"), "{}", stderr(&refused));
    // What names another deployment's does not stand in for it.
    let mut command = Command::new(env!("CARGO_BIN_EXE_replicante"));
    let aws = environment.iter().filter(|(name, _)| name.starts_with("AWS_"));
    command
        .envs(aws)
        .env("AWS_ENDPOINT_URL_CLOUDFORMATION", &fake.url)
        .env("REPLICANTE_REFRESH_LOGS", "/logs/another");
    let refused = command.args(["runs", "zk", "--stack", "replicante"]).output().unwrap();
    assert!(stderr(&refused).contains("REPLICANTE_REFRESH_LOGS is not set"), "{}", stderr(&refused));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_functions_of_a_stack_are_asked_how_they_are_configured() {
    let local = Local::start(&LocalConfig::default()).await.unwrap();
    let fake = Fake::start().await;
    let settings = &local.settings;
    let named = [
        ("TableName", "REPLICANTE_TABLE", settings.table.as_str()),
        ("StreamName", "REPLICANTE_STREAM", &settings.stream),
        ("DiscoveryQueueUrl", "REPLICANTE_DISCOVERY_QUEUE_URL", &settings.discovery_queue),
        ("RefreshQueueUrl", "REPLICANTE_REFRESH_QUEUE_URL", &settings.refresh_queue),
        ("Deployment", "REPLICANTE_DEPLOYMENT", "prod"),
    ];
    let functions = ["DiscoveryScheduler", "RefreshScheduler", "DiscoveryWorker", "RefreshWorker"];
    let outputs =
        named.iter().map(|(output, _, value)| (*output, *value)).chain(functions.map(|name| (name, name)));
    let outputs = Said::outputs(&outputs.collect::<Vec<_>>());
    let with = |timeout: u64, table: &str, lease: &str| {
        let mut variables: BTreeMap<&str, &str> =
            named.iter().map(|(_, name, value)| (*name, *value)).collect();
        // As the embedded queues are made.
        let times = [
            ("REPLICANTE_LEASE", lease),
            ("REPLICANTE_VISIBILITY_TIMEOUT", "30s"),
            ("REPLICANTE_TABLE", table),
        ];
        variables.extend(times);
        // Another of each function, and nobody's business here.
        let secret = format!("hunter2-{timeout}");
        variables.insert("REPLICANTE_TOKEN", &secret);
        Said::function(timeout, &variables.into_iter().collect::<Vec<_>>())
    };
    let mut environment = local.environment.clone();
    environment.insert("AWS_ENDPOINT_URL_LAMBDA".into(), fake.url.clone());
    let doctor = |said: [Said; 4]| {
        fake.say(outputs.clone());
        // They are asked at once.
        for (name, said) in functions.into_iter().zip(said) {
            fake.say_at(&format!("/functions/{name}/"), said);
        }
        let done = run(&environment, &fake, &["doctor", "--stack", "replicante", "-o", "json"]);
        assert!(!String::from_utf8_lossy(&done.stdout).contains("hunter2"));
        let told: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
        let checks = told["checks"].as_array().unwrap().clone();
        let check = |what: &str| checks.iter().find(|check| check["what"] == what).unwrap().clone();
        (
            done.status.code(),
            ["discovery scheduler", "refresh worker", "refresh queue's time", "settings"].map(check),
        )
    };
    let table = settings.table.as_str();
    let (well, scheduler) = (|| with(10, table, "20s"), || with(9, table, "20s"));
    let (code, [scheduled, worker, queue, settings]) = doctor([scheduler(), scheduler(), well(), well()]);
    assert_eq!(code, Some(3), "nothing expires on the embedded table");
    assert_eq!(
        (&scheduled["verdict"], &worker["verdict"]),
        (&"ok".into(), &"ok".into()),
        "{scheduled} {worker}"
    );
    assert_eq!(worker["found"], "its timeout is 10s, a lease of 20s");
    // What holds is what the functions are told, not what the template says.
    assert_eq!(queue["found"], "a lease of 20s ends before a task comes again (30s)");
    assert_eq!(settings["found"], "those of the functions are the same");
    let asked = fake.asked();
    assert!(
        asked.iter().any(|(_, path)| path.ends_with("/functions/DiscoveryScheduler/configuration")),
        "{asked:?}"
    );

    let gone = Said::header_error(404, "ResourceNotFoundException", "Function not found");
    let (code, [scheduled, worker, _, settings]) =
        doctor([gone, scheduler(), with(10, table, "25s"), with(10, "another", "20s")]);
    assert_eq!(code, Some(4));
    assert_eq!(
        (&scheduled["verdict"], &worker["verdict"]),
        (&"bad".into(), &"bad".into()),
        "{scheduled} {worker}"
    );
    let found = worker["found"].as_str().unwrap();
    assert!(found.starts_with("REPLICANTE_TABLE is another"), "{found}");
    let found = settings["found"].as_str().unwrap();
    assert!(
        found.contains("REPLICANTE_LEASE is 20s (refresh scheduler, refresh worker), 25s (discovery worker)"),
        "{found}"
    );

    // Of a queue the worker's lease counts, also one with which it does not start.
    let (code, [_, worker, queue, _]) = doctor([scheduler(), scheduler(), well(), with(10, table, "45s")]);
    assert_eq!(code, Some(4));
    assert_eq!((&worker["verdict"], &queue["verdict"]), (&"bad".into(), &"bad".into()), "{worker} {queue}");
    assert_eq!(queue["found"], "a lease of 45s is not shorter than its visibility timeout of 30s");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_said_with_the_way_out() {
    let local = Local::start(&LocalConfig::default()).await.unwrap();
    let fake = Fake::start().await;
    let cases = [
        (
            Said::error(400, "ValidationError", "Stack with id nowhere does not exist"),
            "there is no stack nowhere in us-east-1",
        ),
        (Said::error(403, "AccessDenied", "not authorized"), "cloudformation:DescribeStacks"),
        (
            Said::outputs(&[("TableName", "t")]),
            "the stack nowhere has no output StreamName, DiscoveryQueueUrl",
        ),
    ];
    for (said, expected) in cases {
        fake.say(said);
        let refused = run(&local.environment, &fake, &["get", "clusters", "--stack", "nowhere"]);
        assert_eq!(refused.status.code(), Some(1));
        assert!(stderr(&refused).contains(expected), "{}", stderr(&refused));
    }

    // Nothing of AWS in the environment, and no profile.
    let folder = tempfile::tempdir().unwrap();
    let bare = |region: Option<&str>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_replicante"));
        command.env_clear().env("HOME", folder.path()).env("AWS_EC2_METADATA_DISABLED", "true");
        command.envs(region.map(|region| ("AWS_REGION", region)));
        stderr(&command.args(["get", "clusters", "--stack", "prod"]).output().unwrap())
    };
    assert!(bare(None).contains("no region; set AWS_REGION"), "{}", bare(None));
    assert!(bare(Some("eu-central-1")).contains("no credentials"), "{}", bare(Some("eu-central-1")));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stack_of_a_context_is_looked_up_where_the_context_says() {
    let local = Local::start(&LocalConfig::default()).await.unwrap();
    let fake = Fake::start().await;
    fake.say(Said::error(400, "ValidationError", "Stack with id replicante does not exist"));
    let folder = tempfile::tempdir().unwrap();
    let credentials = "[ops]\naws_access_key_id = AKIDOFOPS\naws_secret_access_key = s\n";
    std::fs::write(folder.path().join("credentials"), credentials).unwrap();
    let text = format!(
        "contexts:\n  prod: {{ stack: replicante, region: eu-west-9, profile: ops, endpoint: \"{}\" }}\n  \
         aws: {{ stack: replicante }}\n",
        fake.url
    );
    let file = folder.path().join("config.yaml");
    std::fs::write(&file, text).unwrap();
    let mut environment = local.environment.clone();
    environment.insert(
        "AWS_SHARED_CREDENTIALS_FILE".into(),
        folder.path().join("credentials").display().to_string(),
    );
    let on = |context: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_replicante"));
        command.envs(&environment).env("REPLICANTE_CONFIG", &file);
        command.args(["get", "clusters", "--context", context]).output().unwrap()
    };
    // The region of the context, not of the environment.
    let refused = stderr(&on("prod"));
    assert!(refused.contains("there is no stack replicante in eu-west-9"), "{refused}");
    // The credentials of the profile, though the environment holds some.
    let asked = fake.asked();
    assert!(asked.iter().all(|asked| format!("{asked:?}").contains("AKIDOFOPS/")), "{asked:?}");
    // Its endpoint, too: that of the environment is nobody's.
    environment.insert("AWS_ENDPOINT_URL_DYNAMODB".into(), "http://127.0.0.1:1".into());
    let outputs = ["TableName", "StreamName", "DiscoveryQueueUrl", "RefreshQueueUrl", "Deployment"];
    fake.say(Said::outputs(&outputs.map(|name| (name, "x"))));
    let on = |context: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_replicante"));
        command.envs(&environment).env("REPLICANTE_CONFIG", &file);
        command.args(["get", "clusters", "--context", context]).output().unwrap()
    };
    let refused = stderr(&on("prod"));
    assert!(refused.contains("in table x failed"), "{refused}");
    let asked = fake.asked();
    let refused = stderr(&on("aws"));
    assert!(refused.contains("the context aws is on AWS, and AWS_ENDPOINT_URL_"), "{refused}");
    assert_eq!(fake.asked().len(), asked.len(), "nobody was asked");
}
