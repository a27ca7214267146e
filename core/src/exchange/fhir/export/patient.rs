//! Writes a record as a Patient.

use super::super::{
    EXTENSION_CATEGORY, EXTENSION_CODE, EXTENSION_CONCURRENT, EXTENSION_FACT, EXTENSION_HOUSEHOLD, EXTENSION_USE,
    IDENTIFIER_TYPE, LANGUAGE, TELECOM_SYSTEMS, USES_OF_ADDRESSES, USES_OF_NAMES, USES_OF_TELECOM,
};
use super::ExportPatient;
use super::json::{Object, is_known, reference};
use crate::clock::EffectiveTime;
use crate::record::{Coded, Setting};
use serde_json::Value;

pub(super) fn write(patient: &ExportPatient<'_>, source: &str) -> Value {
    let mut resource = Object::resource("Patient", &patient.id.to_hex(), source);
    resource.text_extension(EXTENSION_CODE, &patient.id.code());
    let (mut birth_written, mut sex_written) = (false, false);
    for setting in &patient.settings {
        match setting {
            Setting::Birth(Some(birth)) => {
                if std::mem::replace(&mut birth_written, true) {
                    resource.extension(EXTENSION_CONCURRENT, "valueDate", birth.to_string());
                } else {
                    resource.text("birthDate", &birth.to_string());
                }
            }
            Setting::Sex(Some(sex)) => {
                if std::mem::replace(&mut sex_written, true) {
                    resource.extension(EXTENSION_CONCURRENT, "valueCode", sex.code());
                } else {
                    resource.text("gender", sex.code());
                }
            }
            _ => write_element(&mut resource, setting),
        }
    }
    if let Some(time) = &patient.deceased {
        write_death(&mut resource, time);
    }
    resource.into()
}

/// Writes an element of a set, if it is present.
fn write_element(resource: &mut Object, setting: &Setting<'_>) {
    match setting {
        Setting::Name(name, Some(usage)) => {
            let mut object = with_use(usage, USES_OF_NAMES);
            object.text("family", name.family).text("text", name.text);
            name.given.iter().for_each(|given| {
                object.push("given", *given);
            });
            resource.push("name", object);
        }
        Setting::Identifier(identifier, Some(kind)) => {
            let mut object = Object::default();
            object.text("system", identifier.system).text("value", identifier.value);
            let is_code = (1..=5).contains(&kind.len()) && kind.bytes().all(|b| b.is_ascii_uppercase());
            let system = if is_code { IDENTIFIER_TYPE } else { "" };
            let coded = if is_code { Coded { system, code: kind, display: "" } } else { Coded::text(kind) };
            object.concept("type", &coded);
            resource.push("identifier", object);
        }
        Setting::Telecom(telecom, Some(usage)) => {
            let mut object = with_use(usage, USES_OF_TELECOM);
            if telecom.system.is_empty() || TELECOM_SYSTEMS.contains(&telecom.system) {
                object.text("system", telecom.system);
            } else {
                object.text("system", "other").text_extension(EXTENSION_CATEGORY, telecom.system);
            }
            resource.push("telecom", std::mem::take(object.text("value", telecom.value)));
        }
        Setting::Address(address, Some(usage)) => {
            let mut object = with_use(usage, USES_OF_ADDRESSES);
            address.lines.iter().for_each(|line| {
                object.push("line", *line);
            });
            object.text("city", address.city).text("district", address.district).text("state", address.state);
            object.text("postalCode", address.postal_code).text("country", address.country);
            resource.push("address", object);
        }
        Setting::Language(code, Some(usage)) => {
            let mut object = Object::default();
            object.concept("language", &Coded { system: LANGUAGE, code, display: "" });
            match *usage {
                "" => {}
                "preferred" => {
                    object.put("preferred", true);
                }
                other => {
                    object.text_extension(EXTENSION_USE, other);
                }
            }
            resource.push("communication", object);
        }
        Setting::Household(begun_with, Some(role)) => {
            let (mut of, mut household) = (Object::default(), Object::default());
            of.text("url", "of").object("valueReference", reference("Patient", &begun_with.to_hex()));
            household.text("url", EXTENSION_HOUSEHOLD).push("extension", of);
            if !role.is_empty() {
                household.extension("role", "valueString", *role);
            }
            resource.push("extension", household);
        }
        Setting::Birth(_)
        | Setting::Sex(_)
        | Setting::Name(_, None)
        | Setting::Identifier(_, None)
        | Setting::Telecom(_, None)
        | Setting::Address(_, None)
        | Setting::Language(_, None)
        | Setting::Household(_, None) => {}
    }
}

/// An element with its use: FHIR's, or a word of ours in an extension.
fn with_use(usage: &str, list: &[&str]) -> Object {
    let mut object = Object::default();
    if list.contains(&usage) {
        object.text("use", usage);
    } else {
        object.text_extension(EXTENSION_USE, usage);
    }
    object
}

/// FHIR's element for other systems, marked: the fact comes as a resource of its own.
fn write_death(resource: &mut Object, time: &EffectiveTime) {
    let mut marked = Object::default();
    if is_known(time) {
        resource.time("deceasedDateTime", time);
        marked.extension(EXTENSION_FACT, "valueBoolean", true);
        resource.object("_deceasedDateTime", marked);
    } else {
        marked.extension(EXTENSION_FACT, "valueBoolean", true);
        resource.put("deceasedBoolean", true).object("_deceasedBoolean", marked);
    }
}
