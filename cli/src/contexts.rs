//! Contexts: names for deployments, kept in one file of the user. Pure but for reading and writing that file.
//!
//! ```yaml
//! current: here
//! contexts:
//!   here: { data: /srv/replicante }
//!   prod: { stack: replicante, region: eu-central-1, profile: ops }
//!   lab: { stack: replicante-storage, region: us-east-1, endpoint: "http://127.0.0.1:4566" }
//! ```

use std::collections::BTreeMap;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use replicante_aws::Said;
use serde::{Deserialize, Serialize};

use crate::error::CliError;
use crate::view::text::list;

/// Names the file, wherever it is.
const FILE: &str = "REPLICANTE_CONFIG";
/// The most bytes of it.
const MOST: u64 = 1024 * 1024;
/// Names that an error lists.
const NAMES: usize = 20;

/// What the file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contexts {
    /// The one in use, where nothing else is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<String>,
    /// All of them, by name.
    #[serde(default)]
    pub contexts: BTreeMap<String, Context>,
}

/// A deployment: the data folder of a local one, or a stack on AWS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Context {
    /// The data folder of `replicante up`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<PathBuf>,
    /// The CloudFormation stack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<String>,
    /// The stack's region [default: as the environment or the profile says].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The profile of AWS whose credentials are used [default: as the environment says].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Where all services listen, when they are not AWS's own: LocalStack, for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
}

impl Context {
    /// What is wrong with it, if anything is.
    pub fn problem(&self) -> Option<&'static str> {
        let of_aws = self.region.is_some() || self.profile.is_some() || self.endpoint.is_some();
        let is_url = |url: &String| url.starts_with("http://") || url.starts_with("https://");
        match (&self.data, &self.stack) {
            (Some(_), Some(_)) => Some("it has both a data folder and a stack: expected one of them"),
            (None, None) => Some("it has neither a data folder nor a stack: expected one of them"),
            (Some(_), None) if of_aws => Some("region, profile and endpoint go with a stack"),
            _ if self.endpoint.as_ref().is_some_and(|url| !is_url(url)) => {
                Some("its endpoint is no URL: expected http://HOST:PORT or https://HOST")
            }
            _ => None,
        }
    }

    /// What it says of AWS.
    pub fn said(&self) -> Said {
        Said { region: self.region.clone(), profile: self.profile.clone(), endpoint: self.endpoint.clone() }
    }
}

impl Contexts {
    /// Reads the file; none holds none.
    ///
    /// # Errors
    /// When it can't be read, or is wrong: with its name.
    pub fn read(path: &Path) -> Result<Self, CliError> {
        let size = std::fs::metadata(path).map(|file| file.len());
        let text = match size
            .and_then(|size| if size > MOST { Ok(None) } else { std::fs::read_to_string(path).map(Some) })
        {
            Ok(Some(text)) => text,
            Ok(None) => return Err(wrong(path, format!("it is larger than {} KiB", MOST / 1024))),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Contexts::default()),
            Err(error) => return Err(CliError::file("reading", path, error)),
        };
        Self::parse(&text).map_err(|problem| wrong(path, problem))
    }

    fn parse(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Ok(Contexts::default());
        }
        let options = serde_saphyr::options! { with_snippet: false };
        let parsed: Contexts = serde_saphyr::from_str_with_options(text, options)
            .map_err(|error| error.to_string().lines().collect::<Vec<_>>().join(" "))?;
        for (name, context) in &parsed.contexts {
            if let Some(problem) = context.problem() {
                return Err(format!("context `{name}`: {problem}"));
            }
        }
        Ok(parsed)
    }

    /// Writes the file as a whole: whoever reads it meanwhile finds it as it was, or as it is.
    ///
    /// # Errors
    /// When it can't be written; it is as it was then.
    pub fn write(&self, path: &Path) -> Result<(), CliError> {
        let failed = |error| CliError::file("writing", path, error);
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        let text = serde_saphyr::to_string(self).map_err(|error| CliError::Failed(error.to_string()))?;
        let beside = path.with_extension(format!("{}.new", std::process::id()));
        let write = || {
            let mut file = std::fs::File::create(&beside)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&beside, path)
        };
        write().map_err(|error| {
            // What is left of it is of no use.
            let _ = std::fs::remove_file(&beside);
            failed(error)
        })
    }

    /// The context of this name.
    ///
    /// # Errors
    /// When there is none: names those that there are.
    pub fn get(&self, name: &str, path: &Path) -> Result<&Context, CliError> {
        self.contexts.get(name).ok_or_else(|| {
            let there_are = if self.contexts.is_empty() {
                "there are none yet: context add adds one".to_owned()
            } else {
                format!("there are {}", list(self.contexts.keys(), NAMES))
            };
            CliError::Failed(format!("there is no context `{name}` in {}: {there_are}", path.display()))
        })
    }
}

fn wrong(path: &Path, problem: impl std::fmt::Display) -> CliError {
    CliError::Failed(format!("{} is wrong: {problem}", path.display()))
}

