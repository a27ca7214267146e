//! Observation: a measurement or finding with a value, or with components that have values.

use super::LOINC;
use super::node::Node;
use super::said::{Said, draft, fact, status_said};
use super::value::first_time;
use crate::exchange::report::{Reason, Refusal};
use crate::record::{Observation, Statement};

/// Most components of one observation, as the record has it.
const COMPONENTS_MAX: usize = 16;

#[derive(Clone, Copy)]
enum Status {
    /// It has a result.
    Said,
    /// It has none, not yet or no more.
    Without(&'static str),
    /// It was never so.
    EnteredInError,
}

pub(super) fn read(resource: Node<'_>) -> Result<Said<'_>, Refusal> {
    let status = match status_said(resource)? {
        "" => resource.code("status", status)?,
        word => {
            resource.text("status")?;
            status(word)
        }
    };
    let effective = first_time([
        resource.time("effectiveDateTime", "_effectiveDateTime")?,
        resource.time("effectiveInstant", "_effectiveInstant")?,
        resource.start("effectivePeriod")?,
    ]);
    let effective = if effective == super::TIME_NOT_KNOWN {
        first_time([resource.time("issued", "_issued")?, None, None])
    } else {
        effective
    };
    match status.ok_or(Refusal::new(Reason::Missing, "status"))? {
        Status::Without(why) => return Ok(Said::LeftOut(why)),
        Status::EnteredInError => {
            let why = "Observation.status=entered-in-error";
            let taken_back = draft(resource, "subject", effective, Statement::Refutation)?;
            return Ok(taken_back.map_or(Said::LeftOut(why), |draft| Said::TakenBack(draft, why)));
        }
        Status::Said => {}
    }
    let code = resource.need_concept("code", &[LOINC])?;
    let value = resource.value()?;
    let mut components = Vec::new();
    for component in resource.objects("component")? {
        let value = component.value()?;
        if let Some(value) = value {
            components.push((component.need_concept("code", &[LOINC])?, value));
        }
    }
    if components.len() > COMPONENTS_MAX {
        return Err(Refusal::new(Reason::TooMany, "component"));
    }
    if value.is_none() && components.is_empty() {
        return Ok(Said::LeftOut("Observation without a value that is kept"));
    }
    let observation = Observation { code, value, components, seen: Vec::new(), earlier: false };
    draft(resource, "subject", effective, Statement::Observation(observation)).map(fact)
}

fn status(code: &str) -> Option<Status> {
    Some(match code {
        "final" | "amended" | "corrected" | "preliminary" | "unknown" => Status::Said,
        "registered" => Status::Without("Observation.status=registered"),
        "cancelled" => Status::Without("Observation.status=cancelled"),
        "entered-in-error" => Status::EnteredInError,
        _ => return None,
    })
}
