//! What is wrong with a file of objects, as the operator reads it.

/// One error of a file: where it is, and what is wrong.
///
/// Its text is for people: `fleet.yaml:7: unknown field `spec.intervall`; did you mean `interval`?`. It never holds
/// the value of a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {problem}")]
pub struct ObjectError {
    /// The file's name as the caller gave it.
    pub file: String,
    /// The line, from 1.
    pub line: u64,
    /// What is wrong, and what was expected.
    pub problem: Problem,
}

/// What is wrong with an object. Fields are paths from the object's root, like `spec.source.http.url`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The file is larger than what is read.
    #[error("the file has {bytes} bytes; expected at most {most}: split it, each file is applied by itself")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The most that is read.
        most: usize,
    },
    /// The file holds no document at all.
    #[error("the file holds no object; expected at least one with apiVersion, kind, metadata and spec")]
    Empty,
    /// Neither YAML nor JSON, or more of it than is sane.
    #[error("this is no readable YAML or JSON: {0}; nothing after it was looked at")]
    Syntax(String),
    /// A field that does not exist.
    #[error("unknown field `{field}`; {}", known_fields(.nearest, .known))]
    UnknownField {
        /// Its path.
        field: String,
        /// The field that was probably meant.
        nearest: Option<&'static str>,
        /// The fields that exist there.
        known: Vec<&'static str>,
    },
    /// A field given more than once.
    #[error("`{field}` is given again, first in line {first}; expected it once")]
    RepeatedField {
        /// Its path.
        field: String,
        /// Where it stands first.
        first: u64,
    },
    /// A field that must be there.
    #[error("`{field}` is missing; expected {expected}")]
    Missing {
        /// Its path.
        field: String,
        /// What it should hold.
        expected: String,
    },
    /// A value that is not allowed.
    #[error("`{field}` is {value}; expected {expected}")]
    BadValue {
        /// The field's path.
        field: String,
        /// The value, cut, or what kind of thing it is. Secrets are never shown.
        value: String,
        /// What is allowed.
        expected: String,
    },
    /// A secret that stands in the object itself.
    #[error("`{field}` holds a secret in the open; expected a reference to it: {expected}")]
    SecretInTheOpen {
        /// The field's path.
        field: String,
        /// The references that are allowed there.
        expected: &'static str,
    },
    /// A source that is not exactly one.
    #[error("`spec.source` names {}; expected exactly one of {}", none_or(.found), .known.join(", "))]
    NotOneSource {
        /// The sources it names.
        found: Vec<String>,
        /// The sources that exist.
        known: Vec<&'static str>,
    },
    /// The same object twice in one file.
    #[error("{object} is given again, first in line {first}; expected each object once")]
    RepeatedObject {
        /// Kind, namespace and name.
        object: String,
        /// Where it stands first.
        first: u64,
    },
}

fn known_fields(nearest: &Option<&'static str>, known: &[&'static str]) -> String {
    match nearest {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => format!("expected one of {}", known.join(", ")),
    }
}

fn none_or(found: &[String]) -> String {
    match found {
        [] => "no source".into(),
        found => format!("{} sources, {}", found.len(), found.join(" and ")),
    }
}
