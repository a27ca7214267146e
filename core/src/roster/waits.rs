//! Why an entry waits for review.

/// Why an entry waits for review.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, thiserror::Error)]
pub enum Waits {
    /// the grant that it stands on is not here.
    #[error("Q-001 the author's grant is not here yet")]
    GrantMissing,
    /// the grant belongs to another device.
    #[error("Q-002 the grant belongs to another device")]
    GrantOfAnother,
    /// the grant does not give the right to write there.
    #[error("Q-003 the author has no right to write here")]
    NoRight,
    /// the compartment is not known here.
    #[error("Q-004 the compartment is not known here")]
    CompartmentMissing,
    /// an operation that the grant does not give.
    #[error("Q-005 the author has no right to one of the operations")]
    NoRightToOperation,
    /// the author's grant was ended, and the entry is not among those that stay trusted.
    #[error("Q-006 the author's grant was ended, and this lies past what stays trusted")]
    Cut,
    /// the grant is here and does not count.
    #[error("Q-007 the author's grant does not count")]
    GrantFallen,
    /// more grants, compartments or bars than the author's grant gives.
    #[error("Q-008 the author gave more than the budget of the grant")]
    BudgetSpent,
    /// the log, or the device, was flooded.
    #[error("Q-009 there are more branches or installations than anybody keeps, and this lies past the first fork")]
    Flooded,
}

impl Waits {
    /// All reasons in the order of their codes.
    pub const ALL: [Self; 9] = [
        Self::GrantMissing,
        Self::GrantOfAnother,
        Self::NoRight,
        Self::CompartmentMissing,
        Self::NoRightToOperation,
        Self::Cut,
        Self::GrantFallen,
        Self::BudgetSpent,
        Self::Flooded,
    ];

    /// The rule code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::GrantMissing => "Q-001",
            Self::GrantOfAnother => "Q-002",
            Self::NoRight => "Q-003",
            Self::CompartmentMissing => "Q-004",
            Self::NoRightToOperation => "Q-005",
            Self::Cut => "Q-006",
            Self::GrantFallen => "Q-007",
            Self::BudgetSpent => "Q-008",
            Self::Flooded => "Q-009",
        }
    }

    /// The reason of a rule code.
    #[must_use]
    pub fn of_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|waits| waits.code() == code)
    }
}
