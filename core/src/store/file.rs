//! The file: opening, pragmas, transactions, and the poisoned handle.

use super::rescue::Marker;
use super::schema::{APPLICATION_ID, SCHEMA_VERSION, TABLES};
use crate::crypto::DatabaseKey;
use crate::mutant::{self, Mutant};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::path::Path;
use std::sync::Once;
use std::time::Duration;

/// How pages are kept, to be said before the first is read. Of 8 KiB: on bulk merge as fast as of 16 KiB and a
/// fifth faster than of 4 KiB; an edit writes half as much as with 16 KiB. Authenticated by HMAC-SHA256, which
/// processors have instructions for: half the cost of SHA-512.
const PAGES: [(&str, &str); 2] = [("cipher_page_size", "8192"), ("cipher_hmac_algorithm", "HMAC_SHA256")];
/// The same in bytes.
pub(super) const PAGE_BYTES: usize = 8_192;
/// Pages of the write-ahead log after which they move into the book: 1 MiB, so that a small disk is not filled
/// by what is there twice.
const WAL_PAGES: &str = "128";
/// The same while much comes at once: 8 MiB, so that not every transaction waits three times for the disk.
const WAL_PAGES_OF_MUCH: &str = "1024";
/// How long a write waits for another process of this machine.
const BUSY_WAIT: Duration = Duration::from_secs(10);
/// How long a note waits for it.
const NOTE_WAIT: Duration = Duration::from_millis(50);

/// Why the store did not do what it was asked; nothing was written unless a variant says so.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// No file there.
    #[error("no book there")]
    Missing,
    /// There is a file already.
    #[error("a file is there already")]
    Exists,
    /// The file is no book, or its key is another.
    #[error("the file is not the database of this book")]
    NotABook,
    /// Written by a newer version of this program.
    #[error("written by a newer version (schema {0})")]
    Newer(i32),
    /// The file is damaged; it was left as it is.
    #[error("the file is damaged: {0}")]
    Damaged(String),
    /// Another process has held the book for longer than this one waited.
    #[error("another process is using the book")]
    Busy,
    /// The disk is full; the transaction was undone.
    #[error("the disk is full")]
    Full,
    /// The disk or the file does not allow writing.
    #[error("the book cannot be written")]
    ReadOnly,
    /// The operating system refused; it is not known whether the last transaction is durable.
    #[error("the disk failed: {0}")]
    Disk(String),
    /// An earlier write failed: open the book again.
    #[error("an earlier write failed; open the book again")]
    Poisoned,
    /// A mistake of this program.
    #[error("unexpected: {0}")]
    Bug(#[source] rusqlite::Error),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        let Some(code) = error.sqlite_error_code() else {
            return Self::Bug(error);
        };
        // SQLCipher says of a page whose authentication code does not fit only that: a mistake in a statement
        // always says more.
        if let rusqlite::Error::SqliteFailure(failure, Some(message)) = &error
            && failure.extended_code == 1
            && let Some(inner) = match message.as_str() {
                "database disk image is malformed" => Some(Self::Damaged("DatabaseCorrupt".into())),
                "database or disk is full" => Some(Self::Full),
                "disk I/O error" => Some(Self::Disk("SystemIoFailure".into())),
                _ => None,
            }
        {
            return inner;
        }
        // Only the code's own text: a statement or a value never reaches an error.
        let text = || format!("{code:?}");
        match code {
            ErrorCode::NotADatabase => Self::NotABook,
            ErrorCode::DatabaseCorrupt => Self::Damaged(text()),
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Self::Busy,
            ErrorCode::DiskFull => Self::Full,
            ErrorCode::ReadOnly | ErrorCode::PermissionDenied => Self::ReadOnly,
            ErrorCode::SystemIoFailure | ErrorCode::CannotOpen | ErrorCode::OutOfMemory => Self::Disk(text()),
            _ => Self::Bug(error),
        }
    }
}

