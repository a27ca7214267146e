//! Immunization: a vaccination, given or not.

use super::CVX;
use super::node::Node;
use super::said::{Said, draft, fact, status_said};
use super::value::first_time;
use crate::exchange::report::{Reason, Refusal};
use crate::record::{Given, Immunization, Statement};

pub(super) fn read(resource: Node<'_>) -> Result<Said<'_>, Refusal> {
    let written = resource.code("status", Given::parse)?.ok_or(Refusal::new(Reason::Missing, "status"))?;
    let given = match status_said(resource)? {
        "" => written,
        word => Given::parse(word).ok_or(Refusal::new(Reason::UnknownCode, "extension"))?,
    };
    let effective = first_time([resource.time("occurrenceDateTime", "_occurrenceDateTime")?, None, None]);
    let statement = Statement::Immunization(Immunization {
        vaccine: resource.need_concept("vaccineCode", &[CVX])?,
        given,
        dose: resource.quantity("doseQuantity")?,
        lot: resource.text("lotNumber")?,
        expiry: resource.date("expirationDate")?,
        site: resource.concept("site", &[])?.map_or("", |site| site.shown()),
    });
    draft(resource, "patient", effective, statement).map(fact)
}
