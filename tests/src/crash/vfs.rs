//! Makes [`Disk`]s the file system of SQLite in this process: the only place of this project with `unsafe`.
//!
//! SQLite's default file system is replaced, so that a book needs no seam for it. A disk stands for one folder; the
//! folder and an empty file for each file on the disk are real, because a book also asks the system whether they are
//! there. Time, sleep and randomness stay those of the system. Handles of several threads may be open; one handle is
//! used by one thread at a time, as SQLite promises.

use super::disk::{Disk, Failed, Operation};
use rusqlite::ffi;
use std::collections::BTreeMap;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// A disk that handles and the test share.
pub type Shared = Arc<Mutex<Disk>>;

/// Locks that SQLite takes on the index of a write-ahead log.
const SHM_LOCKS: usize = 8;
/// As the file system of Unix says it: a write never damages bytes beside it.
const POWERSAFE_OVERWRITE: c_int = 0x1000;
/// What the file system of Unix says of sectors.
const SECTOR_TOLD: c_int = 4_096;

/// The folders that are disks.
static MOUNTED: Mutex<BTreeMap<PathBuf, Mount>> = Mutex::new(BTreeMap::new());
/// The file system that was there before.
static SYSTEM: OnceLock<System> = OnceLock::new();

struct System(*mut ffi::sqlite3_vfs);
// SAFETY: SQLite keeps its file systems until the process ends and lets any thread call them.
unsafe impl Send for System {}
// SAFETY: as above; nothing here writes to it.
unsafe impl Sync for System {}

#[derive(Clone)]
struct Mount {
    disk: Shared,
    locks: Arc<Mutex<Locks>>,
}

/// What the handles of one disk hold.
#[derive(Default)]
struct Locks {
    /// Level of each handle's lock of its file, by file and handle.
    files: BTreeMap<(String, usize), c_int>,
    /// The index of the write-ahead log, by file.
    shm: BTreeMap<String, Shm>,
    handles: usize,
}

#[derive(Default)]
struct Shm {
    regions: Vec<Region>,
    /// Slots that each handle holds: -1 alone, 1 with others.
    held: BTreeMap<usize, [i8; SHM_LOCKS]>,
}

/// Memory that only SQLite reads and writes.
struct Region(Box<[u64]>);

/// One open file.
struct Open {
    mount: Mount,
    file: String,
    handle: usize,
}

