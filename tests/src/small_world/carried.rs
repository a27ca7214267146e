//! Files with logs that somebody carries: stale, delivered twice and in any order, cut short or damaged.

use super::World;
use daybook_core::daybook::Error;
use rand::RngExt;

/// Files that are carried at one time.
const FILES_MAX: usize = 4;
/// Bytes of the file before its founding statement.
const HEAD_BYTES: usize = 14;

/// A file that is carried.
pub(super) struct Carried {
    bytes: Vec<u8>,
    delivered: u32,
}

impl World {
    /// Somebody takes a file with a device's logs along.
    pub(super) fn make_file(&mut self) {
        let device = self.any_device();
        let mut bytes = Vec::new();
        self.devices[device].write_readings();
        self.devices[device].book().export_log(&mut bytes).expect("exported");
        self.happened("files", &[device as u64, bytes.len() as u64]);
        if self.carried.len() == FILES_MAX {
            let oldest = self.rng.random_range(0..FILES_MAX);
            self.carried.remove(oldest);
        }
        self.carried.push(Carried { bytes, delivered: 0 });
    }

    /// Somebody hands a file over: whole, cut short, damaged, or to a device that loses power before it posts.
    pub(super) fn deliver_file(&mut self) {
        if self.carried.is_empty() {
            return;
        }
        let device = self.any_device();
        let file = self.rng.random_range(0..self.carried.len());
        let carried = &mut self.carried[file];
        carried.delivered += 1;
        let again = u64::from(carried.delivered > 1);
        let mut bytes = carried.bytes.clone();
        self.add("files again", again);
        match self.rng.random_range(0..10) {
            0 => {
                bytes.truncate(self.rng.random_range(0..bytes.len()));
                self.take_damaged(device, &bytes);
                self.happened("files cut short", &[device as u64, bytes.len() as u64]);
            }
            1 => {
                let at = self.rng.random_range(0..bytes.len());
                bytes[at] ^= 1 << self.rng.random_range(0..8);
                self.take_damaged(device, &bytes);
                self.happened("files damaged", &[device as u64, at as u64]);
            }
            2..5 => self.crash_before_posting(device, &bytes),
            _ => {
                let report = self.devices[device].book().ingest(&mut bytes.as_slice(), &mut |_| {});
                let report = report.expect("a whole file is taken in");
                assert!(!report.cut_off && report.refused.is_empty(), "a whole file: {report:?}");
                self.happened("files taken", &[device as u64, report.new, report.known]);
            }
        }
        self.notice(device, None);
    }

    fn take_damaged(&mut self, device: usize, bytes: &[u8]) {
        match self.devices[device].book().ingest(&mut &*bytes, &mut |_| {}) {
            Ok(report) => self.happened("damaged files taken in part", &[report.new, report.known]),
            Err(
                Error::NotAnExport | Error::OtherIncident | Error::NewerExport | Error::Founding(_) | Error::Run(_),
            ) => self.happened("damaged files refused", &[]),
            Err(error) => panic!("a damaged file: {error}"),
        }
    }

    fn crash_before_posting(&mut self, device: usize, bytes: &[u8]) {
        let runs = runs(bytes);
        let count = self.rng.random_range(0..=runs.len());
        let report = self.devices[device].book().take_runs(&runs[..count]).expect("runs are taken in");
        assert!(report.refused.is_empty(), "whole runs in their order: {report:?}");
        self.lose_links(device);
        self.devices[device].crash();
        let book = self.devices[device].book();
        let shown = book.digest().expect("a digest");
        book.post_all().expect("posted");
        assert_eq!(shown, book.digest().expect("a digest"), "device {device} opened and left something unposted");
        self.happened("crashes before posting", &[device as u64, report.new]);
    }
}

/// The runs of a file.
pub(super) fn runs(file: &[u8]) -> Vec<Vec<u8>> {
    let sized = |rest: &[u8]| {
        let (length, rest) = rest.split_first_chunk::<4>().expect("a length");
        let (payload, rest) = rest.split_at(u32::from_le_bytes(*length) as usize);
        (payload.to_vec(), rest.to_vec())
    };
    let (_, mut rest) = sized(&file[HEAD_BYTES..]);
    let mut runs = Vec::new();
    while let Some((kind, behind)) = rest.split_first() {
        let (payload, behind) = sized(behind);
        if *kind == 1 {
            runs.push(payload);
        }
        rest = behind;
    }
    runs
}
