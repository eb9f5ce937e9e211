//! Whether the functions of a deployment on AWS are configured as it must be.

use std::collections::{BTreeMap, BTreeSet};

use replicante_model::time::human;
use replicante_settings::{Settings, SettingsError};
use replicante_stack::{Function, FunctionError};

use super::Check;

/// What every function's variables of the product begin with.
const OURS: &str = "REPLICANTE_";

/// A function of the deployment, and what was found of it.
#[derive(Clone, Debug)]
pub struct Configured {
    /// What it is for: `refresh worker`.
    pub what: &'static str,
    /// Whether it claims records.
    pub is_worker: bool,
    /// How it is configured.
    pub function: Result<Function, FunctionError>,
}

impl Configured {
    /// Its variables, as far as they can be read.
    pub fn variables(&self) -> Option<&BTreeMap<String, String>> {
        self.function.as_ref().ok()?.variables.as_ref().ok()
    }
}

/// One check for each. `named`: what the deployment's table, stream, queues and name are, by the variables of the functions.
pub fn checks(found: &[Configured], named: &BTreeMap<&str, String>) -> Vec<Check> {
    found.iter().map(|found| check(found, named)).collect()
}

fn check(found: &Configured, named: &BTreeMap<&str, String>) -> Check {
    let function = match &found.function {
        Ok(function) => function,
        Err(error) if error.is_missing => {
            let next = "deploy the stack again: nothing else does its work";
            return Check::bad(found.what, error.to_string(), next);
        }
        Err(error) => {
            let next = "how it is configured is not known here: see the permissions in docs/deploy.md";
            return Check::warn(found.what, error.to_string(), next);
        }
    };
    if let Some(why) = &function.unusable {
        let next = "wait while it is pending, else deploy it again: nothing invokes it meanwhile";
        return Check::bad(found.what, format!("it can't be invoked: {why}"), next);
    }
    let variables = match &function.variables {
        Ok(variables) => variables,
        Err(code) => {
            let next = "they may be encrypted with a key that these credentials may not use: kms:Decrypt";
            return Check::warn(found.what, format!("its variables can't be read: {code}"), next);
        }
    };
    let settings = match Settings::read(&|name| variables.get(name).cloned()) {
        Ok(settings) => settings,
        Err(error) => {
            let next = match &error {
                SettingsError::Missing { .. } => "set it: without it the function does not start",
                SettingsError::Refused { .. } => "correct it: with it the function does not start",
            };
            return Check::bad(found.what, error.to_string(), next);
        }
    };
    let other = named.iter().find_map(|(name, expected)| {
        let value = variables.get(*name)?;
        (value != expected).then(|| format!("{name} is {value}, and the deployment's is {expected}"))
    });
    if let Some(other) = other {
        return Check::bad(found.what, other, "make them equal: it works on another deployment's records");
    }
    let (timeout, lease) = (human(function.timeout), human(settings.lease));
    if found.is_worker && function.timeout >= settings.lease {
        let next = "lower the function's timeout, or raise REPLICANTE_LEASE: its record is free for another while it works";
        return Check::warn(
            found.what,
            format!("its timeout of {timeout} is not shorter than a lease of {lease}"),
            next,
        );
    }
    if let Some(why) = &function.not_updated {
        let next = "deploy it again: it runs as it was before";
        return Check::warn(found.what, format!("its last update is not in effect: {why}"), next);
    }
    let lease = if found.is_worker { format!(", a lease of {lease}") } else { String::new() };
    Check::ok(found.what, format!("its timeout is {timeout}{lease}"))
}

