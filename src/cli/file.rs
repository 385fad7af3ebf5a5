//! Files that commands read and write. What names a person goes by a file rather than by the command line, which
//! others on the machine see; what a command writes is for its owner only.

use std::{
    fs::{self, File},
    io::{self, Read, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow, ensure};
use serde::de::DeserializeOwned;

use super::say;

/// The largest file read: 1000 lead ids fit.
pub(super) const INPUT_BYTES_MAX: u64 = 64 * 1024;

/// Whether the path means standard input.
pub(super) fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Reads a JSON file, or standard input. `must` says what it must be; the parser's own text is not shown, as it may
/// quote what it fails on.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path, must: &str) -> anyhow::Result<T> {
    let content = read_text(path, INPUT_BYTES_MAX)?;
    serde_json::from_str(&content).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        anyhow!("{}, line {line}, column {column}: {must}", path.display())
    })
}

/// Reads a file, or standard input, of at most so many bytes.
pub(super) fn read_text(path: &Path, bytes_max: u64) -> anyhow::Result<String> {
    let name = path.display();
    let source: Box<dyn Read> = if is_stdin(path) {
        Box::new(io::stdin())
    } else {
        Box::new(File::open(path).with_context(|| format!("cannot read {name}"))?)
    };
    let mut content = String::new();
    source
        .take(bytes_max + 1)
        .read_to_string(&mut content)
        .with_context(|| format!("cannot read {name}"))?;
    ensure!(
        content.len() as u64 <= bytes_max,
        "{name} is larger than {bytes_max} bytes"
    );
    Ok(content)
}

/// Where a document goes.
#[derive(Debug, clap::Args)]
pub(super) struct OutputArgs {
    /// Write the document to this file, for its owner only
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace the file if there is one
    #[arg(long, requires = "output")]
    force: bool,
}

impl OutputArgs {
    /// Fails if the file is there and not to be replaced: to be asked before a call that leaves a trace.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        if let Some(path) = &self.output {
            ensure!(
                self.force || !path.exists(),
                "{} is there already; --force replaces it",
                path.display()
            );
        }
        Ok(())
    }

    /// Whether a file was named.
    pub(super) fn is_asked(&self) -> bool {
        self.output.is_some()
    }

    /// Writes the document, if a file was named for it; gives whether one was.
    pub(super) fn write(&self, content: &[u8]) -> anyhow::Result<bool> {
        let Some(path) = &self.output else {
            return Ok(false);
        };
        create(path, content, self.force)
            .with_context(|| format!("cannot write {}", path.display()))?;
        say(&format!("wrote {}", path.display()));
        Ok(true)
    }
}

/// Writes a new file for its owner only. One that it replaces is removed first: its mode and its other names
/// are not taken over.
pub(super) fn create(path: &Path, content: &[u8], replace: bool) -> io::Result<()> {
    if replace {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    let mut options = fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(content).and_then(|()| file.sync_all())
}