/// How much comes at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pace {
    /// What people write, and what a short session brings.
    Little,
    /// Batch after batch.
    Much,
}

/// One open book file. One connection; other processes may have their own.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    poisoned: bool,
    seen_version: i64,
    path: std::path::PathBuf,
    identity: Option<(u64, u64)>,
    marker: Option<Marker>,
}

/// Which file a path names.
fn identity(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).ok().map(|m| (m.dev(), m.ino()))
}

impl Store {
    /// Makes a new file with empty tables; `views` are the statements that make the droppable ones.
    ///
    /// # Errors
    /// [`StoreError::Exists`] if something is there; nothing is left behind otherwise.
    pub fn create(path: &Path, key: &DatabaseKey, views: &str) -> Result<Self, StoreError> {
        if path.exists() {
            return Err(StoreError::Exists);
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = connect(path, flags)?;
        set_key(&connection, key)?;
        // Until the write-ahead log is there SQLite keeps a journal to roll back by. That it is deleted must be
        // durable too: one that came back after a loss of power would roll the new book back to nothing.
        connection.pragma_update(None, "synchronous", "EXTRA")?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        set_pragmas(&mut connection)?;
        let mut store = Self::of(connection, path);
        store.write(|tx| {
            tx.execute_batch(TABLES)?;
            tx.execute_batch(views)?;
            tx.pragma_update(None, "application_id", APPLICATION_ID)?;
            tx.pragma_update(None, "user_version", SCHEMA_VERSION)?;
            Ok::<(), StoreError>(())
        })?;
        Ok(store)
    }

    /// Opens an existing file and checks that it is a book of a version that this program knows.
    ///
    /// # Errors
    /// [`StoreError`] tells what the file is instead; it is left as it is.
    pub fn open(path: &Path, key: &DatabaseKey) -> Result<Self, StoreError> {
        if !path.exists() {
            return Err(StoreError::Missing);
        }
        // SQLite would pass over the rest of a damaged log, and write over it.
        if Self::log_is_damaged(path)? {
            return Err(StoreError::Damaged("its write-ahead log".into()));
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = connect(path, flags)?;
        set_key(&connection, key)?;
        let application = set_pragmas(&mut connection).map(|()| 0);
        let application = application
            .and_then(|_| Ok(connection.pragma_query_value(None, "application_id", |row| row.get::<_, i32>(0))?));
        let application = application.map_err(|error| match error {
            // Asked of SQLite: who opens and closes the file beside it lets go all locks of this process on it.
            StoreError::Disk(_) if connection.is_readonly("main").unwrap_or_default() => StoreError::ReadOnly,
            other => other,
        })?;
        if application != APPLICATION_ID {
            return Err(StoreError::NotABook);
        }
        let version: i32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if version > SCHEMA_VERSION {
            return Err(StoreError::Newer(version));
        }
        Ok(Self::of(connection, path))
    }

    fn of(connection: Connection, path: &Path) -> Self {
        let (path, identity) = (path.to_owned(), identity(path));
        Self { connection, poisoned: false, seen_version: -1, path, identity, marker: None }
    }

    /// The connection, for reading.
    ///
    /// # Errors
    /// [`StoreError::Poisoned`] after a failed write.
    pub fn read(&self) -> Result<&Connection, StoreError> {
        if self.poisoned { Err(StoreError::Poisoned) } else { Ok(&self.connection) }
    }

    /// Runs `work` on the book as it is at one moment, whatever other processes write meanwhile.
    ///
    /// # Errors
    /// What `work` says, or [`StoreError`] if the file cannot be read.
    pub fn at_one_moment<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        // Dropped, it gives back the read lock; there is nothing to commit.
        let moment = self.read()?.unchecked_transaction().map_err(StoreError::from)?;
        work(&moment)
    }

    /// Runs `work` in one transaction that is durable when this returns `Ok`. An error of `work` undoes it.
    ///
    /// # Errors
    /// What `work` says, or why the transaction could not be made durable; then the handle is poisoned.
    pub fn write<T, E: From<StoreError>>(&mut self, work: impl FnOnce(&Connection) -> Result<T, E>) -> Result<T, E> {
        self.write_fresh(|connection, _, _| work(connection))
    }

    /// As [`Store::write`]; `work` is also told whether another process has written since this handle last
    /// looked, now that nobody can write beside it.
    ///
    /// # Errors
    /// As [`Store::write`].
    pub fn write_fresh<T, E: From<StoreError>>(
        &mut self,
        work: impl FnOnce(&Connection, &Self, bool) -> Result<T, E>,
    ) -> Result<T, E> {
        if self.poisoned {
            return Err(StoreError::Poisoned.into());
        }
        self.step("BEGIN IMMEDIATE").map_err(StoreError::from)?;
        let worked = self.data_version().map_err(E::from).and_then(|version| {
            let changed = version != self.seen_version;
            work(&self.connection, self, changed).map(|value| (value, version))
        });
        let (value, version) = match worked {
            Ok(done) => done,
            Err(error) => {
                self.roll_back();
                self.make_room();
                return Err(error);
            }
        };
        if let Err(error) = self.step("COMMIT") {
            let error = StoreError::from(error);
            // A commit that found the disk full or the book busy was undone as a whole by SQLite.
            self.poisoned = !matches!(error, StoreError::Full | StoreError::Busy | StoreError::ReadOnly);
            self.roll_back();
            self.make_room();
            return Err(error.into());
        }
        self.mark(version);
        self.seen_version = version;
        if identity(&self.path) != self.identity {
            self.poisoned = true;
            return Err(StoreError::Disk("the file of the book is gone".into()).into());
        }
        Ok(value)
    }

    /// Marks how far the write-ahead log is durable, unless another process has written since: what it wrote may
    /// not be.
    fn mark(&mut self, version: i64) {
        let frames = self
            .connection
            .prepare_cached("PRAGMA wal_checkpoint(NOOP)")
            .and_then(|mut statement| statement.query_row([], |row| row.get::<_, u32>(1)));
        if self.marker.is_none() {
            self.marker = Marker::open(&self.path);
        }
        if let (Ok(frames), Some(marker), Ok(now)) = (frames, &self.marker, self.data_version())
            && now == version
        {
            marker.set(frames);
        }
    }

    /// Runs a statement without values that is run again and again.
    fn step(&self, statement: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(statement)?.execute([]).map(|_| ())
    }

    /// Runs `work` in one transaction that costs no sync of the disk. It survives a killed process at once, and
    /// loss of power when the next [`Store::write`] returns. It waits for other processes only a moment, and where
    /// it fails the handle goes on. For what is owed to nobody yet.
    ///
    /// # Errors
    /// What `work` says, or why it could not be written; then nothing was.
    pub fn note<E: From<StoreError>>(&mut self, work: impl FnOnce(&Connection) -> Result<(), E>) -> Result<(), E> {
        self.read()?;
        let noted = self.write_without_sync(work);
        let restored = self
            .connection
            .pragma_update(None, "synchronous", "FULL")
            .and_then(|()| self.connection.busy_handler(Some(|tried| waits(tried, BUSY_WAIT))));
        // Later writes must not be less durable than they promise.
        self.poisoned |= restored.is_err();
        noted
    }

    fn write_without_sync<E: From<StoreError>>(
        &mut self,
        work: impl FnOnce(&Connection) -> Result<(), E>,
    ) -> Result<(), E> {
        let prepared = self
            .connection
            .busy_handler(Some(|tried| waits(tried, NOTE_WAIT)))
            .and_then(|()| self.connection.pragma_update(None, "synchronous", "NORMAL"))
            .and_then(|()| self.step("BEGIN IMMEDIATE"));
        prepared.map_err(StoreError::from)?;
        let noted = work(&self.connection).and_then(|()| Ok(self.step("COMMIT").map_err(StoreError::from)?));
        if noted.is_err() {
            self.roll_back();
        }
        noted
    }

    /// Lets more or less of the write-ahead log wait before it moves into the book. What is durable is durable in
    /// either; after much, what waits is moved.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read.
    pub fn set_pace(&self, pace: Pace) -> Result<(), StoreError> {
        let connection = self.read()?;
        match pace {
            Pace::Much => connection.pragma_update(None, "wal_autocheckpoint", WAL_PAGES_OF_MUCH)?,
            Pace::Little => {
                connection.pragma_update(None, "wal_autocheckpoint", WAL_PAGES)?;
                connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
            }
        }
        Ok(())
    }

    /// Gives back what the write-ahead log takes on the disk: it may be what a full disk lacks.
    fn make_room(&self) {
        // If this fails too, the error that led here says enough.
        let _ = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    }

    /// Empties the write-ahead log, so that it holds nothing of what was thrown away.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn forget_pages(&self) -> Result<(), StoreError> {
        self.read()?.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(self.connection.pragma_update(None, "secure_delete", "OFF")?)
    }