/// What SQLite keeps of an open file: its methods first.
#[repr(C)]
struct Handle {
    base: ffi::sqlite3_file,
    open: *mut Open,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A test that fails must not hide behind one that failed before.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes a folder stand for a disk: from now on, and until another takes its place, its databases lie there.
///
/// # Panics
/// If the folder cannot be made.
pub fn mount(folder: &Path, disk: Disk) -> Shared {
    install();
    std::fs::create_dir_all(folder).expect("a folder");
    for entry in std::fs::read_dir(folder).expect("a folder") {
        std::fs::remove_file(entry.expect("an entry").path()).expect("a placeholder");
    }
    for file in disk.files().keys() {
        std::fs::File::create(folder.join(file)).expect("a placeholder");
    }
    let disk = Arc::new(Mutex::new(disk));
    let mount = Mount { disk: disk.clone(), locks: Arc::default() };
    lock(&MOUNTED).insert(folder.to_owned(), mount);
    disk
}

/// Forgets the disk of a folder.
pub fn unmount(folder: &Path) {
    lock(&MOUNTED).remove(folder);
}

/// Puts this file system in the place of the system's, once.
fn install() {
    SYSTEM.get_or_init(|| {
        // SAFETY: no arguments but a null name, which asks for the default; the answer lives as long as the process.
        let system = unsafe { ffi::sqlite3_vfs_find(std::ptr::null()) };
        assert!(!system.is_null(), "SQLite has a file system");
        let vfs = Box::new(ffi::sqlite3_vfs {
            iVersion: 2,
            szOsFile: c_int::try_from(size_of::<Handle>()).expect("small"),
            mxPathname: 1_024,
            pNext: std::ptr::null_mut(),
            zName: c"daybook-tests".as_ptr(),
            pAppData: std::ptr::null_mut(),
            xOpen: Some(open),
            xDelete: Some(delete),
            xAccess: Some(access),
            xFullPathname: Some(full_pathname),
            xDlOpen: None,
            xDlError: None,
            xDlSym: None,
            xDlClose: None,
            xRandomness: Some(randomness),
            xSleep: Some(sleep),
            xCurrentTime: Some(current_time),
            xGetLastError: Some(last_error),
            xCurrentTimeInt64: Some(current_time_ms),
            xSetSystemCall: None,
            xGetSystemCall: None,
            xNextSystemCall: None,
        });
        // SAFETY: the structure is complete for version 2 and is never freed or moved.
        let registered = unsafe { ffi::sqlite3_vfs_register(Box::leak(vfs), 1) };
        assert_eq!(registered, ffi::SQLITE_OK);
        System(system)
    });
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock_file),
    xUnlock: Some(unlock_file),
    xCheckReservedLock: Some(check_reserved),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

/// The disk and the name of a file that SQLite names.
///
/// # Safety
/// `name` is null or a string that ends in a zero byte.
unsafe fn place(name: *const c_char) -> Option<(Mount, String)> {
    if name.is_null() {
        return None;
    }
    // SAFETY: not null, and the caller says that it ends.
    let path = Path::new(unsafe { CStr::from_ptr(name) }.to_str().ok()?);
    let mount = lock(&MOUNTED).get(path.parent()?)?.clone();
    Some((mount, path.file_name()?.to_str()?.to_owned()))
}

/// The open file behind a handle.
///
/// # Safety
/// `file` is a handle that [`open`] opened and [`close`] did not close; nobody else uses it meanwhile.
unsafe fn opened<'a>(file: *mut ffi::sqlite3_file) -> &'a mut Open {
    // SAFETY: `open` put a `Handle` there whose pointer is valid until `close`.
    unsafe { &mut *(*file.cast::<Handle>()).open }
}

fn ask(open: &Open, operation: Operation, broken: c_int) -> c_int {
    match lock(&open.mount.disk).ask(operation) {
        Ok(()) => ffi::SQLITE_OK,
        Err(Failed::Full) => ffi::SQLITE_FULL,
        Err(Failed::Broken) => broken,
    }
}

fn size(bytes: i64) -> usize {
    usize::try_from(bytes).expect("a size is not negative")
}

unsafe extern "C" fn open(
    _: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    // SAFETY: SQLite gives space for a `Handle`, as `szOsFile` asked for; a null method table means "not open".
    unsafe { (*file).pMethods = std::ptr::null() };
    // SAFETY: SQLite gives null or a string.
    let Some((mount, file_name)) = (unsafe { place(name) }) else { return ffi::SQLITE_CANTOPEN };
    {
        let mut disk = lock(&mount.disk);
        if !disk.files().contains_key(&file_name) {
            if flags & ffi::SQLITE_OPEN_CREATE == 0 {
                return ffi::SQLITE_CANTOPEN;
            }
            disk.create(&file_name);
            // SAFETY: as above, and not null since it named a place.
            let path = unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned();
            std::fs::File::create(path).expect("a placeholder");
        }
    }
    let handle = {
        let mut locks = lock(&mount.locks);
        locks.handles += 1;
        locks.handles
    };
    let open = Box::into_raw(Box::new(Open { mount, file: file_name, handle }));
    // SAFETY: the space is that of a `Handle`; `out` is null or a place for a number.
    unsafe {
        (*file.cast::<Handle>()).open = open;
        (*file).pMethods = &raw const METHODS;
        if !out.is_null() {
            *out = flags;
        }
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: SQLite closes a handle once; the box was made by `open`.
    let open = unsafe { Box::from_raw((*file.cast::<Handle>()).open) };
    let mut locks = lock(&open.mount.locks);
    locks.files.remove(&(open.file.clone(), open.handle));
    ffi::SQLITE_OK
}

unsafe extern "C" fn read(file: *mut ffi::sqlite3_file, to: *mut c_void, amount: c_int, offset: i64) -> c_int {
    // SAFETY: an open handle, and `amount` bytes of space.
    let (open, to) = unsafe {
        (opened(file), std::slice::from_raw_parts_mut(to.cast::<u8>(), usize::try_from(amount).unwrap_or(0)))
    };
    let disk = lock(&open.mount.disk);
    let content = disk.files().get(&open.file).map_or(&[][..], Vec::as_slice);
    let there = content.get(size(offset)..).unwrap_or_default();
    let whole = there.len() >= to.len();
    let there = &there[..there.len().min(to.len())];
    let (filled, rest) = to.split_at_mut(there.len());
    filled.copy_from_slice(there);
    rest.fill(0);
    if whole { ffi::SQLITE_OK } else { ffi::SQLITE_IOERR_SHORT_READ }
}

unsafe extern "C" fn write(file: *mut ffi::sqlite3_file, from: *const c_void, amount: c_int, offset: i64) -> c_int {
    // SAFETY: an open handle, and `amount` bytes to write.
    let (open, bytes) = unsafe {
        (opened(file), std::slice::from_raw_parts(from.cast::<u8>(), usize::try_from(amount).unwrap_or(0)).to_vec())
    };
    ask(open, Operation::Write { file: open.file.clone(), offset: size(offset), bytes }, ffi::SQLITE_IOERR_WRITE)
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, bytes: i64) -> c_int {
    // SAFETY: an open handle.
    let open = unsafe { opened(file) };
    ask(open, Operation::Truncate { file: open.file.clone(), bytes: size(bytes) }, ffi::SQLITE_IOERR_TRUNCATE)
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    // SAFETY: an open handle.
    let open = unsafe { opened(file) };
    ask(open, Operation::Sync { file: open.file.clone() }, ffi::SQLITE_IOERR_FSYNC)
}

unsafe extern "C" fn file_size(file: *mut ffi::sqlite3_file, bytes: *mut i64) -> c_int {
    // SAFETY: an open handle, and a place for a number.
    unsafe {
        let open = opened(file);
        let disk = lock(&open.mount.disk);
        *bytes = i64::try_from(disk.files().get(&open.file).map_or(0, Vec::len)).expect("small");
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn lock_file(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    // SAFETY: an open handle.
    let open = unsafe { opened(file) };
    let mut locks = lock(&open.mount.locks);
    let others = locks.files.iter().filter(|((name, handle), _)| *name == open.file && *handle != open.handle);
    let highest = others.map(|(_, level)| *level).max().unwrap_or(ffi::SQLITE_LOCK_NONE);
    let granted = match level {
        ffi::SQLITE_LOCK_EXCLUSIVE => highest == ffi::SQLITE_LOCK_NONE,
        ffi::SQLITE_LOCK_RESERVED | ffi::SQLITE_LOCK_PENDING => highest < ffi::SQLITE_LOCK_RESERVED,
        _ => highest < ffi::SQLITE_LOCK_PENDING,
    };
    if granted {
        let held = locks.files.entry((open.file.clone(), open.handle)).or_default();
        *held = level.max(*held);
        ffi::SQLITE_OK
    } else {
        ffi::SQLITE_BUSY
    }
}

unsafe extern "C" fn unlock_file(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    // SAFETY: an open handle.
    let open = unsafe { opened(file) };
    lock(&open.mount.locks).files.insert((open.file.clone(), open.handle), level);
    ffi::SQLITE_OK
}

unsafe extern "C" fn check_reserved(file: *mut ffi::sqlite3_file, reserved: *mut c_int) -> c_int {
    // SAFETY: an open handle, and a place for a number.
    unsafe {
        let open = opened(file);
        let locks = lock(&open.mount.locks);
        let mut of_file = locks.files.iter().filter(|((name, _), _)| *name == open.file);
        *reserved = c_int::from(of_file.any(|(_, level)| *level >= ffi::SQLITE_LOCK_RESERVED));
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn file_control(_: *mut ffi::sqlite3_file, _: c_int, _: *mut c_void) -> c_int {
    ffi::SQLITE_NOTFOUND
}

unsafe extern "C" fn sector_size(_: *mut ffi::sqlite3_file) -> c_int {
    SECTOR_TOLD
}

unsafe extern "C" fn characteristics(_: *mut ffi::sqlite3_file) -> c_int {
    POWERSAFE_OVERWRITE
}

unsafe extern "C" fn shm_map(
    file: *mut ffi::sqlite3_file,
    region: c_int,
    bytes: c_int,
    extend: c_int,
    to: *mut *mut c_void,
) -> c_int {
    // SAFETY: an open handle.
    let open = unsafe { opened(file) };
    let (region, words) = (usize::try_from(region).unwrap_or(0), usize::try_from(bytes).unwrap_or(0) / 8);
    let mut locks = lock(&open.mount.locks);
    let shm = locks.shm.entry(open.file.clone()).or_default();
    shm.held.entry(open.handle).or_default();
    while extend != 0 && shm.regions.len() <= region {
        shm.regions.push(Region(vec![0; words].into_boxed_slice()));
    }
    let at = shm.regions.get_mut(region).map_or(std::ptr::null_mut(), |region| region.0.as_mut_ptr());
    // SAFETY: a place for a pointer. The region stays where it is until the last handle unmaps it.
    unsafe { *to = at.cast() };
    ffi::SQLITE_OK
}

unsafe extern "C" fn shm_lock(file: *mut ffi::sqlite3_file, offset: c_int, count: c_int, flags: c_int) -> c_int {
    // SAFETY: an open handle.
    let open = unsafe { opened(file) };
    let slots = usize::try_from(offset).unwrap_or(0)..usize::try_from(offset + count).unwrap_or(0);
    let mut locks = lock(&open.mount.locks);
    let shm = locks.shm.entry(open.file.clone()).or_default();
    let wanted: i8 = if flags & ffi::SQLITE_SHM_EXCLUSIVE != 0 { -1 } else { 1 };
    if flags & ffi::SQLITE_SHM_UNLOCK != 0 {
        shm.held.entry(open.handle).or_default()[slots].fill(0);
        return ffi::SQLITE_OK;
    }
    let mut others = shm.held.iter().filter(|(handle, _)| **handle != open.handle);
    if others.any(|(_, held)| held[slots.clone()].iter().any(|h| *h < 0 || (wanted < 0 && *h > 0))) {
        return ffi::SQLITE_BUSY;
    }
    shm.held.entry(open.handle).or_default()[slots].fill(wanted);
    ffi::SQLITE_OK
}

unsafe extern "C" fn shm_barrier(_: *mut ffi::sqlite3_file) {
    std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
}

unsafe extern "C" fn shm_unmap(file: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    // SAFETY: an open handle.
    let open = unsafe { opened(file) };
    let mut locks = lock(&open.mount.locks);
    let last = locks.shm.get_mut(&open.file).is_some_and(|shm| {
        shm.held.remove(&open.handle);
        shm.held.is_empty()
    });
    if last {
        locks.shm.remove(&open.file);
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn delete(_: *mut ffi::sqlite3_vfs, name: *const c_char, sync: c_int) -> c_int {
    // SAFETY: SQLite gives a string.
    let Some((mount, file)) = (unsafe { place(name) }) else { return ffi::SQLITE_IOERR_DELETE };
    let mut disk = lock(&mount.disk);
    if !disk.files().contains_key(&file) {
        return ffi::SQLITE_IOERR_DELETE_NOENT;
    }
    if disk.ask(Operation::Delete { file, durable: sync != 0 }).is_err() {
        return ffi::SQLITE_IOERR_DELETE;
    }
    // SAFETY: as above.
    let path = unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned();
    // The real file says only that there is one.
    let _ = std::fs::remove_file(path);
    ffi::SQLITE_OK
}

unsafe extern "C" fn access(_: *mut ffi::sqlite3_vfs, name: *const c_char, _: c_int, there: *mut c_int) -> c_int {
    // SAFETY: SQLite gives a string and a place for a number.
    unsafe {
        *there = c_int::from(place(name).is_some_and(|(mount, file)| lock(&mount.disk).files().contains_key(&file)));
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn full_pathname(
    _: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    bytes: c_int,
    to: *mut c_char,
) -> c_int {
    // SAFETY: SQLite gives a string and `bytes` of space; tests name absolute paths only.
    unsafe {
        let name = CStr::from_ptr(name).to_bytes_with_nul();
        if name.len() > usize::try_from(bytes).unwrap_or(0) {
            return ffi::SQLITE_CANTOPEN;
        }
        std::ptr::copy_nonoverlapping(name.as_ptr().cast(), to, name.len());
    }
    ffi::SQLITE_OK
}

fn system() -> *mut ffi::sqlite3_vfs {
    SYSTEM.get().expect("installed before it is called").0
}

unsafe extern "C" fn randomness(_: *mut ffi::sqlite3_vfs, bytes: c_int, to: *mut c_char) -> c_int {
    // SAFETY: what SQLite gives goes on to the system's own function.
    unsafe { (*system()).xRandomness.map_or(0, |call| call(system(), bytes, to)) }
}

unsafe extern "C" fn sleep(_: *mut ffi::sqlite3_vfs, microseconds: c_int) -> c_int {
    // SAFETY: as in `randomness`.
    unsafe { (*system()).xSleep.map_or(0, |call| call(system(), microseconds)) }
}

unsafe extern "C" fn current_time(_: *mut ffi::sqlite3_vfs, to: *mut f64) -> c_int {
    // SAFETY: as in `randomness`.
    unsafe { (*system()).xCurrentTime.map_or(ffi::SQLITE_ERROR, |call| call(system(), to)) }
}

unsafe extern "C" fn current_time_ms(_: *mut ffi::sqlite3_vfs, to: *mut i64) -> c_int {
    // SAFETY: as in `randomness`.
    unsafe { (*system()).xCurrentTimeInt64.map_or(ffi::SQLITE_ERROR, |call| call(system(), to)) }
}

unsafe extern "C" fn last_error(_: *mut ffi::sqlite3_vfs, _: c_int, _: *mut c_char) -> c_int {
    0
}
