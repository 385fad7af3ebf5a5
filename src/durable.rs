//! Files that a power loss leaves as they were.
//!
//! To flush a file makes what is in it durable, and not its name: "for that an explicit `fsync()` on a file descriptor for the
//! directory is also needed" (fsync(2)). And a file that is made under its name is there before anything is in it, so
//! that a crash leaves an empty one, which the next start would take for a key ring that is damaged. Hence the rule: before
//! anything rests on a new file, what is in it is flushed, then it gets its name, and then the name is flushed.
//! `tests/it/power_loss.rs` cuts the power wherever something is flushed or not.

use std::{
    fs::File,
    io::{self, Write as _},
    path::Path,
};

use tempfile::NamedTempFile;

/// Writes a new file, for its owner only: whole, or not at all. Fails if there is one of this name.
pub(crate) fn create(path: &Path, content: &[u8]) -> io::Result<()> {
    written(path, content)?
        .persist_noclobber(path)
        .map_err(|refused| refused.error)?;
    sync_name(path)
}

/// Writes a file in the place of the one that may be there: after a crash there is the one or the other, whole.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    written(path, content)?
        .persist(path)
        .map_err(|refused| refused.error)?;
    sync_name(path)
}

/// Makes a path's name durable, and every other name in the same directory.
pub(crate) fn sync_name(path: &Path) -> io::Result<()> {
    File::open(directory(path))?.sync_all()
}

/// A file with this content beside the path, flushed, without a name that lasts; removed if it gets none.
fn written(path: &Path, content: &[u8]) -> io::Result<NamedTempFile> {
    let mut file = tempfile::Builder::new()
        .prefix(".new-")
        .tempfile_in(directory(path))?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    Ok(file)
}

fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) => Path::new("."),
        None => path,
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    /// Nobody else reads it, nothing is left beside it, and only `replace` takes the place of another.
    #[test]
    fn a_file_is_whole_and_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.toml");
        create(&path, b"one").unwrap();
        let taken = create(&path, b"two").unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"one");
        replace(&path, b"three").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"three");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    /// A name without a directory is one in the present directory.
    #[test]
    fn a_bare_name_has_a_directory() {
        assert_eq!(directory(Path::new("data")), Path::new("."));
        assert_eq!(directory(Path::new("data/keys.toml")), Path::new("data"));
        assert_eq!(directory(Path::new("/")), Path::new("/"));
    }
}
