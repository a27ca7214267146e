//! What befalls devices: restarts, loss of power, failing disks, copies, clocks, partitions, members that come and
//! go, and attacks that are no meeting.

use super::World;
use super::device::Place;
use super::invariant::{Invariant, hold};
use crate::attacker::{Attacker, kind};
use crate::crash::disk::Fault;
use crate::memory::Watch;
use daybook_core::clock::DAY_MS;
use daybook_core::crypto::DeviceSecret;
use daybook_core::id::LogId;
use daybook_core::roster::{PlaceOf, Role};
use daybook_core::sync::{Limits, Shelf, Side};
use rand::RngExt;
use rand::seq::IndexedRandom;
use std::collections::BTreeSet;

/// Devices at most, copies and newcomers counted.
const DEVICES_MAX: usize = 14;
/// Frames of one attack.
const FRAMES: usize = 60;
/// Pieces of a frame that never ends.
const PIECES: usize = 1_600;
/// What a session may hold of an attacker's frames.
const ATTACK_BYTES_MAX: i64 = 12 * 1024 * 1024;

impl World {
    /// The program of a device ends and starts again, with conversations open or not.
    pub(super) fn restart(&mut self) {
        self.look_at_disks();
        let device = self.any_device();
        let crash = self.rng.random_bool(0.6);
        self.lose_links(device);
        if crash {
            self.all.devices[device].crash(&mut self.rng);
        } else {
            if !self.all.devices[device].disk_is_faulty() {
                self.all.devices[device].book().post_all().expect("posted");
            }
            let before = self.look(device);
            self.all.devices[device].restart();
            hold(before == self.look(device), Invariant::ShownStaysWithoutNews, || {
                format!("device {device} shows something else after it started again")
            });
        }
        self.happened(if crash { "crashes" } else { "restarts" }, &[device as u64]);
    }

    /// Somebody looks at all that a device shows; nobody does while its disk is about to fail: a reading is written
    /// down, and a book whose disk failed shows nothing.
    pub(super) fn look(&mut self, device: usize) -> Option<blake3::Hash> {
        if self.all.devices[device].disk_is_faulty() {
            return None;
        }
        let mut before = self.all.devices[device].tips();
        let shown = self.all.devices[device].shown(&self.patients);
        // Who read what is written down, now or later.
        self.note_written(device, &mut before, &mut 0);
        Some(shown)
    }

    pub(super) fn lose_links(&mut self, device: usize) {
        for at in 0..self.links.len() {
            if self.links[at].has(device) {
                let is_told = self.rng.random_bool(0.5);
                self.links[at].lose(device, is_told);
                self.add("restarts in a meeting", 1);
            }
        }
    }

    /// Somebody sets a clock.
    pub(super) fn jump(&mut self) {
        let device = self.any_device();
        let by_ms = self.rng.random_range(-400..=40) * DAY_MS;
        self.look_at_disks();
        let before = self.look(device);
        self.all.devices[device].clock.jump(by_ms);
        hold(before == self.look(device), Invariant::ShownStaysWithoutNews, || {
            format!("device {device} shows something else since its clock was set")
        });
        self.happened("clocks set", &[device as u64, by_ms.cast_unsigned()]);
    }

    /// A disk is about to fail, in the middle of whatever happens then.
    pub(super) fn fail_a_disk(&mut self) {
        let device = self.any_device();
        if self.all.devices[device].disk_is_faulty() {
            return;
        }
        let fault = *Fault::ALL.choose(&mut self.rng).expect("not empty");
        let after = self.rng.random_range(0..60);
        self.all.devices[device].let_disk_fail(after, fault);
        self.happened("disks about to fail", &[device as u64, after as u64]);
    }

    /// Devices whose disk failed are mended and started again, or lose their power in the middle of it.
    pub(super) fn look_at_disks(&mut self) {
        for device in 0..self.all.devices.len() {
            if self.all.devices[device].disk_failed() {
                self.mend(device);
            } else {
                self.all.devices[device].tidy();
            }
        }
    }

