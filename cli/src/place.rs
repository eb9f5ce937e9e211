//! Where the system is that a command talks to: AWS as the environment says, or what `replicante up` runs.
//!
//! In this order:
//!
//! 1. what an option names: `--data DIR`; `--stack NAME`, the outputs of a CloudFormation stack; `--context NAME`, either
//!    of them (`contexts.rs`). Two of these are refused;
//! 2. what the environment of this very shell names: `REPLICANTE_CONTEXT`, `REPLICANTE_STACK`, else a table, a stream or an
//!    endpoint;
//! 3. the context in use, of all shells;
//! 4. the folder `.replicante`, when `up` has written its endpoints there;
//! 5. AWS, when the environment says how to get there.
//!
//! What a context says of AWS goes before the variables of the same meaning. One that names no endpoint is on AWS: a
//! variable that says otherwise is refused, since its commands would reach another system than the one that is named.

use std::collections::BTreeMap;
use std::net::ToSocketAddrs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use replicante_aws::{Account, Clients, Endpoints, Queue, Said, Stream, Table};
use replicante_model::Kind;
use replicante_model::time::parse_human;
use replicante_settings::AddressPolicy;

use crate::contexts::{self, Contexts};
use crate::error::CliError;
use crate::view::style::Tone;
use crate::{out, progress};

/// The data folder, unless said.
pub const DATA: &str = ".replicante";
/// What `up` writes into it.
const ENVIRONMENT: &str = "environment.json";
/// Name of table and stream, unless said.
const NAME: &str = "replicante";
/// Names the stack, unless `--stack` does.
const STACK: &str = "REPLICANTE_STACK";
/// Names the context, unless `--context` does.
const CONTEXT: &str = "REPLICANTE_CONTEXT";
/// The outputs that a stack must have, and the settings that they stand for.
const OUTPUTS: [(&str, &str); 5] = [
    ("TableName", "REPLICANTE_TABLE"),
    ("StreamName", "REPLICANTE_STREAM"),
    ("DiscoveryQueueUrl", "REPLICANTE_DISCOVERY_QUEUE_URL"),
    ("RefreshQueueUrl", "REPLICANTE_REFRESH_QUEUE_URL"),
    ("Deployment", "REPLICANTE_DEPLOYMENT"),
];
/// Outputs that a stack of an earlier release has not: what lacks them is said where they are needed.
const LATER: [(&str, &str); 6] = [
    ("DiscoveryWorkerLogs", "REPLICANTE_DISCOVERY_LOGS"),
    ("RefreshWorkerLogs", "REPLICANTE_REFRESH_LOGS"),
    ("DiscoveryScheduler", "REPLICANTE_DISCOVERY_SCHEDULER"),
    ("RefreshScheduler", "REPLICANTE_REFRESH_SCHEDULER"),
    ("DiscoveryWorker", "REPLICANTE_DISCOVERY_WORKER"),
    ("RefreshWorker", "REPLICANTE_REFRESH_WORKER"),
];
const SERVICES: [&str; 3] = ["AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL_KINESIS", "AWS_ENDPOINT_URL_SQS"];
/// Of what else is asked on behalf of a deployment: its stack, its parameters, its objects, its logs, its functions.
const OTHER_SERVICES: [&str; 5] = [
    "AWS_ENDPOINT_URL_CLOUDFORMATION",
    "AWS_ENDPOINT_URL_SSM",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS",
    "AWS_ENDPOINT_URL_LAMBDA",
];
/// The endpoint of all services.
const ENDPOINT: &str = "AWS_ENDPOINT_URL";
/// How long a local service may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(2);

/// Which system a command talks to.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct PlaceArgs {
    /// Data folder of a running `replicante up` [default: the environment, else .replicante]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// CloudFormation stack of a deployment on AWS, whose outputs name its table, stream and queues [default:
    /// REPLICANTE_STACK, else the environment]
    #[arg(long, value_name = "NAME", conflicts_with = "data")]
    pub stack: Option<String>,
    /// One of the deployments that `replicante context` names [default: REPLICANTE_CONTEXT, else the environment, else
    /// the one in use]
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
}

/// The system that a command talks to.
#[derive(Clone, Debug)]
pub struct Place {
    clients: Clients,
    variables: BTreeMap<String, String>,
    /// Whether the services are those of `replicante up`, on this machine.
    pub local: bool,
    /// The data folder of that `up`, where it is named.
    pub folder: Option<PathBuf>,
}

