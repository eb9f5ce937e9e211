//! References to secrets and to other material that is kept out of objects.

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::classify::lacks_descriptors;
use crate::secrets::Secret;

/// The largest file that is read: a bundle of all public authorities has 220 KiB.
const MAX_FILE: u64 = 1024 * 1024;

/// Where a secret is, never the secret itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// `env:NAME`: an environment variable of the process.
    Env(String),
    /// `file:/path`: a file that the process can read. Its whole content counts.
    File(PathBuf),
    /// `ssm:/name`: a parameter of AWS Systems Manager.
    Ssm(String),
}

/// Why a reference gave nothing. No text holds the secret, nor what was written in a reference's place: that
/// may be a secret by mistake.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// The text is no reference.
    #[error("not a reference: expected env:NAME, file:/path or ssm:/name, never the value itself")]
    NotAReference,
    /// Nobody here reads parameters of Systems Manager.
    #[error("ssm:{0} can't be read here: use env:NAME or file:/path")]
    NoStore(String),
    /// The parameter can't be read.
    #[error("ssm:{name} can't be read: {problem}")]
    Parameter {
        /// Its name.
        name: String,
        /// Why, in words of the store's adapter: see [`StoreError`](crate::StoreError).
        problem: String,
    },
    /// The variable is not set, or empty, or no text.
    #[error("env:{0} is not set: set the variable in the environment of the function")]
    NotSet(String),
    /// The file can't be read.
    #[error("file:{path} can't be read: {problem}")]
    Unreadable {
        /// The file.
        path: String,
        /// The kind of I/O error, like `entity not found`, or what is wrong with the file.
        problem: String,
    },
    /// The process has no descriptor left to open the file with. That says nothing of the file.
    #[error("file:{0} can't be read: too many open files")]
    OutOfDescriptors(String),
}

impl Reference {
    /// Recognises a reference. Nothing is read: that a reference to Systems Manager is well formed says
    /// nothing of whether it can be read.
    ///
    /// # Errors
    /// [`ReferenceError::NotAReference`].
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        match text.split_once(':') {
            Some((_, "")) | None => Err(ReferenceError::NotAReference),
            Some(("env", name)) => Ok(Reference::Env(name.to_owned())),
            Some(("file", path)) => Ok(Reference::File(path.strip_prefix("//").unwrap_or(path).into())),
            Some(("ssm", name)) => Ok(Reference::Ssm(name.to_owned())),
            Some(_) => Err(ReferenceError::NotAReference),
        }
    }
}

/// The value of a variable.
pub(crate) fn variable(name: &str) -> Result<Secret, ReferenceError> {
    match std::env::var(name) {
        Ok(value) if !value.is_empty() => Ok(value.into()),
        _ => Err(ReferenceError::NotSet(name.to_owned())),
    }
}

/// The content of a file. Blocks.
pub(crate) fn file(path: &Path) -> Result<Secret, ReferenceError> {
    let shown = || path.display().to_string();
    let refused = |problem: String| ReferenceError::Unreadable { path: shown(), problem };
    let failed = |error: std::io::Error| {
        if lacks_descriptors(&error) {
            ReferenceError::OutOfDescriptors(shown())
        } else {
            refused(error.kind().to_string())
        }
    };
    // A pipe or a device would block or never end.
    if !path.metadata().map_err(failed)?.is_file() {
        return Err(refused("it is no regular file".into()));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path).map_err(failed)?.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(refused(format!("it is larger than {} KiB", MAX_FILE / 1024)));
    }
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Secrets;

    async fn read(text: &str) -> Result<Secret, ReferenceError> {
        Secrets::default().read(&Reference::parse(text)?).await
    }

    async fn error(text: &str) -> String {
        read(text).await.unwrap_err().to_string()
    }

    #[tokio::test]
    async fn references_are_read_from_variables_and_files() {
        // Cargo sets this one for every test.
        assert_eq!(read("env:CARGO_PKG_NAME").await.unwrap().bytes(), b"replicante-outbound");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "s3cret\n").unwrap();
        for form in [format!("file:{}", path.display()), format!("file://{}", path.display())] {
            let secret = read(&form).await.unwrap();
            assert_eq!(secret.bytes(), b"s3cret\n");
            assert_eq!(secret.line().bytes(), b"s3cret");
        }
    }

    #[tokio::test]
    async fn what_is_missing_is_named() {
        let unset = error("env:REPLICANTE_NO_SUCH_THING").await;
        assert!(unset.starts_with("env:REPLICANTE_NO_SUCH_THING is not set"), "{unset}");
        assert_eq!(error("file:/no/such/file").await, "file:/no/such/file can't be read: entity not found");
    }

    #[tokio::test]
    async fn what_is_no_file_or_has_no_end_is_refused_at_once() {
        assert_eq!(error("file:/dev/zero").await, "file:/dev/zero can't be read: it is no regular file");
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = format!("file:{}", file.path().display());
        file.as_file().set_len(MAX_FILE).unwrap();
        assert_eq!(read(&text).await.unwrap().bytes().len() as u64, MAX_FILE);
        file.as_file().set_len(MAX_FILE + 1).unwrap();
        assert_eq!(error(&text).await, format!("{text} can't be read: it is larger than 1024 KiB"));
    }

    #[test]
    fn a_secret_in_the_place_of_a_reference_is_not_repeated() {
        for text in ["hunter2", "hunter2:x", "env:", ""] {
            let error = Reference::parse(text).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
