//! What the functions write to standard output: logs, as the settings of Lambda's logging controls say, and lines that
//! stand for themselves.
//!
//! The runtime's own subscriber brings filters with regular expressions along, some 0.4 MB of each binary. These logs
//! are few and have one threshold.

use std::io::Write;

use tracing::Subscriber;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt;

/// Starts logging, as the process's environment says: see [`subscriber`].
pub fn init() {
    subscriber(&|name| std::env::var(name).ok(), std::io::stdout).init();
}

/// What makes lines of logs: `AWS_LAMBDA_LOG_LEVEL`, else `RUST_LOG`, is the least level that is logged (`INFO` unless it
/// is one); `AWS_LAMBDA_LOG_FORMAT=JSON` makes each line a JSON object. It has the time, since Lambda takes one without
/// for `INFO`, and drops it when more is asked for. To lines of text CloudWatch adds it.
///
/// `lookup` gives the value of a variable.
pub fn subscriber<W>(lookup: &dyn Fn(&str) -> Option<String>, writer: W) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let format = lookup("AWS_LAMBDA_LOG_FORMAT").unwrap_or_default();
    let level = level(lookup("AWS_LAMBDA_LOG_LEVEL").or_else(|| lookup("RUST_LOG")).as_deref());
    let logs = tracing_subscriber::fmt().with_max_level(level).with_target(false).with_writer(writer);
    if format.eq_ignore_ascii_case("json") {
        Box::new(logs.json().finish())
    } else {
        Box::new(logs.without_time().with_ansi(false).finish())
    }
}

/// Writes one line as it is, whatever the format and the level of the logs: metrics. One that can't be written is lost:
/// no invocation fails for it.
pub fn line(text: &str) {
    write_line(&mut std::io::stdout().lock(), text);
}

fn write_line(out: &mut impl Write, text: &str) {
    // In one piece: two writes could end up in two records of a log.
    let _ = out.write_all(format!("{text}\n").as_bytes()).and_then(|()| out.flush());
}

fn level(name: Option<&str>) -> LevelFilter {
    // Lambda's `FATAL` is above all levels there are.
    match name {
        Some(name) if name.eq_ignore_ascii_case("fatal") => LevelFilter::ERROR,
        name => name
            .filter(|name| !name.is_empty())
            .and_then(|name| name.parse().ok())
            .unwrap_or(LevelFilter::INFO),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[test]
    fn levels_are_lambdas_and_anything_else_is_info() {
        for (name, expected) in [
            ("TRACE", LevelFilter::TRACE),
            ("debug", LevelFilter::DEBUG),
            ("WARN", LevelFilter::WARN),
            ("FATAL", LevelFilter::ERROR),
            ("", LevelFilter::INFO),
            ("loud", LevelFilter::INFO),
        ] {
            assert_eq!(level(Some(name)), expected, "{name}");
        }
        assert_eq!(level(None), LevelFilter::INFO);
    }

    /// What the settings make of a line at `info` and one at `debug`.
    fn logged(settings: &[(&str, &str)]) -> String {
        let written = Arc::new(Mutex::new(Vec::new()));
        let lookup =
            |name: &str| settings.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_string());
        let writer = Shared(Arc::clone(&written));
        let logs = subscriber(&lookup, move || Shared(Arc::clone(&writer.0)));
        tracing::subscriber::with_default(logs, || {
            tracing::info!(records = 3, "pass");
            tracing::debug!("quiet");
        });
        String::from_utf8(written.lock().unwrap().clone()).unwrap()
    }

    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_are_text_or_json_as_the_settings_say_and_nothing_below_the_level() {
        let text = " INFO pass records=3\n";
        assert_eq!(logged(&[]), text);
        assert_eq!(logged(&[("AWS_LAMBDA_LOG_FORMAT", "Text"), ("RUST_LOG", "info")]), text);
        let json = logged(&[("AWS_LAMBDA_LOG_FORMAT", "JSON")]);
        let (time, rest) = json.split_once("\",").unwrap();
        assert!(time.starts_with("{\"timestamp\":\"20") && time.ends_with('Z'), "{json}");
        assert_eq!(rest, "\"level\":\"INFO\",\"fields\":{\"message\":\"pass\",\"records\":3}}\n");
        assert_eq!(logged(&[("AWS_LAMBDA_LOG_LEVEL", "WARN"), ("RUST_LOG", "debug")]), "");
        assert_eq!(logged(&[("RUST_LOG", "debug")]).lines().count(), 2);
    }

    /// Takes so many bytes a call, and none when that is zero.
    struct Slow(usize, Vec<u8>);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            if self.0 == 0 {
                return Err(std::io::ErrorKind::StorageFull.into());
            }
            let taken = bytes.len().min(self.0);
            self.1.extend(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_is_written_whole_or_lost() {
        for (bytes, expected) in [(100, "{}\n"), (1, "{}\n"), (0, "")] {
            let mut out = Slow(bytes, Vec::new());
            write_line(&mut out, "{}");
            assert_eq!(String::from_utf8(out.1).unwrap(), expected);
        }
    }
}
