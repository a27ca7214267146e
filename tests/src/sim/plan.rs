//! What is drawn for a seed: who is there, who meets whom, how bad it gets.

use daybook_core::roster::Role;
use rand::RngExt;
use rand::seq::{IndexedRandom, SliceRandom};
use rand_chacha::ChaCha20Rng;

/// Who meets whom.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Topology {
    /// Everybody everybody.
    All,
    /// Each the next one.
    Chain,
    /// All the first one, and nobody else; it only carries, like a hub.
    Star,
    /// Everybody everybody, two at a time; while they meet hardly anybody writes, and they never stay.
    MeetingsOnly,
}

/// What is drawn for a seed.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// What each honest device is admitted as.
    pub roles: Vec<Role>,
    /// What each hostile member is admitted as.
    pub hostile: Vec<Role>,
    /// Who meets whom.
    pub topology: Topology,
    /// How many runs of a carried file are lost, at most 0.3.
    pub lost: f64,
    /// How many come twice, at most 0.5.
    pub doubled: f64,
    /// How many streams are rough, at most 0.3.
    pub rough: f64,
    /// Whether devices are copied and replaced by copies.
    pub forks: bool,
    /// Whether disks fail.
    pub disks_fail: bool,
    /// Whether members come and go.
    pub churn: bool,
    /// Whether the first device is the root's own, with which the office decides.
    pub desk: bool,
}

impl Plan {
    /// Draws one.
    pub fn draw(rng: &mut ChaCha20Rng) -> Self {
        let count = *[2, 2, 3, 3, 4, 4, 5, 6, 7, 8, 10, 12].choose(rng).expect("not empty");
        let topologies = [Topology::All, Topology::Chain, Topology::Star, Topology::MeetingsOnly];
        let topology = *topologies.choose(rng).expect("not empty");
        let churn = count > 3 && matches!(topology, Topology::All | Topology::MeetingsOnly) && rng.random_bool(0.5);
        let mut roles: Vec<Role> = (1..count)
            .map(|_| match rng.random_range(0..10) {
                0..4 => Role::Admin,
                4..7 => Role::Clinician,
                7..9 => Role::Dispenser,
                _ if matches!(topology, Topology::Chain) => Role::Clinician,
                _ => *[Role::Logistician, Role::Auditor].choose(rng).expect("not empty"),
            })
            .collect();
        let relays = if count > 2 { *[0, 0, 1, 1, 2].choose(rng).expect("not empty") } else { 0 };
        roles.iter_mut().rev().take(relays.min(count - 2)).for_each(|role| *role = Role::Relay);
        roles.shuffle(rng);
        // The middle of a star does not write: somebody else must be able to register.
        let registers = |role: &Role| matches!(role, Role::Admin | Role::Clinician | Role::Dispenser);
        if topology == Topology::Star && !roles.iter().any(registers) {
            roles[0] = Role::Clinician;
        }
        roles.insert(0, Role::Admin);
        let hostile = *[0, 0, 1, 1, 2, 3].choose(rng).expect("not empty");
        let hostile = (0..hostile)
            .map(|_| *[Role::Clinician, Role::Dispenser, Role::Logistician].choose(rng).expect("not empty"))
            .collect();
        Self {
            roles,
            hostile,
            topology,
            lost: rng.random_range(0.0..0.3),
            doubled: rng.random_range(0.0..0.5),
            rough: rng.random_range(0.0..0.3),
            forks: rng.random_bool(0.4),
            disks_fail: rng.random_bool(0.4),
            churn,
            desk: topology != Topology::Star && rng.random_bool(0.6),
        }
    }

    /// What it is, for the count over seeds.
    pub fn words(&self) -> Vec<&'static str> {
        let mut words = vec![match self.topology {
            Topology::All => "worlds where all meet all",
            Topology::Chain => "chains",
            Topology::Star => "stars",
            Topology::MeetingsOnly => "worlds of meetings only",
        }];
        let more = [
            (self.roles.len() > 8, "worlds of many devices"),
            (!self.hostile.is_empty(), "worlds with hostile members"),
            (self.roles.contains(&Role::Relay), "worlds with relays"),
            (self.churn, "worlds where members come and go"),
            (self.disks_fail, "worlds where disks fail"),
            (self.desk, "worlds where the office has a book"),
        ];
        words.extend(more.iter().filter(|(holds, _)| *holds).map(|(_, word)| *word));
        words
    }
}
