//! A camp: books on disk whose keys the tests know, an administrator with a book who admits, and stops (revokes
//! and bars) that are forged with the keys of the world.

use crate::host::SeededHost;
use crate::pair::Link;
use crate::world::{Author, World};
use daybook_core::clock::random;
use daybook_core::crypto::{DatabaseKey, DeviceSecret, KeySpace, Label, Place, ReadingKey, derive, open_history};
use daybook_core::daybook::{Daybook, EnrolmentRequest, Membership, Terms};
use daybook_core::entry::Sealed;
use daybook_core::id::{CONTROL, CommitId, CompartmentId, DeviceId, EntryId, KeyId, Lane};
use daybook_core::record::{Name, Setting};
use daybook_core::roster::{Control, ControlBody, Grant, Role};
use daybook_core::store::{Store, StoredSecret};
use daybook_core::sync::{Limits, Side};
use std::collections::BTreeMap;
use std::path::PathBuf;
use tempfile::TempDir;

/// One member with a book.
#[derive(Debug)]
pub struct Member {
    /// The book.
    pub book: Daybook,
    /// The device's keys.
    pub device: DeviceSecret,
    /// The grant that it was given; the incident id for the root.
    pub grant: EntryId,
    key: DatabaseKey,
    path: PathBuf,
}

/// A sealed entry as it lies in some book.
#[derive(Clone, Debug)]
pub struct SealedAt {
    /// Its id.
    pub id: EntryId,
    /// Its author.
    pub device: DeviceId,
    /// The key that it names.
    pub key: KeyId,
    place: Place,
    nonce: daybook_core::crypto::Nonce,
    body: Vec<u8>,
}

/// Books, and the world whose keys sign what no command says.
#[derive(Debug)]
pub struct Camp {
    /// The incident.
    pub world: World,
    /// The members; the first is the root.
    pub members: Vec<Member>,
    folder: TempDir,
    seed: u64,
}

