//! Files with passwords, tokens and headers.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::common::file::{read_limited, read_regular};

/// A file with a secret. It has no `Debug`: no message shows the secret.
pub(super) enum Secret {
    /// Read for each push, because passwords and tokens are replaced.
    File(PathBuf),
    /// The contents of a pipe, such as that of `<(pass show gateway)`: a second read gets nothing.
    Pipe(PathBuf, String),
}

impl Secret {
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        let of = |problem: String| format!("{}: {problem}", path.display());
        if std::fs::metadata(path).map_err(|e| of(e.to_string()))?.is_file() {
            return Ok(Secret::File(path.to_path_buf()));
        }
        let bytes = File::open(path).and_then(read_limited).map_err(|e| of(e.to_string()))?;
        Ok(Secret::Pipe(path.to_path_buf(), utf8(bytes).map_err(of)?))
    }

    /// The contents. A file that is being replaced may be empty for a moment: a request without
    /// its secret helps no one.
    pub(super) fn read(&self) -> Result<String, String> {
        let (path, text) = match self {
            Secret::File(path) => {
                let text = read_regular(path).map_err(|e| e.to_string()).and_then(utf8);
                (path, text.map_err(|problem| format!("{}: {problem}", path.display()))?)
            }
            Secret::Pipe(path, text) => (path, text.clone()),
        };
        if text.trim().is_empty() {
            return Err(format!("{}: it is empty", path.display()));
        }
        Ok(text)
    }

    pub(super) fn path(&self) -> &Path {
        let (Secret::File(path) | Secret::Pipe(path, _)) = self;
        path
    }
}

fn utf8(bytes: Vec<u8>) -> Result<String, String> {
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())
}
