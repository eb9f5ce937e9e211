//! `context`: names for deployments.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::contexts::{Context, Contexts, path};
use crate::error::CliError;
use crate::out::{self, Output};
use crate::view::table::{Cell, table};

/// Values of `context`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    replicante context add here --data .replicante\n  \
    replicante context add prod --stack replicante --region eu-central-1 --profile ops\n  \
    replicante context add lab --stack replicante --region us-east-1 --endpoint http://127.0.0.1:4566\n  \
    replicante status --context prod         one command on it\n  \
    replicante context use prod              ... all that follow, in every shell\n  \
    replicante context list\n\n\
    A command talks to the first of these that there is: --data, --stack or --context;\n\
    REPLICANTE_CONTEXT; REPLICANTE_STACK; a table, stream or endpoint that the environment\n\
    names; the context in use; the folder .replicante; AWS.\n\
    Kept in ~/.config/replicante/config.yaml ($XDG_CONFIG_HOME; on Windows %APPDATA%), or in\n\
    the file that REPLICANTE_CONFIG names. It is written anew: comments in it are not kept.")]
pub struct ContextArgs {
    /// What to do
    #[command(subcommand)]
    pub what: What,
}

/// What can be done with contexts.
#[derive(Debug, Subcommand)]
pub enum What {
    /// Lists them, with the one in use
    List(ListArgs),
    /// Uses one from now on, where nothing else is named
    Use(UseArgs),
    /// Adds one
    Add(AddArgs),
    /// Removes one; what it names is left alone
    Remove(RemoveArgs),
}

/// Values of `context list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// How to show them
    #[arg(short, long, value_enum, default_value = "table")]
    pub output: Output,
}

/// Values of `context use`.
#[derive(Debug, Args)]
pub struct UseArgs {
    /// Its name
    #[arg(required_unless_present = "none")]
    pub name: Option<String>,
    /// None of them
    #[arg(long, conflicts_with = "name")]
    pub none: bool,
}

/// Values of `context add`.
#[derive(Debug, Args)]
pub struct AddArgs {
    /// Its name
    #[arg(value_parser = name)]
    pub name: String,
    /// Data folder of `replicante up`
    #[arg(long, value_name = "DIR", required_unless_present = "stack", conflicts_with = "stack")]
    pub data: Option<PathBuf>,
    /// CloudFormation stack of a deployment on AWS
    #[arg(long, value_name = "NAME")]
    pub stack: Option<String>,
    /// Region of the stack [default: as the environment or the profile says]
    #[arg(long, value_name = "NAME", requires = "stack")]
    pub region: Option<String>,
    /// Profile of AWS whose credentials are used [default: as the environment says]
    #[arg(long, value_name = "NAME", requires = "stack")]
    pub profile: Option<String>,
    /// Where all services listen when they are not AWS's own, as with LocalStack
    #[arg(long, value_name = "URL", requires = "stack")]
    pub endpoint: Option<String>,
    /// Takes the place of the one of this name
    #[arg(long)]
    pub replace: bool,
}

/// Values of `context remove`.
#[derive(Debug, Args)]
pub struct RemoveArgs {
    /// Its name
    pub name: String,
}

fn name(text: &str) -> Result<String, String> {
    let is_fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if text.is_empty() || text.len() > 63 || !text.chars().all(is_fine) {
        return Err("expected at most 63 letters, digits, hyphens, underscores and dots".into());
    }
    Ok(text.to_owned())
}

/// Runs the command.
///
/// # Errors
/// When the file can't be read or written, or holds no such context.
pub fn run(args: ContextArgs) -> Result<(), CliError> {
    let path = path()?;
    let mut contexts = Contexts::read(&path)?;
    let done = match args.what {
        What::List(args) => return list(&contexts, args.output),
        What::Use(UseArgs { name: None, .. }) => {
            contexts.current = None;
            "no context is in use".to_owned()
        }
        What::Use(UseArgs { name: Some(name), .. }) => {
            contexts.get(&name, &path)?;
            let done = format!("context {name} is in use");
            contexts.current = Some(name);
            done
        }
        What::Add(args) => add(&mut contexts, args)?,
        What::Remove(RemoveArgs { name }) => {
            contexts.get(&name, &path)?;
            contexts.contexts.remove(&name);
            let was_in_use = contexts.current.take_if(|current| *current == name).is_some();
            let rest = if was_in_use { ": no context is in use" } else { "" };
            format!("context {name} removed{rest}")
        }
    };
    contexts.write(&path)?;
    out::line(done)
}

