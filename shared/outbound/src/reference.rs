//! References to secrets and to other material that is kept out of objects.

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::classify::lacks_descriptors;

/// The largest file that is read: a bundle of all public authorities has 220 KiB.
const MAX_FILE: u64 = 1024 * 1024;

/// Where a secret is, never the secret itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// `env:NAME`: an environment variable of the process.
    Env(String),
    /// `file:/path`: a file that the process can read. Its whole content counts.
    File(PathBuf),
    /// `ssm:/name`: a parameter of AWS Systems Manager. Recognised, not read yet.
    Ssm(String),
}

/// Why a reference gave nothing. No text holds the secret, nor what was written in a reference's place: that
/// may be a secret by mistake.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// The text is no reference.
    #[error("not a reference: expected env:NAME, file:/path or ssm:/name, never the value itself")]
    NotAReference,
    /// References to Systems Manager can't be read yet.
    #[error("ssm:{0} is not supported yet: use env:NAME or file:/path")]
    NotSupported(String),
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

    /// Reads what is referred to, as it is: a line end at the end of a file stays. Blocks for a file.
    ///
    /// # Errors
    /// Says which reference failed and what to do.
    pub fn read(&self) -> Result<Vec<u8>, ReferenceError> {
        match self {
            Reference::Env(name) => match std::env::var(name) {
                Ok(value) if !value.is_empty() => Ok(value.into_bytes()),
                _ => Err(ReferenceError::NotSet(name.clone())),
            },
            Reference::File(path) => read_file(path),
            Reference::Ssm(name) => Err(ReferenceError::NotSupported(name.clone())),
        }
    }

    /// Reads a value that is one line of text, like a token for a header: without the spaces and line ends
    /// around it.
    ///
    /// # Errors
    /// Those of [`read`](Self::read); bytes that are no UTF-8 are replaced.
    pub fn read_text(&self) -> Result<String, ReferenceError> {
        Ok(String::from_utf8_lossy(&self.read()?).trim().to_owned())
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, ReferenceError> {
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
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_from_variables_and_files() {
        // Cargo sets this one for every test.
        let value = Reference::parse("env:CARGO_PKG_NAME").unwrap().read().unwrap();
        assert_eq!(value, b"replicante-outbound");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "s3cret\n").unwrap();
        for form in [format!("file:{}", path.display()), format!("file://{}", path.display())] {
            let reference = Reference::parse(&form).unwrap();
            assert_eq!(reference.read().unwrap(), b"s3cret\n");
            assert_eq!(reference.read_text().unwrap(), "s3cret");
        }
    }

    #[test]
    fn a_reference_to_systems_manager_is_recognised_and_refused_with_a_way_out() {
        let error = Reference::parse("ssm:/replicante/ca").unwrap().read().unwrap_err();
        assert_eq!(error.to_string(), "ssm:/replicante/ca is not supported yet: use env:NAME or file:/path");
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = |text: &str| Reference::parse(text).unwrap().read().unwrap_err().to_string();
        assert!(error("env:REPLICANTE_NO_SUCH_THING").starts_with("env:REPLICANTE_NO_SUCH_THING is not set"));
        assert_eq!(error("file:/no/such/file"), "file:/no/such/file can't be read: entity not found");
    }

    #[test]
    fn what_is_no_file_or_has_no_end_is_refused_at_once() {
        let error = |text: &str| Reference::parse(text).unwrap().read().unwrap_err().to_string();
        assert_eq!(error("file:/dev/zero"), "file:/dev/zero can't be read: it is no regular file");
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = format!("file:{}", file.path().display());
        file.as_file().set_len(MAX_FILE).unwrap();
        assert_eq!(Reference::parse(&text).unwrap().read().unwrap().len() as u64, MAX_FILE);
        file.as_file().set_len(MAX_FILE + 1).unwrap();
        assert_eq!(error(&text), format!("{text} can't be read: it is larger than 1024 KiB"));
    }

    #[test]
    fn a_secret_in_the_place_of_a_reference_is_not_repeated() {
        for text in ["hunter2", "hunter2:x", "env:", ""] {
            let error = Reference::parse(text).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