/// Where the variables are from.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    Environment,
    Stack(String),
    Folder(PathBuf),
    /// A context by name, and whether it is only the one in use.
    Context(String, bool),
}

impl Place {
    /// Finds the system, and checks that something listens where it is said to be.
    ///
    /// # Errors
    /// When nothing says where it is, or nothing listens there.
    pub async fn find(args: &PlaceArgs) -> Result<Self, CliError> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let default = Path::new(DATA).join(ENVIRONMENT).is_file();
        let home = home().is_some_and(|home| home.join(".aws/config").is_file());
        let in_use = || Ok(Contexts::read(&contexts::path()?)?.current);
        progress::say("finding the deployment");
        match source(args, &variable, &in_use, default, home)? {
            Source::Environment => {
                let clients = Clients::of_terminal(&Said::default()).await;
                let variables: BTreeMap<String, String> = std::env::vars().collect();
                check(&variables, None).await?;
                Ok(Place { clients, variables, local: false, folder: None })
            }
            Source::Stack(stack) => Self::of_stack(&stack, &Said::default()).await,
            Source::Folder(folder) => {
                if args.data.is_none() {
                    let folder = folder.display();
                    let note = format!("(from the `replicante up` of the folder {folder})");
                    out::note(Tone::Quiet.paint(&note));
                }
                Self::of_folder(&folder).await
            }
            Source::Context(name, is_in_use) => {
                let path = contexts::path()?;
                let contexts = Contexts::read(&path)?;
                let context = contexts.get(&name, &path)?;
                if is_in_use {
                    out::note(Tone::Quiet.paint(&format!("(from the context in use, {name})")));
                }
                match (&context.data, &context.stack) {
                    (Some(folder), _) => Self::of_folder(folder).await,
                    (None, stack) => {
                        leads_elsewhere(&name, context.endpoint.as_deref(), &variable)?;
                        Self::of_stack(stack.as_deref().unwrap_or_default(), &context.said()).await
                    }
                }
            }
        }
    }

    async fn of_stack(stack: &str, said: &Said) -> Result<Self, CliError> {
        let mut variables: BTreeMap<String, String> = std::env::vars().collect();
        if let Some(endpoint) = &said.endpoint {
            variables.extend(SERVICES.map(|name| (name.to_owned(), endpoint.clone())));
        }
        // Before the stack is asked for: that goes to the same endpoint.
        check(&variables, None).await?;
        let clients = Clients::of_terminal(said).await;
        let outputs = replicante_stack::outputs(&Account::of_terminal(said), stack).await;
        let outputs = outputs.map_err(|error| CliError::Failed(error.to_string()))?;
        // What names another deployment's does not stand in for what this stack does not name.
        for (_, name) in LATER {
            variables.remove(name);
        }
        variables.extend(of_outputs(stack, &outputs)?);
        Ok(Place { clients, variables, local: false, folder: None })
    }

    async fn of_folder(folder: &Path) -> Result<Self, CliError> {
        let (variables, endpoints) = read(folder)?;
        check(&variables, Some(folder)).await?;
        let clients = Clients::local(&endpoints);
        Ok(Place { clients, variables, local: true, folder: Some(folder.to_owned()) })
    }

    /// Clients of its services.
    pub fn clients(&self) -> &Clients {
        &self.clients
    }

    /// Where sources may be, asked from here: as the environment of the functions says; on this machine also loopback.
    ///
    /// # Errors
    /// When a variable is wrong.
    pub fn addresses(&self) -> Result<AddressPolicy, CliError> {
        let value = |name: &str| self.variables.get(name).map(String::as_str).unwrap_or_default();
        let policy = AddressPolicy::parse(
            value("REPLICANTE_ALLOW_NETWORKS"),
            value("REPLICANTE_DENY_NETWORKS"),
            value("REPLICANTE_ALLOW_PORTS"),
            value("REPLICANTE_DENY_PORTS"),
        );
        let policy = policy.map_err(|problem| CliError::Failed(problem.to_string()))?;
        Ok(if self.local { policy.with_loopback() } else { policy })
    }

    /// The table.
    pub fn table(&self) -> Table {
        Table::new(&self.clients, self.name("REPLICANTE_TABLE"))
    }

    /// The stream.
    pub fn stream(&self) -> Stream {
        Stream::new(&self.clients, self.name("REPLICANTE_STREAM"))
    }

    /// The queue of the tasks of one kind of record.
    ///
    /// # Errors
    /// When its URL is not set.
    pub fn queue(&self, kind: Kind) -> Result<Queue, CliError> {
        let name = match kind {
            Kind::Discovery => "REPLICANTE_DISCOVERY_QUEUE_URL",
            Kind::Cluster => "REPLICANTE_REFRESH_QUEUE_URL",
        };
        match self.variables.get(name).filter(|url| !url.is_empty()) {
            Some(url) => Ok(Queue::new(&self.clients, url)),
            None => Err(CliError::Failed(format!(
                "{name} is not set: the URL of the queue of {kind} tasks; the stack's outputs name it"
            ))),
        }
    }

    /// The log group of the worker of one kind of record.
    ///
    /// # Errors
    /// When its name is not set.
    pub fn logs(&self, kind: Kind) -> Result<String, CliError> {
        let name = match kind {
            Kind::Discovery => "REPLICANTE_DISCOVERY_LOGS",
            Kind::Cluster => "REPLICANTE_REFRESH_LOGS",
        };
        self.variable(name).ok_or_else(|| {
            CliError::Failed(format!(
                "{name} is not set: the log group of the worker of {kind} tasks; the stack's outputs name it, from this \
                 release on; of a local deployment name its folder with --data DIR"
            ))
        })
    }

    /// The `source` of the deployment's events.
    ///
    /// # Errors
    /// When nothing says what the deployment is called.
    pub fn source(&self) -> Result<String, CliError> {
        match self.variables.get("REPLICANTE_DEPLOYMENT").filter(|name| !name.is_empty()) {
            Some(name) => Ok(format!("/replicante/{name}")),
            None => Err(CliError::Failed(
                "REPLICANTE_DEPLOYMENT is not set: the name of the deployment, which its events carry; the stack's \
                 outputs name it"
                    .into(),
            )),
        }
    }

    /// How often the schedulers run there: no interval is shorter.
    ///
    /// # Errors
    /// When the variable holds no duration.
    pub fn tick(&self) -> Result<Duration, CliError> {
        self.span("REPLICANTE_TICK", Duration::from_secs(60))
    }

    /// How long a claim holds a record there.
    ///
    /// # Errors
    /// When the variable holds no duration.
    pub fn lease(&self) -> Result<Duration, CliError> {
        self.span("REPLICANTE_LEASE", Duration::from_secs(75))
    }

    /// What is known here of a setting of its functions: all of them where it is local, else what the environment says.
    pub fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).filter(|value| !value.is_empty()).cloned()
    }

    /// What names the deployment and its table, stream and queues, by the variables of the functions, as far as it is known.
    pub fn named(&self) -> BTreeMap<&'static str, String> {
        OUTPUTS.into_iter().filter_map(|(_, name)| Some((name, self.variable(name)?))).collect()
    }

    fn span(&self, name: &str, default: Duration) -> Result<Duration, CliError> {
        match self.variables.get(name).filter(|span| !span.is_empty()) {
            None => Ok(default),
            Some(span) => parse_human(span)
                .map_err(|problem| CliError::Failed(format!("{name} is `{span}`: {problem}"))),
        }
    }

    fn name(&self, variable: &str) -> &str {
        self.variables.get(variable).filter(|name| !name.is_empty()).map_or(NAME, String::as_str)
    }
}

