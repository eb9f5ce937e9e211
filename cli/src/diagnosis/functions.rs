//! Whether the functions of a deployment on AWS are configured as it must be.

use std::collections::BTreeMap;

use replicante_model::Kind;
use replicante_model::time::{human, parse_human};
use replicante_settings::{Settings, SettingsError, TABLE};
use replicante_stack::{Function, FunctionError};

use super::Check;
use crate::view::text::count;

/// How a function of the deployment is configured.
#[derive(Clone, Debug)]
pub struct Configured {
    /// What it is for: `refresh worker`.
    pub what: &'static str,
    /// Of which records it claims some, if it does.
    pub claims: Option<Kind>,
    /// What Lambda says of it.
    pub function: Result<Function, FunctionError>,
}

impl Configured {
    /// Whether its settings could be read.
    pub fn is_read(&self) -> bool {
        self.variables().is_some()
    }

    /// What a setting is for it: what it is told, else the default. `None` where neither is known.
    pub fn setting(&self, name: &str) -> Option<String> {
        let told = self.variables()?.get(name).filter(|value| !value.is_empty());
        let default = || TABLE.iter().find(|setting| setting.name == name)?.default.map(String::from);
        told.cloned().or_else(default)
    }

    fn variables(&self) -> Option<&BTreeMap<String, String>> {
        self.function.as_ref().ok()?.variables.as_ref().ok()
    }
}

/// One check for each. `named`: what the deployment's table, stream, queues and name are, by the variables of the functions.
pub fn checks(functions: &[Configured], named: &BTreeMap<&str, String>) -> Vec<Check> {
    functions.iter().map(|function| check(function, named)).collect()
}

fn check(configured: &Configured, named: &BTreeMap<&str, String>) -> Check {
    let what = configured.what;
    let function = match &configured.function {
        Ok(function) => function,
        Err(error) => return unknown(what, error),
    };
    if let Some(why) = &function.unusable {
        let next = match why.starts_with("Pending") {
            true => "wait until it is active",
            false => "correct that, or delete it and have it made anew: nothing invokes it meanwhile",
        };
        return Check::bad(what, format!("it can't be invoked: {why}"), next);
    }
    if let Err(code) = &function.variables {
        let next = "they may be encrypted with a key that these credentials may not use: kms:Decrypt";
        return Check::warn(what, format!("its variables can't be read: {code}"), next);
    }
    let settings = match Settings::read(&|name| configured.setting(name)) {
        Ok(settings) => settings,
        Err(error) => {
            let next = match &error {
                SettingsError::Missing { .. } => "set it: without it the function does not start",
                SettingsError::Refused { .. } => "correct it: with it the function does not start",
            };
            return Check::bad(what, error.to_string(), next);
        }
    };
    let own = [
        ("REPLICANTE_DEPLOYMENT", &settings.deployment),
        ("REPLICANTE_TABLE", &settings.table),
        ("REPLICANTE_STREAM", &settings.stream),
        ("REPLICANTE_DISCOVERY_QUEUE_URL", &settings.discovery_queue),
        ("REPLICANTE_REFRESH_QUEUE_URL", &settings.refresh_queue),
    ];
    let other = own.into_iter().find_map(|(name, value)| {
        let expected = named.get(name)?;
        (value != expected).then(|| format!("{name} is {value}, and the deployment's is {expected}"))
    });
    if let Some(other) = other {
        return Check::bad(what, other, "make them equal: it works for another deployment, in part");
    }
    let (timeout, lease) = (human(function.timeout), human(settings.lease));
    if configured.claims.is_some() && function.timeout >= settings.lease {
        let next = "lower the function's timeout, or raise REPLICANTE_LEASE: its record is free for another while it works";
        return Check::warn(
            what,
            format!("its timeout of {timeout} is not shorter than a lease of {lease}"),
            next,
        );
    }
    if let Some(why) = &function.not_updated {
        let next = "correct that, and deploy again: it runs as it was before";
        return Check::warn(what, format!("its last update is not in effect: {why}"), next);
    }
    let lease = configured.claims.map(|_| format!(", a lease of {lease}")).unwrap_or_default();
    Check::ok(what, format!("its timeout is {timeout}{lease}"))
}

