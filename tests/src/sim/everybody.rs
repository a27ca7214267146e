//! Who can meet: honest devices and hostile members, each with what it lends a session.

use super::device::Device;
use super::hostile::Hostile;
use super::office::Office;
use crate::host::SeededHost;
use crate::world::World;
use daybook_core::crypto::DeviceSecret;
use daybook_core::sync::{Credentials, Limits, Session, Shelf, Side};

/// Who meets somebody.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Party {
    /// A device by number.
    Honest(usize),
    /// A hostile member by number, with one of its faces.
    Hostile(usize, usize),
}

impl Party {
    /// The honest device.
    pub const fn device(self) -> Option<usize> {
        match self {
            Self::Honest(device) => Some(device),
            Self::Hostile(..) => None,
        }
    }
}

/// All of them.
pub(super) struct Everybody {
    /// Honest devices.
    pub devices: Vec<Device>,
    /// Hostile members.
    pub hostile: Vec<Hostile>,
}

impl Everybody {
    /// What one lends a session.
    pub fn shelf(&mut self, of: Party) -> &mut dyn Shelf {
        match of {
            Party::Honest(device) => self.devices[device].book(),
            Party::Hostile(hostile, face) => &mut self.hostile[hostile].faces[face],
        }
    }

    /// The keys of one.
    pub fn author(&self, of: Party) -> usize {
        match of {
            Party::Honest(device) => self.devices[device].author,
            Party::Hostile(hostile, _) => self.hostile[hostile].author,
        }
    }

    /// Begins a session; none if the book cannot be read.
    pub fn session(
        &mut self,
        (world, office): (&World, &Office),
        of: Party,
        side: Side,
        now_ms: u64,
    ) -> Option<Session> {
        match of {
            Party::Honest(device) => self.devices[device].book().session(side, Limits::default(), now_ms).ok(),
            Party::Hostile(hostile, face) => {
                let author = self.hostile[hostile].author;
                let credentials = Credentials {
                    founding: world.founding.clone(),
                    admission: world.admission.clone(),
                    device: DeviceSecret::from_secret(&world.authors[author].device.to_secret()),
                    incarnation: world.authors[author].incarnation,
                    path: office.path(world, author),
                };
                let seed = now_ms << 8 | (hostile as u64) << 1 | face as u64;
                Session::new(side, credentials, Limits::default(), now_ms, &mut SeededHost::new(seed)).ok()
            }
        }
    }
}
