//! An allocator that counts what each thread holds, for programs that make it their own.
//!
//! ```
//! # use daybook_tests::memory::{Counting, Watch};
//! #[global_allocator]
//! static MEMORY: Counting = Counting;
//! let watch = Watch::begin();
//! let held = vec![0_u8; 100_000];
//! assert!(watch.more() >= 100_000 && watch.peak() >= 100_000);
//! drop(held);
//! assert!(watch.more() < 1_000 && watch.peak() >= 100_000);
//! ```

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static HELD: Cell<i64> = const { Cell::new(0) };
    static PEAK: Cell<i64> = const { Cell::new(0) };
}

/// The system's allocator, counted by thread. What C code allocates is not counted.
#[derive(Debug)]
pub struct Counting;

fn count(bytes: i64) {
    // A thread that ends has no place to count any more.
    let _ = HELD.try_with(|held| {
        held.set(held.get() + bytes);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(held.get())));
    });
}

fn size(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

// SAFETY: every call goes on to the system's allocator as it came; counting touches two cells of the thread that
// need no memory and no destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(size(layout.size()));
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(size(layout.size()));
        // SAFETY: as the caller promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(-size(layout.size()));
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        count(size(bytes) - size(layout.size()));
        // SAFETY: as the caller promises.
        unsafe { System.realloc(at, layout, bytes) }
    }
}

/// What this thread holds more than at a moment.
#[derive(Clone, Copy, Debug)]
pub struct Watch {
    held: i64,
}

impl Watch {
    /// Begins; the peak is that since the newest beginning.
    #[must_use]
    pub fn begin() -> Self {
        let held = HELD.get();
        PEAK.set(held);
        Self { held }
    }

    /// Bytes that are held more now.
    #[must_use]
    pub fn more(&self) -> i64 {
        HELD.get() - self.held
    }

    /// Most bytes that were held more since the newest beginning.
    #[must_use]
    pub fn peak(&self) -> i64 {
        PEAK.get() - self.held
    }
}