/// One that could not be looked at. That is bad only if it is not there.
fn unknown(what: &str, error: &FunctionError) -> Check {
    let found = error.to_string();
    match error {
        FunctionError { is_missing: true, .. } => {
            let next = "bring it back: a deploy that changes nothing of it does not (`aws cloudformation detect-stack-drift`)";
            Check::bad(what, found, next)
        }
        FunctionError { is_denied: true, .. } => {
            Check::warn(what, found, "see the permissions in docs/deploy.md")
        }
        _ => Check::warn(what, found, "try again: how it is configured is not known"),
    }
}

/// Whether the settings of all are the same, as far as they could be read. `None`: there are none to ask.
pub fn agree(functions: &[Configured]) -> Option<Check> {
    let read: Vec<&Configured> = functions.iter().filter(|function| function.is_read()).collect();
    if functions.is_empty() {
        return None;
    }
    if read.is_empty() {
        let next = "see above: what is said of leases is what this terminal or the template says";
        return Some(Check::warn("settings", "those of the functions can't be read", next));
    }
    let differences: Vec<String> =
        TABLE.iter().filter_map(|setting| difference(setting.name, &read)).collect();
    Some(match (differences.as_slice(), read.len()) {
        ([], all) if all == functions.len() => Check::ok("settings", "those of the functions are the same"),
        ([], some) => {
            let unread = count((functions.len() - some) as u64, "function");
            Check::ok("settings", format!("those that could be read are the same, without {unread}"))
        }
        (differences, _) => {
            let next = "set them in the template or by its parameters, and deploy; what was changed by hand, change back by hand";
            Check::warn("settings", differences.join("; "), next)
        }
    })
}

