//! Writes who wrote what, as Provenance, and who read what, as AuditEvent.

use super::super::{
    ACT_REASON, DATA_OPERATION, DEVICE, DICOM, ENTRY, EXTENSION_HEAD, OBJECT_ROLE, PARTICIPANT, SIGNATURE_FORMAT,
    SIGNATURE_TYPE,
};
use super::json::{Object, base64, instant, reference};
use super::{ExportAuthor, ExportEntry, ExportReading};
use crate::id::hex;
use crate::record::Access;
use serde_json::Value;

/// The Provenance of an entry; `None` if nothing of the entry is exported.
pub(super) fn provenance(entry: &ExportEntry<'_>, source: &str) -> Option<Value> {
    let mut resource = Object::resource("Provenance", &hex(entry.id.as_bytes().get(..16)?), source);
    for (resource_type, id) in &entry.targets {
        resource.push("target", reference(resource_type, id));
    }
    if entry.targets.is_empty() {
        return None;
    }
    let activity = if entry.edits { "UPDATE" } else { "CREATE" };
    resource.text("recorded", &instant(entry.recorded_ms)).status("activity", DATA_OPERATION, activity);
    let mut agent = Object::default();
    agent.status("type", PARTICIPANT, "author").object("who", who(&entry.author));
    let mut organisation = Object::default();
    organisation.text("display", entry.author.organisation);
    agent.object("onBehalfOf", organisation);
    resource.push("agent", agent);
    let (mut whole, mut part) = (identified(ENTRY, &entry.id.to_hex()), Object::default());
    whole.text("display", entry.code);
    part.text("role", "source").object("what", whole);
    resource.push("entity", part).push("signature", signature(entry));
    Some(resource.into())
}

/// The author's signature over the entry, or over the signed head behind it that vouches for it.
fn signature(entry: &ExportEntry<'_>) -> Object {
    let head = &entry.head;
    let mut signature = Object::default();
    let covered = format!("{} {} {}", head.log.to_hex(), head.seq, head.id.to_hex());
    signature.extension(EXTENSION_HEAD, "valueString", covered);
    let mut kind = Object::default();
    kind.text("system", SIGNATURE_TYPE.0).text("code", SIGNATURE_TYPE.1).text("display", "Author's Signature");
    signature.push("type", kind).text("when", &instant(entry.recorded_ms)).object("who", who(&entry.author));
    signature.text("sigFormat", SIGNATURE_FORMAT).text("data", &base64(head.signature));
    signature
}

/// The AuditEvent of a reading.
pub(super) fn audit_event(export: &ExportReading<'_>, source: &str) -> Value {
    let reading = &export.reading;
    let mut resource = Object::resource("AuditEvent", &super::resource_id(&export.id), source);
    let (code, display, action) = match reading.access {
        Access::Record => ("110110", "Patient Record", "R"),
        Access::List => ("110112", "Query", "E"),
        Access::Export => ("110106", "Export", "R"),
    };
    let mut kind = Object::default();
    kind.text("system", DICOM).text("code", code).text("display", display);
    resource.object("type", kind).text("action", action).text("recorded", &instant(reading.at.ms)).text("outcome", "0");
    if let Some(purpose) = reading.purpose {
        let (mut coding, mut concept) = (Object::default(), Object::default());
        coding.text("system", ACT_REASON).text("code", purpose.code());
        concept.push("coding", coding);
        resource.push("purposeOfEvent", concept);
    }
    let mut agent = Object::default();
    agent.object("who", who(&export.author)).text("name", export.author.person).put("requestor", true);
    resource.push("agent", agent);
    let (mut observer, mut where_from) = (identified(DEVICE, &export.author.device.to_hex()), Object::default());
    observer.text("type", "Device");
    where_from.object("observer", observer);
    resource.object("source", where_from);
    let mut entity = Object::default();
    if let Some(patient) = reading.patient {
        entity.object("what", reference("Patient", &patient.to_hex()));
    }
    let mut role = Object::default();
    role.text("system", OBJECT_ROLE).text("code", if reading.patient.is_some() { "1" } else { "24" });
    entity.object("role", role);
    for (name, count) in [("times", reading.times), ("records", reading.records)] {
        if count > u32::from(name == "times") {
            let mut detail = Object::default();
            detail.text("type", name).text("valueString", &count.to_string());
            entity.push("detail", detail);
        }
    }
    resource.push("entity", entity);
    resource.into()
}

/// A device by its id, with the person who holds it, if that is known.
fn who(author: &ExportAuthor<'_>) -> Object {
    let mut who = identified(DEVICE, &author.device.to_hex());
    who.text("display", author.person);
    who
}

fn identified(system: &str, value: &str) -> Object {
    let (mut identifier, mut reference) = (Object::default(), Object::default());
    identifier.text("system", system).text("value", value);
    reference.object("identifier", identifier);
    reference
}
