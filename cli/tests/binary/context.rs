//! Contexts: named, used, and what goes before them.

use std::path::Path;
use std::process::Command;

use replicante_local::{Local, LocalConfig};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::replicante;

/// Runs the command with this file of contexts, in a folder without a place of its own.
struct User<'a> {
    folder: &'a Path,
}

impl User<'_> {
    fn command(&self, args: &[&str]) -> Command {
        let mut command = replicante(args);
        command.current_dir(self.folder).env("HOME", self.folder).env_remove("XDG_CONFIG_HOME");
        command.env("AWS_EC2_METADATA_DISABLED", "true");
        command
    }

    fn run(&self, args: &[&str]) -> (Option<i32>, String, String) {
        told(self.command(args))
    }
}

fn told(mut command: Command) -> (Option<i32>, String, String) {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_context_is_named_used_and_removed() {
    let runtime = Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("there");
    let config = LocalConfig { data: Some(data.clone()), ..LocalConfig::default() };
    let _local = runtime.block_on(Local::start(&config)).unwrap();
    let user = User { folder: folder.path() };

    let (code, _, errors) = user.run(&["get", "clusters", "--context", "here"]);
    assert!(code == Some(1) && errors.contains("there is no context `here`"), "{errors}");
    // A folder is kept whole: whoever uses it may be elsewhere.
    let (code, out, errors) = user.run(&["context", "add", "here", "--data", "there"]);
    assert_eq!((code, out.as_str()), (Some(0), "context here added\n"), "{errors}");
    let (_, out, _) = user.run(&["context", "list", "-o", "json"]);
    let listed: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((listed[0]["data"].as_str(), &listed[0]["in_use"]), (data.to_str(), &Value::Bool(false)));

    // Named, after the command and before it.
    for args in [["get", "clusters", "--context", "here"], ["--context", "here", "get", "clusters"]] {
        let (code, _, errors) = user.run(&args);
        assert!(code == Some(0) && errors.starts_with("there are no clusters"), "{args:?}: {errors}");
    }
    let mut by_variable = user.command(&["get", "clusters"]);
    by_variable.env("REPLICANTE_CONTEXT", "here");
    assert_eq!(told(by_variable).0, Some(0));
    let (code, _, errors) = user.run(&["get", "clusters"]);
    assert!(code == Some(1) && errors.contains("nothing says where Replicante runs"), "{errors}");

    // In use: said each time, and after what the environment names.
    assert_eq!(user.run(&["context", "use", "here"]).1, "context here is in use\n");
    let (code, _, errors) = user.run(&["get", "clusters"]);
    assert!(code == Some(0) && errors.starts_with("(from the context in use, here)"), "{errors}");
    let mut elsewhere = user.command(&["get", "clusters"]);
    elsewhere.env("AWS_ENDPOINT_URL_SQS", "http://127.0.0.1:9");
    let (code, _, errors) = told(elsewhere);
    assert!(code == Some(1) && errors.contains("nothing listens at http://127.0.0.1:9"), "{errors}");
    // An option comes before it, and two that say different things are refused.
    let (code, _, errors) = user.run(&["get", "clusters", "--data", "nowhere"]);
    assert!(code == Some(1) && errors.contains("nowhere/environment.json"), "{errors}");
    let (code, _, errors) = user.run(&["get", "clusters", "--data", "there", "--context", "here"]);
    assert!(code == Some(2) && errors.lines().count() == 1, "{errors}");

    let (code, _, errors) = user.run(&["context", "add", "here", "--stack", "other"]);
    assert!(code == Some(1) && errors.contains("--replace"), "{errors}");
    assert_eq!(user.run(&["context", "add", "here", "--data", "there"]).0, Some(0), "the same again");
    let (code, _, errors) = user.run(&["get", "clusters", "--context", "her"]);
    assert!(code == Some(1) && errors.trim_end().ends_with("there are here"), "{errors}");
    let (code, out, _) = user.run(&["context", "remove", "here"]);
    assert_eq!((code, out.as_str()), (Some(0), "context here removed: no context is in use\n"));
    assert_eq!(user.run(&["context", "remove", "here"]).0, Some(1));

    // A file that is wrong is named, with what is wrong.
    let file = folder.path().join("wrong.yaml");
    std::fs::write(&file, "contexts: { a: { data: x, stack: y } }").unwrap();
    let mut wrong = user.command(&["context", "list"]);
    wrong.env("REPLICANTE_CONFIG", &file);
    let (code, _, errors) = told(wrong);
    assert!(code == Some(1) && errors.contains("wrong.yaml is wrong: context `a`: it has both"), "{errors}");
    assert_eq!(errors.lines().count(), 1, "{errors}");
}
