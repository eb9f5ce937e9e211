//! `export`: all stored objects, as a file that `apply` takes back.

use clap::{Args, ValueEnum};
use replicante_aws::ObjectKind;
use replicante_objects::{MAX_FILE, Object};

use crate::error::CliError;
use crate::out;
use crate::place::{Place, PlaceArgs};

/// Values of `export`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    replicante export > objects.yaml           and `replicante apply -f objects.yaml` changes nothing\n  \
    replicante export -n prod                  of one namespace\n  \
    replicante export -o json | jq .metadata   one document after the other\n\n\
    All settings are written out, also those that were left at their default. There are no\n\
    secrets in it: objects hold references. State, history, and what is forgotten or paused\n\
    are no objects: a backup of the table has them.")]
pub struct ExportArgs {
    /// Only those of this namespace [default: all]
    #[arg(short, long, value_name = "NAME")]
    pub namespace: Option<String>,
    /// How to write them
    #[arg(short, long, value_enum, default_value = "yaml")]
    pub output: Output,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap takes the group's own text")]
    pub place: PlaceArgs,
}

/// How objects are written. `apply` reads both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Documents of YAML
    Yaml,
    /// Documents of JSON
    Json,
}

/// Runs the command.
///
/// # Errors
/// When the table can't be read, or an object of it, of a newer release maybe: nothing is written then.
pub async fn run(args: ExportArgs) -> Result<(), CliError> {
    let table = Place::find(&args.place).await?.table();
    let mut objects = Vec::new();
    for kind in [ObjectKind::Discovery, ObjectKind::Cluster] {
        for (record, stored) in table.objects(kind).await? {
            if args.namespace.as_ref().is_some_and(|wanted| *wanted != record.namespace) {
                continue;
            }
            let object = Object::from_json(&stored.json);
            objects.push(object.map_err(|error| CliError::Failed(format!("the object {record}: {error}")))?);
        }
    }
    if objects.is_empty() {
        out::note(format_args!("no object is stored: {} apply -f FILE", out::program()));
    }
    let mut bytes = 0;
    for (index, object) in objects.iter().enumerate() {
        let text = write(object, args.output)?;
        if index > 0 && args.output == Output::Yaml {
            out::line("---")?;
        }
        bytes += text.len() + 4;
        out::raw(text.as_bytes())?;
    }
    if bytes > MAX_FILE {
        let most = MAX_FILE / (1024 * 1024);
        out::note(format_args!(
            "`apply` takes files of at most {most} MiB: write one for each namespace, with -n"
        ));
    }
    Ok(())
}

/// One document, without the end of its last line.
fn write(object: &Object, output: Output) -> Result<String, CliError> {
    let document = object.to_document();
    let text = match output {
        Output::Json => serde_json::to_string_pretty(&document).map_err(|error| error.to_string()),
        Output::Yaml => serde_saphyr::to_string(&document).map_err(|error| error.to_string()),
    };
    let text = text.map_err(|problem| CliError::Failed(format!("writing {}: {problem}", object.name())))?;
    Ok(text.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::parse_text;
    use proptest::prelude::*;
    use serde_json::json;
    use std::time::Duration;

    const HEAD: &str = "apiVersion: replicante.io/v0\nkind: Discovery\nmetadata: { name: fleet }\nspec:\n";

    fn object(spec: &str) -> Object {
        parse_text("x", &format!("{HEAD}{spec}"), Duration::from_secs(1)).unwrap().remove(0)
    }

    fn back(object: &Object, output: Output) -> Object {
        let text = write(object, output).unwrap();
        parse_text("x", &text, Duration::from_secs(1))
            .unwrap_or_else(|error| panic!("{error}\n{text}"))
            .remove(0)
    }

    #[test]
    fn an_object_is_written_with_all_its_settings_as_a_file_has_them() {
        let object = object(
            "  source: { http: { url: http://inv/clusters, headers: { accept: a } } }\n  removal: { max_shrink: off }\n",
        );
        insta::assert_snapshot!(write(&object, Output::Yaml).unwrap(), @r#"
        apiVersion: replicante.io/v0
        kind: Discovery
        metadata:
          name: fleet
          namespace: default
        spec:
          agents:
            api: auto
            cluster_id: check
            connect_timeout: 3s
            failures_before_down: 1
            max_body: 8MiB
            node_timeout: 15s
            successes_before_up: 1
            timeout: 10s
          enabled: true
          interval: 1m
          refresh:
            interval: 1m
          removal:
            confirmations: 3
            grace: 10m
            max_shrink: "off"
          source:
            http:
              headers:
                accept: a
              limits:
                bytes: 32MiB
                clusters: 100000
                nodes: 10000
                pages: 1000
                total_bytes: 128MiB
                total_nodes: 500000
              method: POST
              timeout: 30s
              url: http://inv/clusters
        "#);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back_as_the_same_object(
            texts in proptest::collection::vec(prop_oneof![
                "[ -~]{1,12}", "\\PC{1,8}", Just("yes".to_owned()), Just("null".to_owned()), Just("1e3".to_owned()),
                Just("0x1f".to_owned()), Just("---".to_owned()), Just("~".to_owned()), Just("a: b # c".to_owned()),
            ], 3),
            number in any::<i64>(), millis in 1..600_000u64, bytes in 1..1_000_000u64, percent in proptest::option::of(0..=100u8),
        ) {
            let shrink = percent.map_or("off".to_owned(), |percent| format!("{percent}%"));
            let spec = json!({
                "interval": format!("{}ms", millis + 1_000),
                "source": { "http": {
                    "url": "https://inv/clusters?a=b",
                    "headers": { "x-region": "eu", "authorization": "env:TOKEN" },
                    "timeout": format!("{millis}ms"),
                    "limits": { "bytes": format!("{bytes}B"), "pages": 7 },
                    "body": { (texts[0].clone()): [texts[1], number, null, true, { "deep": texts[2] }], "text": texts[2] },
                    "tls": { "ca_bundle": "file:/etc/ca.pem" },
                } },
                "removal": { "max_shrink": shrink, "confirmations": 2 },
                "agents": { "api": "v2", "max_body": format!("{}B", bytes + 1024), "timeout": format!("{millis}ms") },
                "ignore": { "clusters": [texts[0]] },
            });
            let object = object(&format!("  {spec}\n"));
            for output in [Output::Yaml, Output::Json] {
                prop_assert_eq!(&back(&object, output), &object);
            }
        }
    }

    #[test]
    fn every_kind_of_source_and_a_cluster_are_read_back() {
        for source in [
            "{ platform: { url: http://p/ } }",
            "{ prometheus: { url: http://sd/targets, cluster_label: c, scheme: https, path_prefix: /agent } }",
            "{ file: { path: clusters.json, limits: { total_bytes: 3MiB } } }",
            "{ dns: { clusters: { a: a.example, b/c: b.example }, server: 10.0.0.2, timeout: 1500ms, path_prefix: /agent } }",
            "{ dns: { clusters: { a: a.example }, limits: { nodes: 3 } } }",
        ] {
            let object = object(&format!("  source: {source}\n  enabled: false\n"));
            assert_eq!(back(&object, Output::Yaml), object, "{source}");
        }
        for spec in ["{}", "{ enabled: false, interval: 90m }"] {
            let text = format!(
                "apiVersion: replicante.io/v0\nkind: Cluster\nmetadata: {{ namespace: prod, name: orders }}\nspec: {spec}\n"
            );
            let object = parse_text("x", &text, Duration::from_secs(1)).unwrap().remove(0);
            assert_eq!(back(&object, Output::Yaml), object, "{spec}");
        }
    }
}
