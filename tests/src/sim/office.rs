//! Who is admitted and who is ended: the root and a deputy write control entries by hand, and hand them to single
//! devices, so that what they say spreads like all else. Keeps what each entry comes to by an account of its own.

use super::device::Place;
use crate::world::{Author, World, WrittenLog};
use daybook_core::clock::{Hlc, random};
use daybook_core::crypto::DeviceSecret;
use daybook_core::id::{CONTROL, CommitId, DeviceId, EntryId, Incarnation, Lane};
use daybook_core::roster::{Control, ControlBody, Endorse, Grant, GrantPath, PlaceOf, Revoke, Role};
use std::collections::{BTreeMap, BTreeSet};

/// Grants that the deputy may make.
const DEPUTY_GRANTS: u32 = 64;

/// A revoke as it was written.
#[derive(Debug)]
pub(super) struct Ended {
    /// Whose grant it ends.
    pub author: usize,
    /// The last trusted entries of each log.
    pub cuts: Vec<PlaceOf>,
    /// The entry.
    pub place: Place,
    /// Whether the deputy wrote it, and where in its log.
    pub by_deputy: Option<u64>,
}

/// Who is admitted, by whom, and who was ended.
#[derive(Debug, Default)]
pub(super) struct Office {
    /// The author that may grant and revoke beneath the root.
    pub deputy: Option<usize>,
    /// Authors whose grant stands on the deputy's.
    pub beneath: BTreeSet<usize>,
    /// All revokes.
    pub ended: Vec<Ended>,
    /// Authors that a bar stops, by the bar.
    pub barred: BTreeMap<EntryId, BTreeSet<usize>>,
    /// All endorsements.
    pub endorsed: Vec<Endorse>,
    /// Entries that were taken out of what counts.
    pub erased: BTreeSet<EntryId>,
}

impl Office {
    /// Writes a control entry of the root, or of an author; returns its id.
    pub fn write(world: &mut World, by: Option<usize>, control: Control) -> EntryId {
        let Some(author) = by else { return world.control(control) };
        let commit = CommitId::new(random(&mut world.host));
        let now_ms = daybook_core::clock::Host::now_ms(&mut world.host);
        let incident = world.incident;
        let author = &mut world.authors[author];
        author.hlc = author.hlc.tick(now_ms);
        let body = ControlBody { commit, hlc: author.hlc, control }.to_bytes();
        author.append(&incident, (CONTROL, Lane::Safety), &body, None);
        control_log(author).and_then(|log| log.entries.last()).map_or(EntryId::ZERO, |entry| entry.id)
    }

    /// Admits a device; returns its author.
    pub fn admit(&mut self, world: &mut World, by_deputy: bool, role: Role, grants: u32) -> usize {
        let by = self.deputy.filter(|_| by_deputy);
        let mut author = Author {
            device: DeviceSecret::random(&mut world.host),
            incarnation: Incarnation::new(random(&mut world.host)),
            grant: EntryId::ZERO,
            hlc: Hlc::default(),
            logs: BTreeMap::new(),
        };
        let grant = Grant {
            device: author.device.public(),
            person: None,
            organisation: None,
            role: role.word().to_owned(),
            rights: role.rights(),
            history: true,
            until_ms: None,
            grants,
            compartments: 0,
            lifts: Vec::new(),
        };
        author.grant = Self::write(world, by, Control::Grant(Box::new(grant)));
        world.authors.push(author);
        let number = world.authors.len() - 1;
        if by.is_some() {
            self.beneath.insert(number);
        }
        number
    }

    /// Takes the root's seat with a book of its own; returns its author.
    pub fn sit_down(world: &mut World) -> usize {
        let device = DeviceSecret::from_secret(&world.root.device.to_secret());
        let incarnation = Incarnation::new(random(&mut world.host));
        let (grant, hlc) = (world.root.grant, Hlc::default());
        world.authors.push(Author { device, incarnation, grant, hlc, logs: BTreeMap::new() });
        world.authors.len() - 1
    }

    /// Admits the deputy.
    pub fn admit_deputy(&mut self, world: &mut World) {
        let deputy = self.admit(world, false, Role::Admin, DEPUTY_GRANTS);
        Self::write(world, Some(deputy), Control::Incarnation { previous: Vec::new() });
        self.deputy = Some(deputy);
    }

    /// Ends the grant of an author, by the deputy if it is beneath it and `by_deputy` says so. What it wrote up to
    /// `trusted` stays.
    pub fn end(&mut self, world: &mut World, author: usize, by_deputy: bool, trusted: &[PlaceOf]) {
        let by = self.deputy.filter(|_| by_deputy && self.beneath.contains(&author));
        let mut cuts = trusted.to_vec();
        cuts.sort_unstable();
        let id = Self::write(
            world,
            by,
            Control::Revoke(Revoke {
                grants: vec![world.authors[author].grant],
                spares: Vec::new(),
                cuts: cuts.clone(),
                devices: vec![device_id(world, author)],
                reason: None,
                part: None,
            }),
        );
        let place = self.places(world).into_iter().find(|place| place.id == id).expect("just written");
        self.ended.push(Ended { author, cuts, by_deputy: by.map(|_| place.seq), place });
    }

