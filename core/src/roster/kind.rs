//! Kinds of compartments.

/// What a compartment is for; rights may be given for all compartments of a kind, later ones too.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum CompartmentKind {
    /// Control entries; there is one, and its bodies are not sealed.
    Control = 0,
    /// Patients' records and clinical facts.
    Clinical = 1,
    /// Stock without patients.
    Supply = 2,
    /// People, organisations, places and names of compartments.
    Directory = 3,
    /// Who read what.
    Audit = 4,
}

impl CompartmentKind {
    /// All kinds in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::Control, Self::Clinical, Self::Supply, Self::Directory, Self::Audit];

    /// The kind of a number, if this version knows it.
    #[must_use]
    pub fn from_number(number: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u64 == number)
    }

    /// The word for people.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Clinical => "clinical",
            Self::Supply => "supply",
            Self::Directory => "directory",
            Self::Audit => "audit",
        }
    }
}
