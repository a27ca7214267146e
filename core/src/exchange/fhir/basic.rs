//! Basic with our code system: kinds of facts that FHIR has no resource for.

use super::node::Node;
use super::said::{Said, draft, fact};
use super::{EXTENSION_EFFECTIVE, EXTENSION_TEXT, FACT, TIME_NOT_KNOWN};
use crate::exchange::report::{Reason, Refusal};
use crate::record::Statement;

pub(super) fn read(resource: Node<'_>) -> Result<Said<'_>, Refusal> {
    let code = resource.concept("code", &[FACT])?.filter(|code| code.system == FACT);
    let Some(code) = code else { return Ok(Said::LeftOut("Basic of another system")) };
    let statement = match code.code {
        "refutation" => Statement::Refutation,
        "reversal" => Statement::Reversal,
        "deceased" => Statement::Deceased,
        "note" => {
            let text = resource.extension(EXTENSION_TEXT)?.map_or(Ok(""), |e| e.text("valueString"))?;
            if text.is_empty() {
                return Err(Refusal::new(Reason::Missing, "extension"));
            }
            Statement::Note { text }
        }
        _ => return Err(Refusal::new(Reason::UnknownCode, "code")),
    };
    let effective = match resource.extension(EXTENSION_EFFECTIVE)? {
        Some(extension) => extension.time("valueDateTime", "_valueDateTime")?,
        None => None,
    };
    let needs_target = matches!(statement, Statement::Refutation | Statement::Reversal);
    let drafted = draft(resource, "subject", effective.unwrap_or(TIME_NOT_KNOWN), statement)?;
    if needs_target && drafted.as_ref().is_some_and(|draft| draft.targets.is_empty()) {
        return Err(Refusal::new(Reason::Missing, "extension"));
    }
    Ok(fact(drafted))
}