    /// Undoes an open transaction; a handle that cannot is of no use any more.
    fn roll_back(&mut self) {
        if !self.connection.is_autocommit() && self.connection.execute_batch("ROLLBACK").is_err() {
            self.poisoned = true;
        }
    }

    fn data_version(&self) -> Result<i64, StoreError> {
        Ok(self.connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))?)
    }

    /// Whether another process has written since this was last asked.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read.
    pub fn changed_elsewhere(&mut self) -> Result<bool, StoreError> {
        self.read()?;
        let version = self.data_version()?;
        let changed = version != self.seen_version;
        self.seen_version = version;
        Ok(changed)
    }

    /// Checks every page's authentication code and SQLite's own structure.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] with what was found, at most 20 lines.
    pub fn check_integrity(&self) -> Result<(), StoreError> {
        self.check_structure_but(&[])
    }

    /// As [`Store::check_integrity`], but for the pages of some tables, which the caller reads for what stands on
    /// them.
    ///
    /// # Errors
    /// As [`Store::check_integrity`].
    pub fn check_structure_but(&self, read: &[&str]) -> Result<(), StoreError> {
        let connection = self.read()?;
        // Reads every page in use through SQLCipher, which checks its authentication code. SQLCipher's own pragma
        // reads the file past SQLite and takes what a full disk left behind the last page for damage.
        // Whether every index says what its table does is not compared: pages are authenticated, so no damage of the
        // disk can part them, and it takes as long as all else together.
        let mut found: Vec<String> = Vec::new();
        if read.is_empty() {
            quick_check(connection, "20", &mut found)?;
        } else {
            // Of the table of tables, and with it of the free pages.
            quick_check(connection, "sqlite_schema", &mut found)?;
            let mut statement = connection.prepare_cached("SELECT name FROM sqlite_schema WHERE type = 'table'")?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let name: String = row.get(0)?;
                if !read.contains(&name.as_str()) {
                    quick_check(connection, &name, &mut found)?;
                }
            }
        }
        if Self::log_is_damaged(&self.path)? {
            found.push("the write-ahead log".into());
        }
        found.truncate(20);
        if found.is_empty() { Ok(()) } else { Err(StoreError::Damaged(found.join("; "))) }
    }

    /// Copies the whole book, consistent at one moment, into a new file under `key`.
    ///
    /// # Errors
    /// [`StoreError::Exists`] if the target is there; a target that was begun is removed again.
    pub fn copy_to(&self, path: &Path, key: &DatabaseKey) -> Result<(), StoreError> {
        if path.exists() {
            return Err(StoreError::Exists);
        }
        let connection = self.read()?;
        let target = path.to_str().ok_or(StoreError::ReadOnly)?;
        // ATTACH makes no file on a connection that was opened without leave to make one.
        std::fs::OpenOptions::new().write(true).create_new(true).open(path).map_err(|_| StoreError::ReadOnly)?;
        let copied = (|| {
            connection.execute("ATTACH DATABASE ?1 AS copy KEY ?2", (target, &raw_key(key).as_str()))?;
            for (pragma, value) in PAGES {
                connection.pragma_update(Some("copy"), pragma, value)?;
            }
            let exported = connection
                .query_row("SELECT sqlcipher_export('copy')", [], |_| Ok(()))
                .and_then(|()| connection.pragma_update(Some("copy"), "application_id", APPLICATION_ID))
                .and_then(|()| connection.pragma_update(Some("copy"), "user_version", SCHEMA_VERSION));
            let detached = connection.execute_batch("DETACH DATABASE copy");
            exported.and(detached)
        })();
        if let Err(error) = copied {
            // The file is this call's own and not whole.
            let _ = std::fs::remove_file(path);
            return Err(error.into());
        }
        Ok(())
    }
}