/// The values of a setting, each with whose it is, where there is more than one.
fn difference(name: &str, functions: &[&Configured]) -> Option<String> {
    let mut values: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for function in functions {
        let value = match function.setting(name) {
            None => "not set".into(),
            Some(value) if value.is_empty() => "empty".into(),
            // However it is written.
            Some(value) => parse_human(&value).map_or(value, human),
        };
        values.entry(value).or_default().push(function.what);
    }
    let shown = |(value, whose): (String, Vec<&str>)| format!("{value} ({})", whose.join(", "));
    let shown = |values: BTreeMap<_, _>| values.into_iter().map(shown).collect::<Vec<_>>().join(", ");
    (values.len() > 1).then(|| format!("{name} is {}", shown(values)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::diagnosis::lines;
    use crate::view::given::plain;

    const NAMED: [(&str, &str); 5] = [
        ("REPLICANTE_DEPLOYMENT", "prod"),
        ("REPLICANTE_TABLE", "table"),
        ("REPLICANTE_STREAM", "stream"),
        ("REPLICANTE_DISCOVERY_QUEUE_URL", "https://sqs.example/discovery"),
        ("REPLICANTE_REFRESH_QUEUE_URL", "https://sqs.example/refresh"),
    ];

    fn named() -> BTreeMap<&'static str, String> {
        NAMED.map(|(name, value)| (name, value.to_owned())).into()
    }

    /// A scheduler and a worker, as the template makes them.
    fn both() -> [Configured; 2] {
        let both = [("refresh scheduler", 55, None), ("refresh worker", 60, Some(Kind::Cluster))];
        both.map(|(what, timeout, claims)| {
            let mut variables: BTreeMap<String, String> =
                NAMED.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
            variables.insert("REPLICANTE_LEASE".into(), "75s".into());
            variables.insert("REPLICANTE_VISIBILITY_TIMEOUT".into(), "180s".into());
            let function = Function {
                name: what.into(),
                timeout: Duration::from_secs(timeout),
                variables: Ok(variables),
                unusable: None,
                not_updated: None,
            };
            Configured { what, claims, function: Ok(function) }
        })
    }

    /// What is told when the worker is otherwise.
    fn told(change: impl Fn(&mut Function)) -> String {
        let mut both = both();
        change(both[1].function.as_mut().unwrap());
        let mut checks = checks(&both[1..], &named());
        checks.extend(agree(&both));
        plain(&lines(&checks))
    }

    fn with(name: &'static str, value: &'static str) -> impl Fn(&mut Function) {
        move |function| drop(function.variables.as_mut().unwrap().insert(name.into(), value.into()))
    }

    #[test]
    fn functions_as_the_template_makes_them_are_well() {
        let both = both();
        let mut checks = checks(&both, &named());
        checks.extend(agree(&both));
        insta::assert_snapshot!(plain(&lines(&checks)), @"
        ok    refresh scheduler  its timeout is 55s
        ok    refresh worker     its timeout is 1m, a lease of 1m15s
        ok    settings           those of the functions are the same
        ");
    }

    #[test]
    fn what_is_wrong_with_a_function_is_told_with_the_way_out() {
        let told = [
            (
                "can't be invoked",
                told(|function| function.unusable = Some("Failed: The KMS key is disabled".into())),
            ),
            ("not updated", told(|function| function.not_updated = Some("Failed: no more addresses".into()))),
            ("encrypted", told(|function| function.variables = Err("AccessDeniedException".into()))),
            ("a wrong value", told(with("REPLICANTE_LEASE", "soon"))),
            ("a lease too long", told(with("REPLICANTE_LEASE", "180s"))),
            ("nothing set", told(|function| function.variables.as_mut().unwrap().clear())),
            ("another table", told(with("REPLICANTE_TABLE", "other"))),
            ("a long timeout", told(|function| function.timeout = Duration::from_secs(75))),
            (
                "another name, by default",
                told(|function| drop(function.variables.as_mut().unwrap().remove("REPLICANTE_DEPLOYMENT"))),
            ),
            ("told it alone", told(with("REPLICANTE_TICK", "30s"))),
            ("in other words", told(with("REPLICANTE_LEASE", "1m15s"))),
            ("the default, written out", told(with("REPLICANTE_TICK", "60s"))),
            ("left empty", told(with("REPLICANTE_TICK", ""))),
            ("not yet there", told(|function| function.unusable = Some("Pending".into()))),
        ];
        let told: Vec<String> = told.iter().map(|(case, told)| format!("{case}:\n{told}")).collect();
        insta::assert_snapshot!(told.join("\n"), @"
        can't be invoked:
        bad   refresh worker  it can't be invoked: Failed: The KMS key is disabled; next: correct that, or delete it and have it made anew: nothing invokes it meanwhile
        ok    settings        those of the functions are the same
        not updated:
        warn  refresh worker  its last update is not in effect: Failed: no more addresses; next: correct that, and deploy again: it runs as it was before
        ok    settings        those of the functions are the same
        encrypted:
        warn  refresh worker  its variables can't be read: AccessDeniedException; next: they may be encrypted with a key that these credentials may not use: kms:Decrypt
        ok    settings        those that could be read are the same, without 1 function
        a wrong value:
        bad   refresh worker  REPLICANTE_LEASE is `soon`: `soon` is no duration: expected a whole number and a unit, like 500ms, 30s, 5m, 1h30m or 2d. How long a claim holds a record: longer than the workers' timeout, shorter than the visibility timeout. 1s to 20m.; next: correct it: with it the function does not start
        warn  settings        REPLICANTE_LEASE is 1m15s (refresh scheduler), soon (refresh worker); next: set them in the template or by its parameters, and deploy; what was changed by hand, change back by hand
        a lease too long:
        bad   refresh worker  REPLICANTE_LEASE is `3m`: it is not shorter than REPLICANTE_VISIBILITY_TIMEOUT (3m). How long a claim holds a record: longer than the workers' timeout, shorter than the visibility timeout. 1s to 20m.; next: correct it: with it the function does not start
        warn  settings        REPLICANTE_LEASE is 1m15s (refresh scheduler), 3m (refresh worker); next: set them in the template or by its parameters, and deploy; what was changed by hand, change back by hand
        nothing set:
        bad   refresh worker  REPLICANTE_TABLE is not set: Name of the DynamoDB table.; next: set it: without it the function does not start
        warn  settings        REPLICANTE_DEPLOYMENT is local (refresh worker), prod (refresh scheduler); REPLICANTE_TABLE is not set (refresh worker), table (refresh scheduler); REPLICANTE_STREAM is not set (refresh worker), stream (refresh scheduler); REPLICANTE_DISCOVERY_QUEUE_URL is https://sqs.example/discovery (refresh scheduler), not set (refresh worker); REPLICANTE_REFRESH_QUEUE_URL is https://sqs.example/refresh (refresh scheduler), not set (refresh worker); REPLICANTE_LEASE is 1m15s (refresh scheduler), 2m30s (refresh worker); next: set them in the template or by its parameters, and deploy; what was changed by hand, change back by hand
        another table:
        bad   refresh worker  REPLICANTE_TABLE is other, and the deployment's is table; next: make them equal: it works for another deployment, in part
        warn  settings        REPLICANTE_TABLE is other (refresh worker), table (refresh scheduler); next: set them in the template or by its parameters, and deploy; what was changed by hand, change back by hand
        a long timeout:
        warn  refresh worker  its timeout of 1m15s is not shorter than a lease of 1m15s; next: lower the function's timeout, or raise REPLICANTE_LEASE: its record is free for another while it works
        ok    settings        those of the functions are the same
        another name, by default:
        bad   refresh worker  REPLICANTE_DEPLOYMENT is local, and the deployment's is prod; next: make them equal: it works for another deployment, in part
        warn  settings        REPLICANTE_DEPLOYMENT is local (refresh worker), prod (refresh scheduler); next: set them in the template or by its parameters, and deploy; what was changed by hand, change back by hand
        told it alone:
        ok    refresh worker  its timeout is 1m, a lease of 1m15s
        warn  settings        REPLICANTE_TICK is 1m (refresh scheduler), 30s (refresh worker); next: set them in the template or by its parameters, and deploy; what was changed by hand, change back by hand
        in other words:
        ok    refresh worker  its timeout is 1m, a lease of 1m15s
        ok    settings        those of the functions are the same
        the default, written out:
        ok    refresh worker  its timeout is 1m, a lease of 1m15s
        ok    settings        those of the functions are the same
        left empty:
        ok    refresh worker  its timeout is 1m, a lease of 1m15s
        ok    settings        those of the functions are the same
        not yet there:
        bad   refresh worker  it can't be invoked: Pending; next: wait until it is active
        ok    settings        those of the functions are the same
        ");
    }

    #[test]
    fn a_function_that_is_not_there_is_bad_and_one_that_may_not_be_looked_at_is_no_more_than_a_warning() {
        let of = |reason: &str, is_missing, is_denied| {
            let error = FunctionError { name: "fn".into(), reason: reason.into(), is_missing, is_denied };
            let mut both = both();
            both[1].function = Err(error);
            let mut checks = checks(&both[1..], &named());
            checks.extend(agree(&both));
            checks.extend(agree(&both[1..]));
            plain(&lines(&checks))
        };
        insta::assert_snapshot!(of("there is none of this name", true, false), @"
        bad   refresh worker  the function fn can't be looked at: there is none of this name; next: bring it back: a deploy that changes nothing of it does not (`aws cloudformation detect-stack-drift`)
        ok    settings        those that could be read are the same, without 1 function
        warn  settings        those of the functions can't be read; next: see above: what is said of leases is what this terminal or the template says
        ");
        insta::assert_snapshot!(of("access denied; it needs x", false, true), @"
        warn  refresh worker  the function fn can't be looked at: access denied; it needs x; next: see the permissions in docs/deploy.md
        ok    settings        those that could be read are the same, without 1 function
        warn  settings        those of the functions can't be read; next: see above: what is said of leases is what this terminal or the template says
        ");
        insta::assert_snapshot!(of("no answer within 10 s", false, false), @"
        warn  refresh worker  the function fn can't be looked at: no answer within 10 s; next: try again: how it is configured is not known
        ok    settings        those that could be read are the same, without 1 function
        warn  settings        those of the functions can't be read; next: see above: what is said of leases is what this terminal or the template says
        ");
        assert_eq!(agree(&[]), None);
    }
}