/// Whether their settings are the same, where more than one can be read.
pub fn agree(found: &[Configured]) -> Option<Check> {
    let read: Vec<_> = found.iter().filter_map(|found| Some((found.what, found.variables()?))).collect();
    let names: BTreeSet<&String> = read.iter().flat_map(|(_, variables)| variables.keys()).collect();
    let [(first, own), others @ ..] = read.as_slice() else { return None };
    if others.is_empty() {
        return None;
    }
    let shown = |value: Option<&String>| value.map_or_else(|| "not set".to_owned(), Clone::clone);
    let differs = |name: &&String| {
        let (what, variables) =
            others.iter().find(|(_, variables)| variables.get(*name) != own.get(*name))?;
        let (one, other) = (shown(own.get(*name)), shown(variables.get(*name)));
        Some(format!("{name} is {one} for the {first}, {other} for the {what}"))
    };
    let differences: Vec<String> =
        names.iter().filter(|name| name.starts_with(OURS)).filter_map(differs).collect();
    Some(if differences.is_empty() {
        Check::ok("settings", "those of the functions are the same")
    } else {
        let next = "set them by the stack's parameters, and deploy: what a function is told alone is lost with the next";
        Check::warn("settings", differences.join("; "), next)
    })
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

    /// A worker and a scheduler, as the template makes them.
    fn both() -> [Configured; 2] {
        [("refresh scheduler", 55, false), ("refresh worker", 60, true)].map(|(what, timeout, is_worker)| {
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
            Configured { what, is_worker, function: Ok(function) }
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
            ("told it alone", told(with("REPLICANTE_TICK", "30s"))),
            ("not of ours", told(with("RUST_BACKTRACE", "1"))),
        ];
        let told: Vec<String> = told.iter().map(|(case, told)| format!("{case}:\n{told}")).collect();
        insta::assert_snapshot!(told.join("\n"), @"
        can't be invoked:
        bad   refresh worker  it can't be invoked: Failed: The KMS key is disabled; next: wait while it is pending, else deploy it again: nothing invokes it meanwhile
        ok    settings        those of the functions are the same
        not updated:
        warn  refresh worker  its last update is not in effect: Failed: no more addresses; next: deploy it again: it runs as it was before
        ok    settings        those of the functions are the same
        encrypted:
        warn  refresh worker  its variables can't be read: AccessDeniedException; next: they may be encrypted with a key that these credentials may not use: kms:Decrypt
        a wrong value:
        bad   refresh worker  REPLICANTE_LEASE is `soon`: `soon` is no duration: expected a whole number and a unit, like 500ms, 30s, 5m, 1h30m or 2d. How long a claim holds a record: longer than the workers' timeout, shorter than the visibility timeout. 1s to 20m.; next: correct it: with it the function does not start
        warn  settings        REPLICANTE_LEASE is 75s for the refresh scheduler, soon for the refresh worker; next: set them by the stack's parameters, and deploy: what a function is told alone is lost with the next
        a lease too long:
        bad   refresh worker  REPLICANTE_LEASE is `3m`: it is not shorter than REPLICANTE_VISIBILITY_TIMEOUT (3m). How long a claim holds a record: longer than the workers' timeout, shorter than the visibility timeout. 1s to 20m.; next: correct it: with it the function does not start
        warn  settings        REPLICANTE_LEASE is 75s for the refresh scheduler, 180s for the refresh worker; next: set them by the stack's parameters, and deploy: what a function is told alone is lost with the next
        nothing set:
        bad   refresh worker  REPLICANTE_TABLE is not set: Name of the DynamoDB table.; next: set it: without it the function does not start
        warn  settings        REPLICANTE_DEPLOYMENT is prod for the refresh scheduler, not set for the refresh worker; REPLICANTE_DISCOVERY_QUEUE_URL is https://sqs.example/discovery for the refresh scheduler, not set for the refresh worker; REPLICANTE_LEASE is 75s for the refresh scheduler, not set for the refresh worker; REPLICANTE_REFRESH_QUEUE_URL is https://sqs.example/refresh for the refresh scheduler, not set for the refresh worker; REPLICANTE_STREAM is stream for the refresh scheduler, not set for the refresh worker; REPLICANTE_TABLE is table for the refresh scheduler, not set for the refresh worker; REPLICANTE_VISIBILITY_TIMEOUT is 180s for the refresh scheduler, not set for the refresh worker; next: set them by the stack's parameters, and deploy: what a function is told alone is lost with the next
        another table:
        bad   refresh worker  REPLICANTE_TABLE is other, and the deployment's is table; next: make them equal: it works on another deployment's records
        warn  settings        REPLICANTE_TABLE is table for the refresh scheduler, other for the refresh worker; next: set them by the stack's parameters, and deploy: what a function is told alone is lost with the next
        a long timeout:
        warn  refresh worker  its timeout of 1m15s is not shorter than a lease of 1m15s; next: lower the function's timeout, or raise REPLICANTE_LEASE: its record is free for another while it works
        ok    settings        those of the functions are the same
        told it alone:
        ok    refresh worker  its timeout is 1m, a lease of 1m15s
        warn  settings        REPLICANTE_TICK is not set for the refresh scheduler, 30s for the refresh worker; next: set them by the stack's parameters, and deploy: what a function is told alone is lost with the next
        not of ours:
        ok    refresh worker  its timeout is 1m, a lease of 1m15s
        ok    settings        those of the functions are the same
        ");
    }

    #[test]
    fn a_function_that_is_not_there_is_bad_and_one_that_may_not_be_looked_at_is_no_more_than_a_warning() {
        let of = |reason: &str, is_missing| {
            let error = FunctionError { name: "fn".into(), reason: reason.into(), is_missing };
            let found = Configured { what: "refresh worker", is_worker: true, function: Err(error) };
            assert_eq!(agree(std::slice::from_ref(&found)), None);
            plain(&lines(&checks(&[found], &named())))
        };
        insta::assert_snapshot!(of("there is none of this name in this account and region", true), @"bad   refresh worker  the function fn can't be looked at: there is none of this name in this account and region; next: deploy the stack again: nothing else does its work");
        insta::assert_snapshot!(of("access denied; it needs lambda:GetFunctionConfiguration on the function", false), @"warn  refresh worker  the function fn can't be looked at: access denied; it needs lambda:GetFunctionConfiguration on the function; next: how it is configured is not known here: see the permissions in docs/deploy.md");
    }
}