/// Where the file is: as `REPLICANTE_CONFIG` says, else in the user's configuration folder.
///
/// # Errors
/// When nothing says where that folder is.
pub fn path() -> Result<PathBuf, CliError> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    path_of(&variable).ok_or_else(|| {
        CliError::Failed(format!("nothing says where contexts are kept: set {FILE} to a file, or HOME"))
    })
}

/// The configuration folder is that of the XDG base directories, on macOS too, as of most command lines; on Windows the
/// one that roams.
fn path_of(variable: &dyn Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    if let Some(file) = variable(FILE) {
        return Some(file);
    }
    // A relative XDG_CONFIG_HOME is to be ignored, its specification says.
    let folder = if cfg!(windows) {
        variable("APPDATA")
    } else {
        let xdg = variable("XDG_CONFIG_HOME").filter(|folder| folder.is_absolute());
        xdg.or_else(|| variable("HOME").map(|home| home.join(".config")))
    };
    folder.map(|folder| folder.join("replicante").join("config.yaml"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "current: here\ncontexts:\n  here: { data: /srv/replicante }\n  \
                        prod: { stack: replicante, region: eu-central-1, profile: ops }\n  \
                        lab: { stack: storage, region: us-east-1, endpoint: \"http://127.0.0.1:4566\" }\n";

    #[test]
    fn contexts_are_read_and_written_as_they_are() {
        let contexts = Contexts::parse(TEXT).unwrap();
        assert_eq!(contexts.contexts["prod"].said().profile.as_deref(), Some("ops"));
        assert_eq!(contexts.contexts["here"].data.as_deref(), Some(Path::new("/srv/replicante")));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/config.yaml");
        assert_eq!(Contexts::read(&path).unwrap(), Contexts::default(), "no file holds none");
        contexts.write(&path).unwrap();
        assert_eq!(Contexts::read(&path).unwrap(), contexts);
        let left = std::fs::read_dir(path.parent().unwrap()).unwrap().count();
        assert_eq!(left, 1, "nothing is left beside it");
        assert_eq!(Contexts::parse("").unwrap(), Contexts::default());
        std::fs::write(&path, vec![b' '; 1024 * 1024 + 1]).unwrap();
        assert!(Contexts::read(&path).unwrap_err().to_string().contains("larger than 1024 KiB"));
    }

    #[test]
    fn what_is_wrong_is_said_with_the_name_of_the_context() {
        let told = |text: &str| Contexts::parse(text).unwrap_err();
        insta::assert_snapshot!(told("contexts:\n  a: { data: d, stack: s }"), @"context `a`: it has both a data folder and a stack: expected one of them");
        insta::assert_snapshot!(told("contexts:\n  a: {}"), @"context `a`: it has neither a data folder nor a stack: expected one of them");
        insta::assert_snapshot!(told("contexts:\n  a: { data: d, region: r }"), @"context `a`: region, profile and endpoint go with a stack");
        insta::assert_snapshot!(told("contexts:\n  a: { stack: s, endpoint: localhost }"), @"context `a`: its endpoint is no URL: expected http://HOST:PORT or https://HOST");
        insta::assert_snapshot!(told("contexts:\n  a: { stak: s }"), @"unknown field `stak`, expected one of data, stack, region, profile, endpoint at line 2, column 8");
        insta::assert_snapshot!(told("contexts: [1"), @"expected mapping start at line 1, column 11");
    }

    #[test]
    fn a_context_that_is_not_there_is_answered_with_those_that_are() {
        let path = Path::new("config.yaml");
        let told = |contexts: &Contexts| contexts.get("prd", path).unwrap_err().to_string();
        insta::assert_snapshot!(told(&Contexts::parse(TEXT).unwrap()), @"there is no context `prd` in config.yaml: there are here, lab and prod");
        insta::assert_snapshot!(told(&Contexts::default()), @"there is no context `prd` in config.yaml: there are none yet: context add adds one");
    }

    #[cfg(not(windows))]
    #[test]
    fn the_file_is_where_the_environment_says_else_in_the_configuration_folder() {
        let at = |set: &[(&str, &str)]| {
            let variable = |name: &str| {
                set.iter().find(|(known, _)| *known == name).map(|(_, value)| PathBuf::from(value))
            };
            path_of(&variable).map(|path| path.display().to_string())
        };
        let home = ("HOME", "/home/me");
        assert_eq!(at(&[home]).unwrap(), "/home/me/.config/replicante/config.yaml");
        assert_eq!(at(&[home, ("XDG_CONFIG_HOME", "/x")]).unwrap(), "/x/replicante/config.yaml");
        assert_eq!(at(&[home, ("XDG_CONFIG_HOME", "x")]).unwrap(), "/home/me/.config/replicante/config.yaml");
        assert_eq!(at(&[home, (FILE, "mine.yaml")]).unwrap(), "mine.yaml");
        assert_eq!(at(&[]), None);
    }
}
