//! Where what leaves the book is written: a new file or folder, whole or not at all, or standard output.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::context::Context;
use crate::failure::Failure;
use crate::output::Reply;
use crate::show::text::safe;

/// Where an export goes.
#[derive(Debug)]
pub enum Target {
    /// A new file.
    File(PathBuf),
    /// Standard output.
    Stdout,
}

impl Target {
    /// The file, or standard output if it can carry the export.
    ///
    /// # Errors
    /// When standard output is needed for the answer, or is a terminal and the export is no text.
    pub fn new(to: Option<&Path>, context: &Context, binary: bool) -> Result<Self, Failure> {
        let needed = |why| Failure::usage("needs-to", why).then("give --to FILE");
        match to {
            Some(path) => Ok(Self::File(path.to_owned())),
            None if context.output().json => Err(needed("with --json the export cannot go to standard output")),
            None if binary && io::stdout().is_terminal() => Err(needed("the export is no text for a terminal")),
            None => Ok(Self::Stdout),
        }
    }

    /// Writes the export.
    ///
    /// # Errors
    /// When it cannot be written; then no file is left behind.
    pub fn write<T>(&self, write: impl FnOnce(&mut dyn Write) -> Result<T, Failure>) -> Result<T, Failure> {
        match self {
            Self::File(path) => write_new(path, write),
            Self::Stdout => {
                let mut pipe = Pipe { to: io::stdout().lock(), left: false };
                let mut to = BufWriter::new(&mut pipe);
                let result = write(&mut to).and_then(|value| to.flush().map(|()| value).map_err(unwritable));
                drop(to);
                if pipe.left { Err(Failure::reader_left()) } else { result }
            }
        }
    }

    /// Says what was written; nothing where standard output carries the export itself.
    #[must_use]
    pub fn reply(&self, count: u64, what: &str) -> Reply {
        match self {
            Self::Stdout => Reply::default(),
            Self::File(path) => {
                let path = path.to_string_lossy();
                let mut object = json!({"path": path});
                if let Value::Object(object) = &mut object {
                    object.insert(what.to_owned(), json!(count));
                }
                Reply::new(object, format!("{count} {what} written to {}", safe(&path)))
            }
        }
    }
}

/// Notes that the reader of standard output went away.
struct Pipe<W> {
    to: W,
    left: bool,
}

impl<W: Write> Pipe<W> {
    fn noted<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        self.left |= result.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe);
        result
    }
}

impl<W: Write> Write for Pipe<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let result = self.to.write(bytes);
        self.noted(result)
    }

    fn flush(&mut self) -> io::Result<()> {
        let result = self.to.flush();
        self.noted(result)
    }
}

/// Makes a file that only its owner can read, whole or not at all.
///
/// # Errors
/// When it exists or cannot be written.
pub fn write_new<T>(path: &Path, write: impl FnOnce(&mut dyn Write) -> Result<T, Failure>) -> Result<T, Failure> {
    let part = part_of(path)?;
    let _ = fs::remove_file(&part);
    let filled = Synced::create(&part).map_err(unwritable).and_then(|mut to| {
        let value = write(&mut to)?;
        to.flush().map(|()| value).map_err(unwritable)
    });
    let result = filled.and_then(|value| fs::rename(&part, path).map(|()| value).map_err(unwritable));
    if result.is_err() {
        let _ = fs::remove_file(&part);
    }
    result
}

/// Makes a folder of such files, whole or not at all.
///
/// # Errors
/// When it exists or cannot be written.
pub fn write_new_folder<T>(path: &Path, write: impl FnOnce(&Path) -> Result<T, Failure>) -> Result<T, Failure> {
    let part = part_of(path)?;
    fs::create_dir(&part).map_err(unwritable)?;
    let result = write(&part).and_then(|value| fs::rename(&part, path).map(|()| value).map_err(unwritable));
    if result.is_err() {
        let _ = fs::remove_dir_all(&part);
    }
    result
}

/// The name under which a file or folder grows until it is whole.
fn part_of(path: &Path) -> Result<PathBuf, Failure> {
    if path.symlink_metadata().is_ok() {
        return Err(Failure::environment("exists", "there is something at that path already")
            .then("give another path, or move away what is there"));
    }
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    Ok(PathBuf::from(part))
}

/// A new file that only its owner can read; flushed, it survives power loss.
#[derive(Debug)]
pub struct Synced(BufWriter<File>);

impl Synced {
    /// Makes the file.
    ///
    /// # Errors
    /// When it exists or cannot be made.
    pub fn create(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        Ok(Self(BufWriter::with_capacity(1 << 16, options.open(path)?)))
    }
}

impl Write for Synced {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()?;
        self.0.get_ref().sync_all()
    }
}

/// A file that cannot be written.
#[must_use]
pub fn unwritable(error: io::Error) -> Failure {
    Failure::environment("cannot-write", "the file cannot be written")
        .because(error)
        .then("check the path and the free space, then run the command again; the book is as it was")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_whole_or_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let failed: Result<(), Failure> = write_new(&path, |to| {
            to.write_all(b"half").map_err(unwritable)?;
            Err(unwritable(io::Error::other("the stick was pulled out")))
        });
        assert_eq!(failed.unwrap_err().code(), "cannot-write");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
        fs::write(folder.path().join("out.part"), b"left by a crash").unwrap();
        write_new(&path, |to| to.write_all(b"whole").map_err(unwritable)).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert_eq!(write_new(&path, |_| Ok(())).unwrap_err().code(), "exists");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_is_whole_or_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let one = |part: &Path| Synced::create(&part.join("a")).and_then(|mut f| f.write_all(b"a").and(f.flush()));
        let failed: Result<(), Failure> = write_new_folder(&path, |part| {
            one(part).map_err(unwritable)?;
            Err(Failure::reader_left())
        });
        assert!(failed.is_err() && fs::read_dir(folder.path()).unwrap().count() == 0);
        write_new_folder(&path, |part| one(part).map_err(unwritable)).unwrap();
        assert_eq!(fs::read(path.join("a")).unwrap(), b"a");
    }
}