impl Camp {
    /// A camp with the root's book.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let world = World::new(seed, 0, Role::Clinician);
        let folder = tempfile::tempdir_in(crate::history::scratch()).expect("a folder");
        let root = DeviceSecret::from_secret(&world.root.device.to_secret());
        let grant = EntryId::new(*world.incident.as_bytes());
        let mut camp = Self { world, members: Vec::new(), folder, seed: seed * 1_000 };
        let membership = camp.world.membership(&root);
        camp.join(root, grant, &membership);
        camp.hear(0, None);
        camp
    }

    fn host(&mut self) -> Box<SeededHost> {
        self.seed += 1;
        Box::new(SeededHost::new(self.seed))
    }

    fn join(&mut self, device: DeviceSecret, grant: EntryId, membership: &Membership) -> usize {
        let path = self.folder.path().join(self.members.len().to_string());
        let mut host = self.host();
        let key = DatabaseKey::random(host.as_mut());
        let book = Daybook::join_with_key(&path, &key, membership, host).expect("a book");
        self.members.push(Member { book, device, grant, key, path });
        self.members.len() - 1
    }

    /// Makes a book without keys for a device that somebody granted something.
    pub fn join_without_keys(&mut self, device: DeviceSecret, grant: EntryId) -> usize {
        let mut membership = self.world.membership(&device);
        membership.secrets.clear();
        self.join(device, grant, &membership)
    }

    /// Lets the root admit a new member, who gets everything at the first meeting.
    pub fn admit(&mut self, role: Role, history: bool) -> usize {
        self.admit_until(role, history, None)
    }

    /// As [`Camp::admit`], until the end of a shift.
    pub fn admit_until(&mut self, role: Role, history: bool, until_ms: Option<i64>) -> usize {
        let device = DeviceSecret::random(self.host().as_mut());
        let request =
            EnrolmentRequest::new(device.public(), &format!("member {}", self.members.len())).expect("a name");
        let terms = Terms { role, organisation: None, history, until_ms, site: None, addresses: Vec::new() };
        self.members[0].book.grant(&request, &terms).expect("a grant");
        let id = device.public().device_id();
        let roster = self.members[0].book.roster().expect("a roster");
        let grant = *roster.grants_of(id).next().expect("the grant").0;
        let member = self.join_without_keys(device, grant);
        // From the file it learns its own grant path, which it shows.
        self.hand_over(0, member);
        assert!(self.meet(0, member), "the newcomer meets the root");
        member
    }

    /// A grant that the world's root, or one of its authors, signs.
    pub fn forge_grant(&mut self, by: Option<usize>, device: &DeviceSecret, role: Role, grants: u32) -> EntryId {
        let grant = Grant {
            device: device.public(),
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
        self.forge(by, Control::Grant(Box::new(grant)))
    }

    /// A control entry that the world's root, or one of its authors, signs; nobody has heard of it yet.
    pub fn forge(&mut self, by: Option<usize>, control: Control) -> EntryId {
        let Some(author) = by else { return self.world.control(control) };
        let commit = CommitId::new(random(&mut self.world.host));
        let incident = self.world.incident;
        let author = &mut self.world.authors[author];
        author.hlc = author.hlc.tick(World::start_ms());
        let body = ControlBody { commit, hlc: author.hlc, control }.to_bytes();
        author.append(&incident, (CONTROL, Lane::Safety), &body, None);
        last(author)
    }

    /// An author without a book who administers: his grant stands on the root.
    pub fn administrator(&mut self) -> usize {
        let device = DeviceSecret::random(&mut self.world.host);
        let grant = self.forge_grant(None, &device, Role::Admin, 50);
        let author = self.world.admit(Role::Relay);
        (author.device, author.grant) = (device, grant);
        self.world.authors.len() - 1
    }

    /// Lets a member's book take in what the world's root, or one of its authors, signed.
    pub fn hear(&mut self, member: usize, of: Option<usize>) {
        let runs = match of {
            None => self.world.control_runs(),
            Some(author) => self.world.authors[author].logs[&(CONTROL, Lane::Safety)].runs(512),
        };
        let book = &mut self.members[member].book;
        let report = book.take_runs(&runs).expect("runs are taken");
        assert!(report.refused.is_empty(), "{report:?}");
        book.post_all().expect("posted");
    }

    /// Lets two members meet in a session; whether both were in sync at its end.
    pub fn meet(&mut self, one: usize, two: usize) -> bool {
        let (one, two) = self.two(one, two);
        let caller = one.book.session(Side::Caller, Limits::default(), 0);
        let called = two.book.session(Side::Called, Limits::default(), 0);
        let (Ok(caller), Ok(called)) = (caller, called) else { return false };
        let mut link = Link::new(caller, called);
        link.settle([&mut one.book, &mut two.book]);
        link.in_sync(0) && link.in_sync(1)
    }

    /// As [`Camp::meet`], and both part in order, with receipts. The rule by which the first was sent away, if so.
    pub fn meet_and_part(&mut self, one: usize, two: usize) -> Option<String> {
        let (one, two) = self.two(one, two);
        let caller = one.book.session(Side::Caller, Limits::default(), 0).expect("a session");
        let called = two.book.session(Side::Called, Limits::default(), 0).expect("a session");
        let mut link = Link::new(caller, called);
        link.settle([&mut one.book, &mut two.book]);
        let refused = link.reason(0).map(|reason| reason.code().to_owned());
        link.ends[0].close(link.now_ms, &mut one.book);
        link.settle([&mut one.book, &mut two.book]);
        refused
    }

    /// Lets two members meet without parting: the rule by which the first was sent away, if so.
    pub fn first_refusal(&mut self, one: usize, two: usize) -> Option<String> {
        let (one, two) = self.two(one, two);
        let caller = one.book.session(Side::Caller, Limits::default(), 0).expect("a session");
        let called = two.book.session(Side::Called, Limits::default(), 0).expect("a session");
        let mut link = Link::new(caller, called);
        link.settle([&mut one.book, &mut two.book]);
        link.reason(0).map(|reason| reason.code().to_owned())
    }

    /// Hands the logs of one member over to another as a file, without any keys.
    pub fn hand_over(&mut self, from: usize, to: usize) {
        let mut file = Vec::new();
        self.members[from].book.export_log(&mut file).expect("an export");
        let file = without_parcels(&file);
        self.members[to].book.ingest(&mut file.as_slice(), &mut |_| {}).expect("taken in");
    }

    fn two(&mut self, one: usize, two: usize) -> (&mut Member, &mut Member) {
        let [one, two] = self.members.get_disjoint_mut([one, two]).expect("two members");
        (one, two)
    }

    /// Lets a member register a patient; the id of the entry.
    pub fn write(&mut self, member: usize, family: &str) -> Result<EntryId, daybook_core::daybook::Error> {
        let before: BTreeMap<EntryId, SealedAt> = self.sealed(member);
        let name = Name { family, given: vec![], text: "" };
        self.members[member].book.add_patient(&[Setting::Name(name, Some(""))])?;
        let after = self.sealed(member);
        let new: Vec<EntryId> = after.into_keys().filter(|id| !before.contains_key(id)).collect();
        assert_eq!(new.len(), 1, "one entry");
        Ok(new[0])
    }

    /// The database of a member, opened a second time.
    #[must_use]
    pub fn store(&self, member: usize) -> Store {
        let member = &self.members[member];
        Store::open(&member.path.join("book.db"), &member.key).expect("the database")
    }

    /// Opens a member's book again, as when its program was started anew.
    pub fn reopen(&mut self, member: usize, host: Box<SeededHost>) {
        let path = self.members[member].path.clone();
        let book = Daybook::open_with_key(&path, &self.members[member].key, host).expect("the book");
        self.members[member].book = book;
    }

    /// All sealed entries in a member's book.
    #[must_use]
    pub fn sealed(&self, member: usize) -> BTreeMap<EntryId, SealedAt> {
        let store = self.store(member);
        let connection = store.read().expect("readable");
        let mut found = BTreeMap::new();
        for log in Store::logs(connection).expect("logs").iter().filter(|log| !log.name.is_control()) {
            for branch in Store::branches(connection, log.number).expect("branches") {
                let range = (branch.fork_seq + 1, branch.tip_seq);
                Store::entries(connection, (log.number, branch.branch), range, |entry| {
                    let Sealed::Body(body) = entry.sealed() else { return Ok(true) };
                    let place = Place { incident: self.world.incident, log: log.log, seq: entry.key.seq() };
                    let (key, device) = (entry.ground.key, log.name.device);
                    let (nonce, body) = (entry.nonce, body.to_vec());
                    found.insert(entry.id, SealedAt { id: entry.id, device, key, place, nonce, body });
                    Ok::<bool, daybook_core::store::StoreError>(true)
                })
                .expect("entries");
            }
        }
        found
    }

    /// Every key that a member's book holds, and that what it holds leads to: kept secrets, and all that opens
    /// with them of the histories of all epochs that any book knows.
    pub fn keys(&mut self, member: usize) -> Vec<ReadingKey> {
        let kept = self.store(member).secrets().expect("secrets");
        let mut epochs = Vec::new();
        for at in 0..self.members.len() {
            epochs.extend(self.members[at].book.roster().expect("a roster").epochs().values().cloned());
        }
        let mut keys: BTreeMap<KeyId, ReadingKey> = BTreeMap::new();
        let mut open: Vec<StoredSecret> = kept.into_iter().map(|(_, _, secret)| secret).collect();
        while let Some(secret) = open.pop() {
            let reading = secret.reading_key();
            if keys.insert(reading.key_id(), reading).is_some() {
                continue;
            }
            let StoredSecret::History(secret) = secret else { continue };
            for epoch in &epochs {
                let space = KeySpace { incident: self.world.incident, compartment: epoch.compartment };
                let opened = open_history(&secret, &space, &epoch.history).unwrap_or_default();
                open.extend(opened.into_iter().map(StoredSecret::History));
            }
        }
        keys.into_values().collect()
    }

    /// Which of these entries a member can open with any key that it holds, whatever key they name.
    pub fn opens(&mut self, member: usize, entries: &BTreeMap<EntryId, SealedAt>) -> Vec<EntryId> {
        let keys = self.keys(member);
        let mut body = Vec::new();
        let mut opens = |entry: &SealedAt| {
            keys.iter().any(|key| key.open(&entry.place, &entry.nonce, &entry.body, &mut body).is_ok())
        };
        entries.values().filter(|entry| opens(entry)).map(|entry| entry.id).collect()
    }

    /// The compartment of clinical records.
    #[must_use]
    pub fn clinical(&self) -> CompartmentId {
        self.world.compartment(daybook_core::roster::CompartmentKind::Clinical)
    }
}

fn last(author: &Author) -> EntryId {
    let log = &author.logs[&(CONTROL, Lane::Safety)];
    log.entries.last().expect("just written").id
}

/// An export as programs wrote it before files carried parcels.
fn without_parcels(file: &[u8]) -> Vec<u8> {
    let length = |at: usize| u32::from_le_bytes(*file[at..].first_chunk().expect("a length")) as usize;
    let mut at = 18 + length(14);
    let mut kept = file[..at].to_vec();
    while file[at] != 0 {
        let end = at + 5 + length(at + 1);
        if file[at] != 2 {
            kept.extend_from_slice(&file[at..end]);
        }
        at = end;
    }
    let hash = derive(Label::Export, &[&kept]);
    [&kept[..], &[0, 32, 0, 0, 0], &hash].concat()
}
