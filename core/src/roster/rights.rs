//! Rights: what a grant gives, per compartment or per kind of compartment, and the templates of roles.

use super::kind::CompartmentKind;
use crate::codec::{Malformed, Reader, Writer};
use crate::id::CompartmentId;

/// A set of rights in one scope.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Rights(u32);

impl Rights {
    /// Reads entries.
    pub const READ: Self = Self(1);
    /// Writes every kind of operation.
    pub const WRITE: Self = Self(1 << 1);
    /// Edits patients' records.
    pub const REGISTER: Self = Self(1 << 2);
    /// Writes observations, conditions, immunizations, notes.
    pub const OBSERVE: Self = Self(1 << 3);
    /// Writes allergies and statements about them.
    pub const ALLERGY: Self = Self(1 << 4);
    /// Dispenses.
    pub const DISPENSE: Self = Self(1 << 5);
    /// Moves and counts stock.
    pub const MOVE: Self = Self(1 << 6);
    /// Carries ciphertext.
    pub const CARRY: Self = Self(1 << 7);
    /// Grants.
    pub const GRANT: Self = Self(1 << 8);
    /// Revokes.
    pub const REVOKE: Self = Self(1 << 9);
    /// Bars devices.
    pub const BAR: Self = Self(1 << 10);
    /// Endorses what waits for review.
    pub const ENDORSE: Self = Self(1 << 11);
    /// Makes compartments.
    pub const COMPARTMENT: Self = Self(1 << 12);
    /// Erases entries.
    pub const ERASE: Self = Self(1 << 13);
    /// Every right of format 1.
    pub const ALL: Self = Self((1 << 14) - 1);
    /// No right.
    pub const NONE: Self = Self(0);

    /// Both sets together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether every right of `other` is here; `WRITE` stands for every kind of operation.
    #[must_use]
    pub const fn covers(self, other: Self) -> bool {
        other.0 & !self.spread().0 == 0
    }

    /// The rights that both sets give.
    #[must_use]
    pub const fn within(self, other: Self) -> Self {
        Self(self.spread().0 & other.spread().0)
    }

    /// Whether there is some right to write.
    #[must_use]
    pub const fn writes(self) -> bool {
        self.0 & (Self::WRITE.0 | Self::KINDS.0) != 0
    }

    const KINDS: Self = Self(Self::REGISTER.0 | Self::OBSERVE.0 | Self::ALLERGY.0 | Self::DISPENSE.0 | Self::MOVE.0);

    /// The set with what `WRITE` and `READ` imply.
    const fn spread(self) -> Self {
        let written = if self.0 & Self::WRITE.0 == 0 { self.0 } else { self.0 | Self::KINDS.0 };
        Self(if written & Self::READ.0 == 0 { written } else { written | Self::CARRY.0 })
    }

    /// How many rights these are, with what `WRITE` and `READ` imply.
    #[must_use]
    pub const fn count(self) -> u32 {
        self.spread().0.count_ones()
    }

    /// The number in the format.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }
}

/// Where rights hold.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Scope {
    /// All compartments of a kind, later ones too.
    Kind(CompartmentKind),
    /// One compartment.
    Compartment(CompartmentId),
}

/// Rights by scope, in rising order of scope.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct RightsByScope(Vec<(Scope, Rights)>);

/// Most scopes of one grant.
const SCOPES_MAX: usize = 64;

impl RightsByScope {
    /// Every right everywhere: what a root's incident id gives.
    #[must_use]
    pub fn all() -> Self {
        CompartmentKind::ALL.into_iter().map(|kind| (Scope::Kind(kind), Rights::ALL)).collect()
    }

    /// The rights in one compartment.
    #[must_use]
    pub fn of(&self, compartment: CompartmentId, kind: CompartmentKind) -> Rights {
        self.0
            .iter()
            .filter(|(scope, _)| *scope == Scope::Kind(kind) || *scope == Scope::Compartment(compartment))
            .fold(Rights::NONE, |sum, (_, rights)| sum.and(*rights))
    }

    /// Whether it gives at least what `asked` gives, scope by scope; `kind_of` tells a compartment's kind.
    #[must_use]
    pub fn covers(&self, asked: &Self, kind_of: impl Fn(CompartmentId) -> Option<CompartmentKind>) -> bool {
        asked.0.iter().all(|(scope, rights)| {
            let held = match scope {
                Scope::Kind(kind) => self.0.iter().find(|(s, _)| *s == Scope::Kind(*kind)).map(|(_, rights)| *rights),
                Scope::Compartment(id) => kind_of(*id).map(|kind| self.of(*id, kind)),
            };
            held.unwrap_or_default().covers(*rights)
        })
    }

    /// Scopes and rights in rising order of scope.
    pub fn iter(&self) -> impl Iterator<Item = &(Scope, Rights)> {
        self.0.iter()
    }

    pub(super) fn write(&self, to: &mut Writer) {
        to.list(self.0.len());
        for (scope, rights) in &self.0 {
            match scope {
                Scope::Kind(kind) => to.list(2).uint(*kind as u64),
                Scope::Compartment(id) => to.list(2).bytes(id.as_bytes()),
            };
            to.uint(u64::from(rights.0));
        }
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let count = from.list(SCOPES_MAX)?;
        let mut scopes: Vec<(Scope, Rights)> = Vec::with_capacity(count);
        for _ in 0..count {
            from.tuple(2)?;
            let mut ahead = from.clone();
            let scope = if ahead.bytes().is_ok() {
                Scope::Compartment(CompartmentId::new(from.array()?))
            } else {
                Scope::Kind(CompartmentKind::from_number(from.uint()?).ok_or(Malformed::Newer)?)
            };
            let rights = u32::try_from(from.uint()?).ok().filter(|bits| bits & !Rights::ALL.0 == 0);
            if scopes.last().is_some_and(|(last, _)| *last >= scope) {
                return Err(Malformed::NotCanonical);
            }
            scopes.push((scope, Rights(rights.ok_or(Malformed::Newer)?)));
        }
        Ok(Self(scopes))
    }
}