    /// Mends a disk; the program starts again.
    pub(super) fn mend(&mut self, device: usize) {
        self.lose_links(device);
        let power = self.rng.random_bool(0.5);
        self.all.devices[device].mend();
        if power {
            self.all.devices[device].lose_power(&mut self.rng);
        } else {
            self.all.devices[device].start_again();
        }
        let own = if self.all.devices[device].replaced { Vec::new() } else { self.all.devices[device].written.clone() };
        for place in own {
            hold(self.all.devices[device].holds(&place), Invariant::NothingAcknowledgedIsLost, || {
                format!("device {device} had {place:?} acknowledged, and its disk failed")
            });
        }
        self.happened(if power { "power lost on a failing disk" } else { "failing disks" }, &[device as u64]);
    }

    /// Somebody copies a device, or puts the copy in its place, or uses both.
    pub(super) fn copy_or_replace(&mut self) {
        let device = self.any_device();
        // The office keeps its book in a safe.
        if self.all.devices[device].disk_is_faulty() || (device == 0 && self.plan.desk) {
            return;
        }
        match self.rng.random_range(0..8) {
            0..4 => {
                self.all.devices[device].keep_image();
                self.happened("copies", &[device as u64]);
            }
            4 => self.clone_phone(device),
            _ => self.replace(device),
        }
    }

    fn replace(&mut self, device: usize) {
        if self.count("replaced") >= 4 || !self.all.devices[device].has_image() {
            return;
        }
        self.lose_links(device);
        self.all.devices[device].put_image_back();
        self.forget_lost();
        self.happened("replaced", &[device as u64]);
    }

    fn clone_phone(&mut self, device: usize) {
        let number = self.all.devices.len();
        if number >= DEVICES_MAX || self.count("clones") >= 2 || self.plan.topology == super::Topology::Chain {
            return;
        }
        let clock = self.draw_clock();
        let root = self.root.clone();
        let copy = self.all.devices[device].copied(number, &root, clock);
        self.all.devices.push(copy);
        self.happened("clones", &[device as u64]);
    }

    /// Halves that do not meet for a while, or longer.
    pub(super) fn divide(&mut self) {
        let done = self.count("operations");
        if self.split.as_ref().is_some_and(|(until, _)| *until > done) || self.rng.random_bool(0.7) {
            return;
        }
        let length =
            if self.rng.random_bool(0.3) { self.rng.random_range(150..300) } else { self.rng.random_range(10..80) };
        let halves = (0..DEVICES_MAX).map(|_| self.rng.random_bool(0.5)).collect();
        self.split = Some((done + length, halves));
        self.happened(if length >= 150 { "long partitions" } else { "partitions" }, &[length]);
    }

    /// Whether two devices are in different halves.
    pub(super) fn are_divided(&self, [a, b]: [usize; 2]) -> bool {
        let Some((until, halves)) = &self.split else { return false };
        *until > self.count("operations") && halves[a] != halves[b]
    }