/// Opens a file. SQLite tells other threads that it is ready before the cipher in it is: what is first opened in a
/// process is opened alone.
fn connect(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    static READY: Once = Once::new();
    // If this fails, so does what follows, and says why.
    READY.call_once(|| drop(Connection::open_in_memory()));
    Connection::open_with_flags(path, flags)
}

/// Checks the structure of one table, or of all of them with so many lines at most; adds what is wrong.
fn quick_check(connection: &Connection, of: &str, found: &mut Vec<String>) -> Result<(), StoreError> {
    let mut statement = connection.prepare(&format!("PRAGMA quick_check({of})"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let line: String = row.get(0)?;
        if line != "ok" {
            found.push(line);
        }
    }
    Ok(())
}

fn raw_key(key: &DatabaseKey) -> zeroize::Zeroizing<String> {
    let (key, salt) = (zeroize::Zeroizing::new(crate::id::hex(key.key())), crate::id::hex(key.salt()));
    zeroize::Zeroizing::new(format!("x'{}{salt}'", key.as_str()))
}

/// Gives key and salt, and asserts that pages really are encrypted by this build.
fn set_key(connection: &Connection, key: &DatabaseKey) -> Result<(), StoreError> {
    connection.pragma_update(None, "cipher_log_level", "NONE")?;
    connection.pragma_update(None, "key", raw_key(key).as_str())?;
    let version: Option<String> = connection.query_row("PRAGMA cipher_version", [], |row| row.get(0)).ok();
    if version.is_none_or(|v| v.is_empty()) {
        return Err(StoreError::Disk("built without page encryption".into()));
    }
    for (pragma, value) in PAGES {
        connection.pragma_update(None, pragma, value)?;
    }
    Ok(())
}

/// Sleeps a moment; whether to try again after so many tries.
fn waits(tried: i32, most: Duration) -> bool {
    std::thread::sleep(Duration::from_millis(1));
    Duration::from_millis(u64::try_from(tried).unwrap_or(0)) < most
}

fn set_pragmas(connection: &mut Connection) -> Result<(), StoreError> {
    // SQLite's own waiting looks every 100 ms, and who writes without pause leaves a gap of microseconds.
    connection.busy_handler(Some(|tried| waits(tried, BUSY_WAIT)))?;
    connection.set_prepared_statement_cache_capacity(128);
    // Without it SQLite prepares statements anew for other values, which costs more than it gains here.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    for (pragma, value) in [
        ("synchronous", if mutant::is(Mutant::AcknowledgesBeforeCommit) { "NORMAL" } else { "FULL" }),
        ("foreign_keys", "ON"),
        ("trusted_schema", "OFF"),
        ("temp_store", "MEMORY"),
        ("cell_size_check", "ON"),
        ("mmap_size", "0"),
        ("fullfsync", "ON"),
        ("checkpoint_fullfsync", "ON"),
        ("cache_size", "-16384"),
        ("wal_autocheckpoint", WAL_PAGES),
    ] {
        // Some of these answer with a row, some do not.
        connection.pragma_update(None, pragma, value)?;
    }
    Ok(())
}