fn add(contexts: &mut Contexts, args: AddArgs) -> Result<String, CliError> {
    let name = args.name;
    // Whoever uses it may be in another folder.
    let data = args
        .data
        .map(|folder| std::path::absolute(&folder).map_err(|error| CliError::file("finding", folder, error)));
    let context = Context {
        data: data.transpose()?,
        stack: args.stack,
        region: args.region,
        profile: args.profile,
        endpoint: args.endpoint,
    };
    if let Some(problem) = context.problem() {
        return Err(CliError::Usage(format!("context `{name}`: {problem}")));
    }
    let known = contexts.contexts.get(&name);
    if known.is_some() && !args.replace && known != Some(&context) {
        return Err(CliError::Failed(format!(
            "there is a context `{name}`, and it is another one: --replace puts this in its place"
        )));
    }
    let what = if known.is_some() { "replaced" } else { "added" };
    contexts.contexts.insert(name.clone(), context);
    Ok(format!("context {name} {what}"))
}

fn list(contexts: &Contexts, output: Output) -> Result<(), CliError> {
    if output.wrote(|| as_json(contexts))? {
        return Ok(());
    }
    if contexts.contexts.is_empty() {
        out::note(format_args!("no contexts yet: `{} context add` adds one", out::program()));
        return Ok(());
    }
    lines(contexts).into_iter().try_for_each(out::line)
}

fn as_json(contexts: &Contexts) -> Value {
    let one = |(name, context): (&String, &Context)| {
        let mut told = json!(context);
        told["name"] = json!(name);
        told["in_use"] = json!(contexts.current.as_ref() == Some(name));
        told
    };
    contexts.contexts.iter().map(one).collect()
}

fn lines(contexts: &Contexts) -> Vec<String> {
    let row = |(name, context): (&String, &Context)| {
        let place = match (&context.data, &context.stack) {
            (Some(folder), _) => format!("data folder {}", folder.display()),
            (None, stack) => format!("stack {}", stack.as_deref().unwrap_or("-")),
        };
        let word = |value: &Option<String>| Cell::text(value.as_deref().unwrap_or("-"));
        vec![
            Cell::text(if contexts.current.as_ref() == Some(name) { "*" } else { "" }),
            Cell::text(name),
            Cell::text(place),
            word(&context.region),
            word(&context.profile),
            word(&context.endpoint),
        ]
    };
    let rows: Vec<Vec<Cell>> = contexts.contexts.iter().map(row).collect();
    table(&["USED", "CONTEXT", "PLACE", "REGION", "PROFILE", "ENDPOINT"], &rows, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::given::{plain, written};

    #[test]
    fn contexts_are_listed_with_the_one_in_use() {
        let (here, prod) = (
            Context { data: Some("/srv/replicante".into()), ..Context::default() },
            Context {
                stack: Some("replicante".into()),
                region: Some("eu-central-1".into()),
                profile: Some("ops".into()),
                ..Context::default()
            },
        );
        let contexts = Contexts {
            current: Some("prod".into()),
            contexts: [("here".to_owned(), here), ("prod".to_owned(), prod)].into(),
        };
        insta::assert_snapshot!(plain(&lines(&contexts)), @"
        USED  CONTEXT  PLACE                        REGION        PROFILE  ENDPOINT
              here     data folder /srv/replicante  -             -        -
        *     prod     stack replicante             eu-central-1  ops      -
        ");
        insta::assert_snapshot!(written(&as_json(&contexts)).0, @r#"
        [
          {
            "data": "/srv/replicante",
            "in_use": false,
            "name": "here"
          },
          {
            "in_use": true,
            "name": "prod",
            "profile": "ops",
            "region": "eu-central-1",
            "stack": "replicante"
          }
        ]
        "#);
    }
}
