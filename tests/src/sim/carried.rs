//! Files with logs that somebody carries: stale, delivered twice and in any order, cut short or damaged.

use super::World;
use super::invariant::{Invariant, broken, hold};
use daybook_core::daybook::Error;
use rand::RngExt;
use rand::seq::SliceRandom;

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
        if self.all.devices[device].disk_is_faulty() {
            return;
        }
        self.write_readings(device);
        self.all.devices[device].book().export_log(&mut bytes).expect("exported");
        self.happened("files", &[device as u64, bytes.len() as u64]);
        if self.carried.len() == FILES_MAX {
            let oldest = self.rng.random_range(0..FILES_MAX);
            self.carried.remove(oldest);
        }
        self.carried.push(Carried { bytes, delivered: 0 });
    }

    /// Somebody hands a file over: whole, cut short, damaged, in loose runs, or to a device that loses power before it
    /// posts.
    pub(super) fn deliver_file(&mut self) {
        let device = self.any_device();
        if self.carried.is_empty() || self.all.devices[device].disk_is_faulty() {
            return;
        }
        let file = self.rng.random_range(0..self.carried.len());
        let carried = &mut self.carried[file];
        carried.delivered += 1;
        let again = u64::from(carried.delivered > 1);
        let mut bytes = carried.bytes.clone();
        self.add("files again", again);
        match self.rng.random_range(0..12) {
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
            5..8 => self.deliver_loose(device, &bytes),
            _ => {
                let report = self.all.devices[device].book().ingest(&mut bytes.as_slice(), &mut |_| {});
                let report = report
                    .unwrap_or_else(|error| broken(Invariant::HonestPeersAgree, format!("a whole file: {error}")));
                hold(!report.cut_off && report.refused.is_empty(), Invariant::HonestPeersAgree, || {
                    format!("a whole file: {report:?}")
                });
                self.happened("files taken", &[device as u64, report.new, report.known]);
            }
        }
        self.notice(device, None);
    }

    fn take_damaged(&mut self, device: usize, bytes: &[u8]) {
        match self.all.devices[device].book().ingest(&mut &*bytes, &mut |_| {}) {
            Ok(report) => self.happened("damaged files taken in part", &[report.new, report.known]),
            Err(
                Error::NotAnExport | Error::OtherIncident | Error::NewerExport | Error::Founding(_) | Error::Run(_),
            ) => self.happened("damaged files refused", &[]),
            Err(error) => broken(Invariant::NothingPanics, format!("a damaged file: {error}")),
        }
    }

    /// The runs of a file arrive singly: some are lost, some come twice, in any order, and one may be damaged.
    fn deliver_loose(&mut self, device: usize, bytes: &[u8]) {
        let (lost, doubled) = (self.plan.lost, self.plan.doubled);
        let mut loose = Vec::new();
        for run in runs(bytes) {
            if self.rng.random_bool(lost) {
                self.add("runs lost", 1);
                continue;
            }
            if self.rng.random_bool(doubled) {
                self.add("runs twice", 1);
                loose.push(run.clone());
            }
            loose.push(run);
        }
        let ordered = self.rng.random_bool(0.3);
        if !ordered {
            loose.shuffle(&mut self.rng);
        }
        if let Some(run) = loose.last_mut().filter(|_| self.rng.random_bool(0.3)) {
            let at = self.rng.random_range(0..run.len());
            run[at] ^= 1 << self.rng.random_range(0..8);
        }
        let (mut new, mut gaps) = (0, 0);
        let chunk = self.rng.random_range(1..=16);
        for runs in loose.chunks(chunk) {
            let report = self.all.devices[device].book().take_runs(runs);
            let report =
                report.unwrap_or_else(|error| broken(Invariant::HonestPeersAgree, format!("loose runs: {error}")));
            new += report.new;
            gaps += report.refused.iter().filter(|(code, _)| code == "E-003").map(|(_, count)| count).sum::<u64>();
        }
        self.all.devices[device].book().post_all().expect("posted");
        self.add("gaps", gaps);
        self.happened("loose runs taken", &[device as u64, new]);
    }

    fn crash_before_posting(&mut self, device: usize, bytes: &[u8]) {
        let runs = runs(bytes);
        let count = self.rng.random_range(0..=runs.len());
        let report = self.all.devices[device].book().take_runs(&runs[..count]);
        let report = report.unwrap_or_else(|error| broken(Invariant::HonestPeersAgree, format!("whole runs: {error}")));
        hold(report.refused.is_empty(), Invariant::HonestPeersAgree, || {
            format!("whole runs in their order: {report:?}")
        });
        self.lose_links(device);
        self.all.devices[device].crash(&mut self.rng);
        let book = self.all.devices[device].book();
        let shown = book.digest().expect("a digest");
        book.post_all().expect("posted");
        hold(shown == book.digest().expect("a digest"), Invariant::EqualSetsShowTheSame, || {
            format!("device {device} opened and left something unposted")
        });
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
