//! Logs of the functions: lines on standard output, as the settings of Lambda's logging controls say.
//!
//! The runtime's own subscriber brings filters with regular expressions along, some 0.4 MB of each binary. These logs
//! are few and have one threshold.

use tracing_subscriber::filter::LevelFilter;

/// Starts logging: `AWS_LAMBDA_LOG_LEVEL`, else `RUST_LOG`, is the least level that is logged (`INFO` unless it is one);
/// `AWS_LAMBDA_LOG_FORMAT=JSON` makes each line a JSON object. CloudWatch adds the time.
pub fn init() {
    let variable = |name: &str| std::env::var(name).ok();
    let format = variable("AWS_LAMBDA_LOG_FORMAT").unwrap_or_default();
    let level = level(variable("AWS_LAMBDA_LOG_LEVEL").or_else(|| variable("RUST_LOG")).as_deref());
    let logs = tracing_subscriber::fmt().with_max_level(level).with_target(false).without_time();
    if format.eq_ignore_ascii_case("json") { logs.json().init() } else { logs.with_ansi(false).init() }
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
}