    /// Somebody comes, or somebody's grant is ended; one half of the devices hears of it.
    pub(super) fn change_members(&mut self) {
        if self.rng.random_bool(0.3) && self.all.devices.len() < DEVICES_MAX {
            let by_deputy = self.rng.random_bool(0.5);
            let role = *[Role::Clinician, Role::Dispenser].choose(&mut self.rng).expect("not empty");
            let author = self.office.admit(&mut self.keys, by_deputy, role, 0);
            let device = self.join(author, role);
            self.happened("newcomers", &[device as u64]);
            return self.tell(by_deputy);
        }
        let stays = |author: usize| self.office.is_stopped(&self.keys, author) || author == self.all.devices[0].author;
        let honest = self.all.devices.iter().map(|device| device.author);
        let stopped =
            honest.clone().filter(|author| self.office.is_stopped(&self.keys, *author)).collect::<BTreeSet<_>>().len();
        let hostile = self.all.hostile.iter().map(|hostile| hostile.author);
        // Most stay: a world of the revoked alone shows nothing.
        let candidates: Vec<usize> = if stopped * 3 < self.plan.roles.len() {
            honest.chain(hostile).chain(self.office.deputy).filter(|author| !stays(*author)).collect()
        } else {
            hostile.filter(|author| !stays(*author)).collect()
        };
        let Some(author) = candidates.choose(&mut self.rng).copied() else { return };
        if self.plan.desk && self.rng.random_bool(0.5) && self.revoke_at_the_desk(author) {
            self.happened("revokes", &[author as u64]);
            return self.notice(0, None);
        }
        let by_deputy = self.rng.random_bool(0.5);
        let trusted = self.trusted(author);
        let before = self.office.ended.last().map(|ended| ended.place);
        self.office.end(&mut self.keys, author, by_deputy, &trusted);
        // The device that hears of this one knows nothing of the last.
        let races = before.is_some_and(|place| self.all.devices.iter_mut().any(|device| !device.holds(&place)));
        self.add("races of revokes", u64::from(races));
        self.happened("revokes", &[author as u64]);
        self.tell(by_deputy);
    }

    /// Hands what root or deputy wrote to one device, so that it spreads from there.
    pub(super) fn tell(&mut self, by_deputy: bool) {
        let device = self.any_device();
        let runs = if by_deputy { self.office.runs_of_deputy(&self.keys) } else { self.keys.control_runs() };
        if self.all.devices[device].book().take_runs(&runs).is_ok() {
            let _ = self.all.devices[device].book().post_all();
        }
        self.notice(device, None);
    }

    /// What some device holds of an author's logs; of some less is trusted, some are not named.
    fn trusted(&mut self, author: usize) -> Vec<PlaceOf> {
        let mut logs: BTreeSet<LogId> = BTreeSet::new();
        let of_author = |author_of: usize| author_of == author;
        for device in self.all.devices.iter().filter(|device| of_author(device.author)) {
            logs.extend(device.written.iter().map(|place| place.log));
        }
        for hostile in self.all.hostile.iter().filter(|hostile| hostile.author == author) {
            logs.extend(hostile.wrote.values().map(|(place, _)| place.log));
        }
        if self.office.deputy == Some(author) {
            logs.extend(self.office.runs_of_deputy(&self.keys).first().map(|_| self.deputy_log()));
        }
        let seen_by = self.any_device();
        let mut places = Vec::new();
        for log in logs {
            let book = self.all.devices[seen_by].book();
            let Ok(Some(heads)) = book.heads(&log) else { continue };
            let Some(branch) = heads.branches.choose(&mut self.rng) else { continue };
            let seq = match self.rng.random_range(0..10) {
                0 => continue,
                1..4 => self.rng.random_range(branch.fork_seq.min(branch.tip_seq - 1) + 1..=branch.tip_seq),
                _ => branch.tip_seq,
            };
            let row = daybook_core::sync::row_of(&heads.branches, branch.branch, seq);
            let Ok(Some(id)) = book.entry_id(heads.number, row, seq) else { continue };
            places.push(PlaceOf { log, seq, id });
        }
        places
    }

    fn deputy_log(&self) -> LogId {
        let places = self.office.places(&self.keys);
        places.last().map_or(LogId::new([0; 32]), |place| place.log)
    }

    /// A hostile member writes.
    pub(super) fn hostile_write(&mut self) {
        if self.all.hostile.is_empty() {
            return;
        }
        let at = self.rng.random_range(0..self.all.hostile.len());
        let now_ms = crate::host::START_MS + self.now_ms.cast_signed();
        if self.all.hostile[at].wrote.len() < 400 {
            let what = self.all.hostile[at].write(&mut self.keys, &self.patients, now_ms);
            self.happened(what, &[at as u64]);
        }
    }

