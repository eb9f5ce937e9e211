//! The environment of a function: what the template sets, as variables.

use std::collections::BTreeMap;
use std::path::PathBuf;

use futures::FutureExt;
use replicante_local::Local;
use replicante_model::time::human;
use replicante_settings::{AddressPolicy, Settings};

use crate::system::Failure;

/// Where the bootstraps are: `FUNCTION/bootstrap` below this folder, as cargo-lambda leaves them.
const FOLDER: &str = "REPLICANTE_TEST_BOOTSTRAPS";
const TEMPLATE: &str = include_str!("../../../template.yaml");
/// Everything that is not denied by itself, and loopback.
const WITH_LOOPBACK: &str = "0.0.0.0/0,::/0,127.0.0.0/8,::1/128";

/// The folder of the bootstraps, where the environment names one.
///
/// # Errors
/// When a bootstrap is missing in it.
pub fn folder() -> Result<Option<PathBuf>, Failure> {
    let Some(folder) = std::env::var_os(FOLDER).filter(|value| !value.is_empty()) else { return Ok(None) };
    let folder = PathBuf::from(folder);
    for function in super::Function::ALL {
        let path = folder.join(function.name()).join("bootstrap");
        if !path.is_file() {
            return Err(format!("{FOLDER}: there is no {}", path.display()).into());
        }
    }
    Ok(Some(folder))
}

/// The settings of the template, with those of `local` in their place, and its services.
///
/// # Errors
/// When a setting was changed that this does not write back as a variable.
pub fn environment(local: &Local) -> Result<BTreeMap<String, String>, Failure> {
    let Settings { readings_age, back_off, observer_hold, secrets_age, addresses, .. } = &local.settings;
    let mut environment = template()?;
    environment.extend(local.environment.clone());
    let mut set = |name: &str, value: String| environment.insert(name.into(), value);
    set("REPLICANTE_CONCURRENCY", local.settings.concurrency.to_string());
    set("REPLICANTE_POLLS_PER_CLUSTER", local.settings.polls_per_cluster.to_string());
    set("REPLICANTE_POLLS_PER_FUNCTION", local.settings.polls_per_function.to_string());
    set("REPLICANTE_READINGS_AGE", human(*readings_age));
    set("REPLICANTE_BACK_OFF", human(*back_off));
    set("REPLICANTE_OBSERVER_HOLD", human(*observer_hold));
    set("REPLICANTE_SECRETS_AGE", human(*secrets_age));
    if *addresses == AddressPolicy::local() {
        set("REPLICANTE_ALLOW_NETWORKS", WITH_LOOPBACK.into());
    } else if *addresses != AddressPolicy::default() {
        return Err(format!("no variables say {addresses:?}").into());
    }
    // An account that was given is known at once.
    let ssm = local.clients.account().config("SSM").now_or_never();
    if let Some(url) = ssm.as_ref().and_then(|config| config.endpoint_url()) {
        set("AWS_ENDPOINT_URL_SSM", url.into());
    }
    // Lambda gives them itself.
    for name in ["AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_EC2_METADATA_DISABLED"] {
        environment.remove(name);
    }
    let read = Settings::read(&|name| environment.get(name).cloned())?;
    let (read, meant) = (Settings { addresses: addresses.clone(), ..read }, &local.settings);
    if format!("{read:?}") != format!("{meant:?}") {
        return Err(format!("no variables say {meant:?}, but only {read:?}").into());
    }
    Ok(environment)
}

/// The variables of the template. One that it takes from elsewhere is empty.
fn template() -> Result<BTreeMap<String, String>, Failure> {
    let from = TEMPLATE.split_once("      Variables:\n").map(|(_, from)| from);
    let block = from.and_then(|from| from.split_once("\n\n")).ok_or("the template sets no variables")?.0;
    let variable = |line: &str| {
        let (name, value) = line.trim().split_once(": ")?;
        let value = if value.starts_with('!') { "" } else { value.trim_matches('"') };
        Some((name.to_owned(), value.to_owned()))
    };
    block.lines().map(variable).collect::<Option<_>>().ok_or_else(|| format!("no variables: {block}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_sets_what_a_function_needs() {
        let variables = template().unwrap();
        assert_eq!(variables["REPLICANTE_LEASE"], "75s");
        assert_eq!(variables["REPLICANTE_MAX_RECEIVE_COUNT"], "5");
        assert_eq!(variables["REPLICANTE_TABLE"], "");
        assert!(variables.keys().all(|name| name.starts_with("REPLICANTE_")), "{variables:?}");
    }
}
