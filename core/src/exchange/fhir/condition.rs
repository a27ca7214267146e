//! Condition: a diagnosis or problem; its onset is the effective time.

use super::node::Node;
use super::said::{Said, draft, fact, statuses};
use super::value::first_time;
use crate::exchange::report::Refusal;
use crate::record::{Condition, Statement};

const ABATEMENT: [&str; 5] =
    ["abatementDateTime", "abatementAge", "abatementPeriod", "abatementRange", "abatementString"];

pub(super) fn read(resource: Node<'_>) -> Result<Said<'_>, Refusal> {
    let over = ABATEMENT.iter().any(|name| resource.has(name));
    let (clinical, verification) = statuses(resource, over)?;
    let onset = [resource.time("onsetDateTime", "_onsetDateTime")?, resource.start("onsetPeriod")?];
    let recorded = if onset == [None, None] { resource.time("recordedDate", "_recordedDate")? } else { None };
    let [at, from] = onset;
    let code = resource.need_concept("code", &[])?;
    let statement = Statement::Condition(Condition { code, clinical, verification });
    draft(resource, "subject", first_time([at, from, recorded]), statement).map(fact)
}