    /// A hostile member says frame after frame that make no sense.
    pub(super) fn attack(&mut self) {
        if self.all.hostile.is_empty() {
            return;
        }
        let device = self.any_device();
        let hostile = self.rng.random_range(0..self.all.hostile.len());
        let author = self.all.hostile[hostile].author;
        let path = self.office.path(&self.keys, author);
        let key = DeviceSecret::from_secret(&self.keys.authors[author].device.to_secret());
        let now_ms = self.now_ms;
        self.write_readings(device);
        let book = self.all.devices[device].book();
        let Ok(mut session) = book.session(Side::Called, Limits::default(), 0) else { return };
        let watch = Watch::begin();
        let mut attacker = Attacker::introduced(&self.keys, &key, &path, &mut session, book);
        let mut heard: Vec<(u8, Vec<u8>)> = Vec::new();
        let endless = self.rng.random_bool(0.5);
        let piece = [7; 16_000];
        for _ in 0..if endless { PIECES } else { 0 } {
            if session.is_ended() {
                break;
            }
            attacker.now_ms += 50;
            let sealed = attacker.sealed(kind::RUN | kind::MORE, &piece);
            session.receive(&sealed, attacker.now_ms, book);
        }
        for _ in 0..FRAMES {
            if session.is_ended() {
                break;
            }
            heard.extend(attacker.hear(&mut session, book));
            // A frame of its own, or one of the other side thrown back with a byte changed.
            let (number, mut payload) = match heard.choose(&mut self.rng) {
                Some(frame) if self.rng.random_bool(0.6) => frame.clone(),
                _ => {
                    let length = 1 << self.rng.random_range(0..12);
                    (self.rng.random_range(0..20), (0..length).map(|_| self.rng.random()).collect())
                }
            };
            if !payload.is_empty() && self.rng.random_bool(0.8) {
                let at = self.rng.random_range(0..payload.len());
                payload[at] = self.rng.random();
            }
            attacker.now_ms += 50;
            attacker.say(number, &payload, &mut session, book);
        }
        let grew = watch.peak();
        session.disconnected(now_ms, book);
        hold(grew <= ATTACK_BYTES_MAX, Invariant::MemoryIsBounded, || {
            format!("device {device} needed {grew} bytes for the frames of an attacker")
        });
        while let Some(event) = session.poll_event() {
            if let daybook_core::sync::Event::Ended(daybook_core::sync::Reason::Bug(what)) = event {
                super::invariant::broken(Invariant::NothingPanics, format!("device {device} ends a session: {what}"));
            }
        }
        if let Some(run) = self.all.hostile[hostile].unjoined(&self.keys) {
            let report = self.all.devices[device].book().take_runs(&[run]);
            self.add("runs that join nothing", u64::from(report.is_ok_and(|report| !report.refused.is_empty())));
        }
        self.happened("attacks", &[device as u64]);
    }

    /// The places that were written on a device since then; those that were not told are unsure.
    pub(super) fn note_unsure(&mut self, device: usize, places: Vec<Place>) {
        self.lost.extend(places.iter().copied());
        self.all.devices[device].unsure.extend(places);
    }

    /// Whether two devices are still to come to the same in the end.
    pub(super) fn is_stopped(&self, device: usize) -> bool {
        self.office.is_stopped(&self.keys, self.all.devices[device].author)
    }

    /// Whether a device was told all that it needs to write.
    pub(super) fn knows_its_grant(&mut self, device: usize) -> bool {
        let author = self.all.devices[device].author;
        let places = self.office.grant_places(&self.keys, author);
        (device == 0 && self.plan.desk || !places.is_empty())
            && places.iter().all(|place| self.all.devices[device].holds(place))
    }

    /// The honest devices that are served to the end.
    pub(super) fn standing(&self) -> Vec<usize> {
        (0..self.all.devices.len()).filter(|device| !self.is_stopped(*device)).collect()
    }
}