/// The settings that a stack's outputs stand for. Others of its outputs are nobody's business here.
fn of_outputs(stack: &str, outputs: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, CliError> {
    let known = |output: &str| outputs.get(output).filter(|value| !value.is_empty());
    let missing: Vec<&str> =
        OUTPUTS.iter().filter(|(output, _)| known(output).is_none()).map(|(output, _)| *output).collect();
    if !missing.is_empty() {
        let missing = missing.join(", ");
        return Err(CliError::Failed(format!(
            "the stack {stack} has no output {missing}: is it one of Replicante's template, and of this release?"
        )));
    }
    let variable = |(output, name): &(&str, &str)| Some(((*name).to_owned(), known(output)?.clone()));
    Ok(OUTPUTS.iter().chain(&LATER).filter_map(variable).collect())
}

/// Refuses a context on AWS while the environment leads to other endpoints.
fn leads_elsewhere(
    name: &str,
    endpoint: Option<&str>,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<(), CliError> {
    let mut variables = SERVICES.iter().chain(&OTHER_SERVICES).chain([&ENDPOINT]);
    match variables.find_map(|known| Some((known, variable(known)?))) {
        Some((known, url)) if endpoint.is_none() => Err(CliError::Failed(format!(
            "the context {name} is on AWS, and {known} leads to {url}: unset it, or name the endpoint in the context"
        ))),
        _ => Ok(()),
    }
}

/// Decides where the variables are from. `in_use`: the context in use; `default`: the default folder has endpoints;
/// `profile`: AWS is configured in the home folder.
fn source(
    args: &PlaceArgs,
    variable: &dyn Fn(&str) -> Option<String>,
    in_use: &dyn Fn() -> Result<Option<String>, CliError>,
    default: bool,
    profile: bool,
) -> Result<Source, CliError> {
    let named = ["REPLICANTE_TABLE", "REPLICANTE_STREAM", ENDPOINT];
    let aws = ["AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"];
    let set = |names: &[&str]| names.iter().any(|name| variable(name).is_some());
    match args {
        PlaceArgs { context: Some(_), data: Some(_), .. }
        | PlaceArgs { context: Some(_), stack: Some(_), .. } => {
            return Err(CliError::Usage(
                "--context names a deployment, and so do --data and --stack: give one of them".into(),
            ));
        }
        PlaceArgs { data: Some(folder), .. } => return Ok(Source::Folder(folder.clone())),
        PlaceArgs { stack: Some(stack), .. } => return Ok(Source::Stack(stack.clone())),
        PlaceArgs { context: Some(name), .. } => return Ok(Source::Context(name.clone(), false)),
        PlaceArgs { data: None, stack: None, context: None } => {}
    }
    if let Some(name) = variable(CONTEXT) {
        return Ok(Source::Context(name, false));
    }
    if let Some(stack) = variable(STACK) {
        return Ok(Source::Stack(stack));
    }
    if set(&named) || set(&SERVICES) {
        return Ok(Source::Environment);
    }
    if let Some(name) = in_use()? {
        return Ok(Source::Context(name, true));
    }
    match (default, set(&aws) || profile) {
        (true, _) => Ok(Source::Folder(PathBuf::from(DATA))),
        (false, true) => Ok(Source::Environment),
        (false, false) => Err(CliError::Failed(format!(
            "nothing says where Replicante runs: start it here with `{program} up -f FILE`, name its data folder \
             with --data DIR, the stack of a deployment on AWS with --stack NAME, or one of your contexts with --context NAME",
            program = out::program()
        ))),
    }
}

fn home() -> Option<PathBuf> {
    std::env::var_os("HOME").map(PathBuf::from)
}

fn read(folder: &Path) -> Result<(BTreeMap<String, String>, Endpoints), CliError> {
    let path = folder.join(ENVIRONMENT);
    let text = std::fs::read_to_string(&path).map_err(|error| {
        let (path, program) = (path.display(), out::program());
        CliError::Failed(format!(
            "reading {path}: {error}; `{program} up --data {}` writes it",
            folder.display()
        ))
    })?;
    let damaged = |error: serde_json::Error| {
        CliError::Failed(format!("{} is damaged: {error}; the next `up` writes it anew", path.display()))
    };
    let variables = serde_json::from_str(&text).map_err(damaged)?;
    Ok((variables, serde_json::from_str(&text).map_err(damaged)?))
}

/// Checks that something listens at the endpoints that are on this machine: their ports change with each `up`.
async fn check(variables: &BTreeMap<String, String>, folder: Option<&Path>) -> Result<(), CliError> {
    let set = |name: &str| variables.get(name).is_some_and(|url| !url.is_empty());
    // That of all services is asked for those without one of their own.
    let of_all = (!SERVICES.into_iter().all(set)).then_some(ENDPOINT);
    for name in SERVICES.into_iter().chain(of_all) {
        let Some(url) = variables.get(name) else { continue };
        let Some(address) = loopback(url) else { continue };
        let connect = tokio::time::timeout(CONNECT, tokio::net::TcpStream::connect(address)).await;
        if !matches!(connect, Ok(Ok(_))) {
            let said = match folder {
                Some(folder) => format!("{} says so", folder.join(ENVIRONMENT).display()),
                None => format!("{name} says so"),
            };
            return Err(CliError::Failed(format!(
                "nothing listens at {url} ({said}): is `replicante up` running?"
            )));
        }
    }
    Ok(())
}

/// The address of a URL, if it is on this machine.
fn loopback(url: &str) -> Option<std::net::SocketAddr> {
    let host = url.strip_prefix("http://")?.split('/').next()?;
    let mut addresses = host.to_socket_addrs().ok()?;
    addresses.find(|address| address.ip().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(data: Option<&str>, set: &[&str], default: bool) -> Result<Source, CliError> {
        found(&PlaceArgs { data: data.map(PathBuf::from), ..PlaceArgs::default() }, set, default)
    }

    fn found(args: &PlaceArgs, set: &[&str], default: bool) -> Result<Source, CliError> {
        let variable = |name: &str| set.contains(&name).then(|| "x".to_owned());
        source(args, &variable, &|| Ok(None), default, false)
    }

    #[test]
    fn a_context_that_is_named_comes_before_the_environment_and_the_one_in_use_after_it() {
        let named = PlaceArgs { context: Some("prod".into()), ..PlaceArgs::default() };
        let with = |args: &PlaceArgs, set: &[&str]| {
            let variable = |name: &str| set.contains(&name).then(|| "x".to_owned());
            source(args, &variable, &|| Ok(Some("here".into())), true, false).unwrap()
        };
        let context = |name: &str, in_use| Source::Context(name.into(), in_use);
        assert_eq!(with(&named, &["REPLICANTE_CONTEXT", "REPLICANTE_STACK"]), context("prod", false));
        let none = PlaceArgs::default();
        assert_eq!(with(&none, &["REPLICANTE_CONTEXT", "REPLICANTE_STACK"]), context("x", false));
        assert_eq!(with(&none, &["REPLICANTE_STACK"]), Source::Stack("x".into()));
        assert_eq!(with(&none, &["AWS_ENDPOINT_URL_SQS"]), Source::Environment);
        assert_eq!(with(&none, &["AWS_REGION"]), context("here", true), "before the default folder");
        for other in ["data", "stack"] {
            let mut both = named.clone();
            match other {
                "data" => both.data = Some("d".into()),
                _ => both.stack = Some("s".into()),
            }
            let refused = found(&both, &[], true).unwrap_err();
            assert_eq!(refused.exit_code(), 2, "--context and --{other}");
        }
        // Of a file that is wrong nobody hears who does not need it.
        let broken = || Err(CliError::Failed("wrong".into()));
        let stack = |name: &str| (name == STACK).then(|| "x".to_owned());
        assert_eq!(source(&none, &stack, &broken, true, false).unwrap(), Source::Stack("x".into()));
        assert!(source(&none, &|_| None, &broken, true, false).is_err());
    }

    #[test]
    fn a_context_on_aws_is_refused_where_the_environment_leads_elsewhere() {
        let set = |name: &str| (name == "AWS_ENDPOINT_URL_SQS").then(|| "http://127.0.0.1:9".to_owned());
        let refused = leads_elsewhere("prod", None, &set).unwrap_err().to_string();
        insta::assert_snapshot!(refused, @"the context prod is on AWS, and AWS_ENDPOINT_URL_SQS leads to http://127.0.0.1:9: unset it, or name the endpoint in the context");
        // So is one whose stack would be looked up elsewhere.
        let stack =
            |name: &str| (name == "AWS_ENDPOINT_URL_CLOUDFORMATION").then(|| "http://127.0.0.1:9".into());
        assert!(leads_elsewhere("prod", None, &stack).is_err());
        assert!(leads_elsewhere("prod", Some("http://127.0.0.1:4566"), &set).is_ok());
        assert!(leads_elsewhere("prod", None, &|_| None).is_ok());
    }

    #[test]
    fn a_stack_comes_before_the_environment_and_the_one_that_is_named_before_its_variable() {
        let named = PlaceArgs { stack: Some("prod".into()), ..PlaceArgs::default() };
        let set = ["REPLICANTE_STACK", "REPLICANTE_TABLE", "AWS_ENDPOINT_URL"];
        assert_eq!(found(&named, &set, true).unwrap(), Source::Stack("prod".into()));
        assert_eq!(find(None, &set, true).unwrap(), Source::Stack("x".into()));
        assert_eq!(find(Some("d"), &set, true).unwrap(), Source::Folder("d".into()));
    }

    #[test]
    fn a_stack_without_the_outputs_of_the_template_is_refused_with_what_it_lacks() {
        let outputs = |names: &[&str]| -> BTreeMap<String, String> {
            names.iter().map(|name| ((*name).to_owned(), format!("the {name}"))).collect()
        };
        let all =
            ["TableName", "StreamName", "DiscoveryQueueUrl", "RefreshQueueUrl", "Deployment", "Dashboard"];
        let variables = of_outputs("prod", &outputs(&all)).unwrap();
        assert_eq!(variables["REPLICANTE_TABLE"], "the TableName");
        assert_eq!(variables.len(), 5);
        let later = outputs(&[&all[..], &["RefreshWorker"]].concat());
        assert_eq!(of_outputs("prod", &later).unwrap()["REPLICANTE_REFRESH_WORKER"], "the RefreshWorker");
        let error = of_outputs("prod", &outputs(&all[..3])).unwrap_err().to_string();
        insta::assert_snapshot!(error, @"the stack prod has no output RefreshQueueUrl, Deployment: is it one of Replicante's template, and of this release?");
    }

    #[test]
    fn the_folder_that_is_named_comes_first_then_the_environment_then_the_default_folder() {
        let folder = |name: &str| Source::Folder(PathBuf::from(name));
        assert_eq!(find(Some("d"), &["REPLICANTE_TABLE"], true).unwrap(), folder("d"));
        assert_eq!(find(None, &["REPLICANTE_TABLE"], true).unwrap(), Source::Environment);
        assert_eq!(find(None, &["AWS_ENDPOINT_URL_KINESIS"], true).unwrap(), Source::Environment);
        assert_eq!(find(None, &["AWS_REGION"], true).unwrap(), folder(".replicante"));
        assert_eq!(find(None, &["AWS_REGION"], false).unwrap(), Source::Environment);
    }

    #[test]
    fn who_says_nothing_is_told_what_to_say() {
        let error = find(None, &[], false).unwrap_err().to_string();
        assert!(error.contains("up -f FILE") && error.contains("--stack NAME"), "{error}");
    }

    #[tokio::test]
    async fn endpoints_that_nobody_listens_at_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let variables: BTreeMap<String, String> =
            SERVICES.iter().map(|name| ((*name).to_owned(), url.clone())).collect();
        let json = serde_json::to_string(&variables).unwrap();
        std::fs::write(folder.path().join(ENVIRONMENT), json).unwrap();
        let args = PlaceArgs { data: Some(folder.path().to_owned()), ..PlaceArgs::default() };
        assert!(Place::find(&args).await.is_ok_and(|place| place.local));
        drop(listener);
        // Where nothing listens, and no other process of this machine will.
        let url = "http://127.0.0.1:1";
        let gone = serde_json::json!({
            "AWS_ENDPOINT_URL_DYNAMODB": url, "AWS_ENDPOINT_URL_KINESIS": url, "AWS_ENDPOINT_URL_SQS": url,
        });
        std::fs::write(folder.path().join(ENVIRONMENT), gone.to_string()).unwrap();
        let error = Place::find(&args).await.map(|_| ()).unwrap_err().to_string();
        assert!(error.starts_with(&format!("nothing listens at {url}")), "{error}");
        // The endpoint of all services is none of its services' own.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let own = format!("http://{}", listener.local_addr().unwrap());
        let mut variables = BTreeMap::from([(ENDPOINT.to_owned(), url.to_owned())]);
        let refused = check(&variables, None).await.unwrap_err().to_string();
        insta::assert_snapshot!(refused, @"nothing listens at http://127.0.0.1:1 (AWS_ENDPOINT_URL says so): is `replicante up` running?");
        variables.extend(SERVICES[1..].iter().map(|name| ((*name).to_owned(), own.clone())));
        assert!(check(&variables, None).await.is_err(), "one has none");
        variables.insert(SERVICES[0].to_owned(), own);
        assert!(check(&variables, None).await.is_ok());
        assert!(error.ends_with("is `replicante up` running?"), "{error}");
    }
}