impl FromIterator<(Scope, Rights)> for RightsByScope {
    fn from_iter<T: IntoIterator<Item = (Scope, Rights)>>(scopes: T) -> Self {
        let mut sums = std::collections::BTreeMap::<Scope, Rights>::new();
        for (scope, rights) in scopes {
            let sum = sums.entry(scope).or_default();
            *sum = sum.and(rights);
        }
        Self(sums.into_iter().collect())
    }
}

/// A role: a label and the template of its rights.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Role {
    /// Administers the incident.
    Admin,
    /// Treats patients.
    Clinician,
    /// Registers and dispenses.
    Dispenser,
    /// Handles stock.
    Logistician,
    /// Reads for public health.
    Epidemiologist,
    /// Reads for review.
    Auditor,
    /// Carries ciphertext and holds no reading key.
    Relay,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 7] = [
        Self::Admin,
        Self::Clinician,
        Self::Dispenser,
        Self::Logistician,
        Self::Epidemiologist,
        Self::Auditor,
        Self::Relay,
    ];

    /// The label.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Clinician => "clinician",
            Self::Dispenser => "dispenser",
            Self::Logistician => "logistician",
            Self::Epidemiologist => "epidemiologist",
            Self::Auditor => "auditor",
            Self::Relay => "relay",
        }
    }

    /// Reads the label.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.word() == word)
    }

    /// The rights of the template. Who may read clinical may write audit; only admin and auditor read it.
    #[must_use]
    pub fn rights(self) -> RightsByScope {
        use CompartmentKind::{Audit, Clinical, Control, Directory, Supply};
        let read_write = Rights::READ.and(Rights::WRITE);
        let read = Rights::READ;
        let rows: &[(CompartmentKind, Rights)] = &match self {
            Self::Admin => [
                (Clinical, read_write),
                (Supply, read_write),
                (Directory, read_write),
                (Audit, read_write),
                (
                    Control,
                    Rights::GRANT
                        .and(Rights::REVOKE)
                        .and(Rights::BAR)
                        .and(Rights::ENDORSE)
                        .and(Rights::COMPARTMENT)
                        .and(Rights::ERASE),
                ),
            ],
            Self::Clinician => [
                (Clinical, read_write),
                (Supply, read.and(Rights::MOVE)),
                (Directory, read),
                (Audit, Rights::WRITE),
                (Control, Rights::NONE),
            ],
            Self::Dispenser => [
                (Clinical, read.and(Rights::REGISTER).and(Rights::OBSERVE).and(Rights::ALLERGY).and(Rights::DISPENSE)),
                (Supply, read.and(Rights::MOVE)),
                (Directory, read),
                (Audit, Rights::WRITE),
                (Control, Rights::NONE),
            ],
            Self::Logistician => [
                (Clinical, Rights::NONE),
                (Supply, read_write),
                (Directory, read),
                (Audit, Rights::NONE),
                (Control, Rights::NONE),
            ],
            Self::Epidemiologist => [
                (Clinical, read),
                (Supply, read),
                (Directory, Rights::NONE),
                (Audit, Rights::WRITE),
                (Control, Rights::NONE),
            ],
            Self::Auditor => [
                (Clinical, read),
                (Supply, read),
                (Directory, Rights::NONE),
                (Audit, read_write),
                (Control, Rights::NONE),
            ],
            Self::Relay => [
                (Clinical, Rights::CARRY),
                (Supply, Rights::CARRY),
                (Directory, Rights::CARRY),
                (Audit, Rights::CARRY),
                (Control, Rights::NONE),
            ],
        };
        rows.iter().filter(|(_, r)| *r != Rights::NONE).map(|(kind, rights)| (Scope::Kind(*kind), *rights)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_grants_more_than_he_holds() {
        let kind_of = |_| Some(CompartmentKind::Clinical);
        let [admin, clinician, dispenser] = [Role::Admin, Role::Clinician, Role::Dispenser].map(Role::rights);
        assert!(
            admin.covers(&clinician, kind_of)
                && admin.covers(&dispenser, kind_of)
                && clinician.covers(&dispenser, kind_of)
        );
        assert!(!dispenser.covers(&clinician, kind_of) && !clinician.covers(&admin, kind_of));
        assert!(Role::ALL.into_iter().all(|role| RightsByScope::all().covers(&role.rights(), kind_of)));
        let one = |rights| RightsByScope::from_iter([(Scope::Compartment(CompartmentId::new([1; 32])), rights)]);
        assert!(clinician.covers(&one(Rights::DISPENSE), kind_of) && !one(Rights::ALL).covers(&clinician, kind_of));
    }

    #[test]
    fn rights_read_back() {
        for role in Role::ALL {
            let mut to = Writer::new();
            role.rights().write(&mut to);
            assert_eq!(RightsByScope::read(&mut Reader::new(&to.finish())), Ok(role.rights()));
        }
    }
}