    /// Takes in what the office wrote with a book of its own.
    pub fn note(&mut self, world: &World, place: Place, control: Control) {
        match control {
            Control::Revoke(revoke) => {
                let authors = world.authors.iter().enumerate();
                for (author, _) in authors.filter(|(_, author)| revoke.grants.contains(&author.grant)) {
                    self.ended.push(Ended { author, cuts: revoke.cuts.clone(), place, by_deputy: None });
                }
            }
            Control::Bar { devices } => {
                let barred = (0..world.authors.len()).filter(|author| devices.contains(&device_id(world, *author)));
                self.barred.insert(place.id, barred.collect());
            }
            Control::Endorse(endorse) => {
                if endorse.grants.is_empty() {
                    self.barred.retain(|bar, _| !endorse.lifts.contains(bar));
                }
                self.endorsed.push(endorse);
            }
            Control::Erase { entries, .. } => self.erased.extend(entries.iter().map(|place| place.id)),
            Control::Incarnation { .. }
            | Control::Grant(_)
            | Control::Approve(_)
            | Control::Epoch(_)
            | Control::Compartment { .. }
            | Control::Newer => {}
        }
    }

    /// Whether a bar stops an author.
    pub fn is_barred(&self, author: usize) -> bool {
        self.barred.values().any(|authors| authors.contains(&author))
    }

    /// The revokes that do not count for an author's grant, since somebody above endorsed it.
    pub fn lifted_for(&self, world: &World, author: usize) -> BTreeSet<EntryId> {
        let grant = world.authors[author].grant;
        let of = self.endorsed.iter().filter(|endorse| endorse.grants.contains(&grant));
        of.flat_map(|endorse| endorse.lifts.iter().copied()).collect()
    }

    /// Whether anybody stops an author: its grant does not count, or a revoke bars it, even one past its author's cut.
    pub fn is_stopped(&self, world: &World, author: usize) -> bool {
        let ended = self.ended.iter().any(|ended| ended.author == author);
        ended || self.is_barred(author) || !self.grant_counts(world, author)
    }

    /// Whether the grant of an author counts as long as nobody ends it: one of the deputy, if it wrote it before its
    /// own cut.
    pub fn grant_counts(&self, world: &World, author: usize) -> bool {
        let grant = world.authors[author].grant;
        let log = self.deputy.and_then(|deputy| control_log(&world.authors[deputy]));
        let of_deputy = log.and_then(|log| log.entries.iter().find(|entry| entry.id == grant));
        of_deputy.is_none_or(|entry| self.deputy_may_write(world, entry.seq, &self.lifted_for(world, author)))
    }

    /// Revokes that count: the root's, and those that the deputy wrote before its own cut.
    pub fn in_effect<'a>(&'a self, world: &'a World) -> impl Iterator<Item = &'a Ended> {
        let counts = |seq| self.deputy_may_write(world, seq, &BTreeSet::new());
        self.ended.iter().filter(move |ended| ended.by_deputy.is_none_or(counts))
    }

    /// Whether an entry of the deputy's log lies before every cut of it, but for those that are `lifted`.
    fn deputy_may_write(&self, world: &World, seq: u64, lifted: &BTreeSet<EntryId>) -> bool {
        let Some((deputy, log)) = self.deputy.and_then(|d| Some((d, control_log(&world.authors[d])?))) else {
            return true;
        };
        let for_all = self.lifted_for(world, deputy);
        let mut cuts = self
            .ended
            .iter()
            .filter(|cut| cut.author == deputy)
            .filter(|cut| !for_all.contains(&cut.place.id) && !lifted.contains(&cut.place.id));
        cuts.all(|cut| cut.cuts.iter().any(|place| place.log == log.log && seq <= place.seq))
    }

    /// All control entries that root and deputy wrote.
    pub fn runs(&self, world: &World) -> Vec<Vec<u8>> {
        let mut runs = world.control_runs();
        runs.extend(self.runs_of_deputy(world));
        runs
    }

    /// The control entries of the deputy.
    pub fn runs_of_deputy(&self, world: &World) -> Vec<Vec<u8>> {
        let log = self.deputy.and_then(|deputy| control_log(&world.authors[deputy]));
        log.map(|log| log.runs(512)).unwrap_or_default()
    }

    /// The places of all that root and deputy wrote.
    pub fn places(&self, world: &World) -> Vec<Place> {
        let logs = control_log(&world.root).into_iter();
        let logs = logs.chain(self.deputy.and_then(|deputy| control_log(&world.authors[deputy])));
        let place = |log: &WrittenLog| {
            let log_id = log.log;
            log.entries.iter().map(move |e| Place { log: log_id, seq: e.seq, id: e.id }).collect::<Vec<_>>()
        };
        logs.flat_map(place).collect()
    }

    /// The places that a device must hold to know of the grant of an author.
    pub fn grant_places(&self, world: &World, author: usize) -> Vec<Place> {
        let mut grants = vec![world.authors[author].grant];
        if self.beneath.contains(&author) {
            grants.extend(self.deputy.map(|deputy| world.authors[deputy].grant));
        }
        self.places(world).into_iter().filter(|place| grants.contains(&place.id)).collect()
    }

    /// The grant path of an author.
    pub fn path(&self, world: &World, author: usize) -> Vec<u8> {
        let mut runs = Vec::new();
        if let (true, Some(deputy)) = (self.beneath.contains(&author), self.deputy) {
            runs.extend(run_of(&world.root, &world.authors[deputy].grant));
            runs.extend(run_of(&world.authors[deputy], &world.authors[author].grant));
        } else {
            runs.extend(run_of(&world.root, &world.authors[author].grant));
        }
        GrantPath::to_bytes(&world.founding, &runs)
    }
}

/// The id of an author's device.
pub(super) fn device_id(world: &World, author: usize) -> DeviceId {
    world.authors[author].device.public().device_id()
}

fn control_log(author: &Author) -> Option<&WrittenLog> {
    author.logs.get(&(CONTROL, Lane::Safety))
}

fn run_of(author: &Author, entry: &EntryId) -> Option<Vec<u8>> {
    let log = control_log(author)?;
    let at = log.entries.iter().position(|written| written.id == *entry)?;
    Some(log.run(at, at + 1))
}
