//! Patient: registers of a record, and a death.

use super::node::Node;
use super::value::Reference;
use super::{
    EXTENSION_CODE, EXTENSION_CONCURRENT, EXTENSION_FACT, EXTENSION_HOUSEHOLD, EXTENSION_USE, IDENTIFIER_TYPE,
    SOURCE_PREFIX, TELECOM_SYSTEMS, TIME_NOT_KNOWN, USES_OF_ADDRESSES, USES_OF_NAMES, USES_OF_TELECOM,
};
use crate::clock::EffectiveTime;
use crate::exchange::report::{Reason, Refusal};
use crate::limits::REGISTERS_PER_EDIT_MAX;
use crate::record::{Address, Identifier, Name, PartialDate, Setting, Sex, Telecom};

/// Most given names of a name and lines of an address, as the record has it.
const PARTS_MAX: usize = 8;

/// Reads one element of a set; nothing if it is empty.
type ReadElement = for<'v> fn(Node<'v>) -> Result<Option<Setting<'v>>, Refusal>;

/// What a Patient says.
#[derive(Debug)]
pub(in crate::exchange) struct PatientRecord<'v> {
    /// Registers, each once; never empty: without any other the sex is said to be unknown.
    pub(in crate::exchange) settings: Vec<Setting<'v>>,
    /// Further values of birth date and sex, at most one of each.
    pub(in crate::exchange) concurrent: Vec<Setting<'v>>,
    /// Households: resource id of the patient it began with, and the role.
    pub(in crate::exchange) households: Vec<(&'v str, &'v str)>,
    /// What is said of a death.
    pub(in crate::exchange) death: Death,
}

/// What a Patient says of a death.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::exchange) enum Death {
    /// Nothing, or a resource of its own does.
    NotSaid,
    /// The patient died.
    Died(EffectiveTime),
    /// The patient did not die.
    Alive,
}

/// Reads a Patient.
pub(in crate::exchange) fn read(patient: Node<'_>) -> Result<PatientRecord<'_>, Refusal> {
    let mut settings = Vec::new();
    if let Some(birth) = patient.date("birthDate")? {
        settings.push(Setting::Birth(Some(birth)));
    }
    if let Some(sex) = patient.code("gender", sex)? {
        settings.push(Setting::Sex(Some(sex)));
    }
    let sets: [(&'static str, ReadElement); 5] = [
        ("name", read_name),
        ("identifier", read_identifier),
        ("telecom", read_telecom),
        ("address", read_address),
        ("communication", read_language),
    ];
    for (member, read) in sets {
        for element in patient.objects(member)? {
            if let Some(setting) = read(element)? {
                add(&mut settings, setting, element)?;
            }
        }
    }
    if let Some(code) = patient.extension(EXTENSION_CODE)? {
        code.mark_all();
    }
    let (concurrent, households) = (read_concurrent(patient)?, read_households(patient)?);
    if settings.is_empty() && households.is_empty() {
        settings.push(Setting::Sex(Some(Sex::Unknown)));
    }
    Ok(PatientRecord { settings, concurrent, households, death: read_death(patient)? })
}

/// The source that a Patient reveals: the system of the identifier whose value is the resource id, or the
/// book that exported it.
pub(in crate::exchange) fn source_of<'v>(patient: Node<'v>, id: &str) -> Result<Option<&'v str>, Refusal> {
    for identifier in patient.objects("identifier")? {
        if identifier.peek("value")? == id && !identifier.peek("system")?.is_empty() {
            return identifier.peek("system").map(Some);
        }
    }
    let Some(meta) = patient.object("meta")? else { return Ok(None) };
    Ok(Some(meta.peek("source")?).filter(|source| source.starts_with(SOURCE_PREFIX)))
}

/// Adds an element of a set. Of two with one key the first counts; what the second says beside it is not
/// kept.
fn add<'v>(settings: &mut Vec<Setting<'v>>, setting: Setting<'v>, element: Node<'v>) -> Result<(), Refusal> {
    let (key, _) = setting.to_bytes();
    match settings.iter().find(|other| other.field() == setting.field() && other.to_bytes().0 == key) {
        None if settings.len() >= REGISTERS_PER_EDIT_MAX => return Err(element.refuse(Reason::TooMany)),
        None => settings.push(setting),
        Some(same) if *same == setting => {}
        Some(_) => element.unmark_all(),
    }
    Ok(())
}

fn sex(code: &str) -> Option<Sex> {
    Sex::ALL.into_iter().find(|sex| sex.code() == code)
}

/// FHIR's use of a closed list, or the word that an extension keeps.
fn usage<'v>(element: Node<'v>, list: &[&str]) -> Result<&'v str, Refusal> {
    if let Some(extension) = element.extension(EXTENSION_USE)? {
        return extension.text("valueString");
    }
    match element.text("use")? {
        word if word.is_empty() || list.contains(&word) => Ok(word),
        _ => Err(Refusal::new(Reason::UnknownCode, "use")),
    }
}

fn read_name(name: Node<'_>) -> Result<Option<Setting<'_>>, Refusal> {
    let said = Name { family: name.peek("family")?, given: name.texts("given", PARTS_MAX)?, text: name.peek("text")? };
    if said == Name::default() {
        return Ok(None);
    }
    name.text("family")?;
    name.text("text")?;
    Ok(Some(Setting::Name(said, Some(usage(name, USES_OF_NAMES)?))))
}

fn read_identifier(identifier: Node<'_>) -> Result<Option<Setting<'_>>, Refusal> {
    if identifier.peek("value")?.is_empty() {
        return Ok(None);
    }
    let said = Identifier { system: identifier.text("system")?, value: identifier.text("value")? };
    let mut kind = "";
    if let Some(concept) = identifier.object("type")? {
        let codings = concept.objects("coding")?;
        let is = |coding: &&Node<'_>, system: &str| {
            coding.peek("code").is_ok_and(|code| !code.is_empty())
                && (system.is_empty() || coding.peek("system").is_ok_and(|s| s == system))
        };
        let chosen = codings.iter().find(|c| is(c, IDENTIFIER_TYPE)).or_else(|| codings.iter().find(|c| is(c, "")));
        kind = match chosen {
            Some(coding) => {
                coding.text("system")?;
                coding.text("code")?
            }
            None => concept.text("text")?,
        };
    }
    Ok(Some(Setting::Identifier(said, Some(kind))))
}

fn read_telecom(telecom: Node<'_>) -> Result<Option<Setting<'_>>, Refusal> {
    if telecom.peek("value")?.is_empty() {
        return Ok(None);
    }
    let system = match telecom.extension(super::EXTENSION_CATEGORY)? {
        Some(extension) => {
            telecom.text("system")?;
            extension.text("valueString")?
        }
        None => match telecom.text("system")? {
            word if word.is_empty() || TELECOM_SYSTEMS.contains(&word) => word,
            _ => return Err(Refusal::new(Reason::UnknownCode, "system")),
        },
    };
    let said = Telecom { system, value: telecom.text("value")? };
    Ok(Some(Setting::Telecom(said, Some(usage(telecom, USES_OF_TELECOM)?))))
}

fn read_address(address: Node<'_>) -> Result<Option<Setting<'_>>, Refusal> {
    let mut said = Address {
        lines: address.texts("line", PARTS_MAX)?,
        city: address.text("city")?,
        district: address.text("district")?,
        state: address.text("state")?,
        postal_code: address.text("postalCode")?,
        country: address.text("country")?,
    };
    if said == Address::default() {
        match address.text("text")? {
            "" => return Ok(None),
            text => said.lines.push(text),
        }
    }
    Ok(Some(Setting::Address(said, Some(usage(address, USES_OF_ADDRESSES)?))))
}

fn read_language(communication: Node<'_>) -> Result<Option<Setting<'_>>, Refusal> {
    let Some(language) = communication.concept("language", &[super::LANGUAGE])? else { return Ok(None) };
    let code = if language.code.is_empty() { language.display } else { language.code };
    let said = match communication.extension(EXTENSION_USE)? {
        Some(extension) => extension.text("valueString")?,
        None if communication.flag("preferred")? == Some(true) => "preferred",
        None => "",
    };
    Ok(Some(Setting::Language(code, Some(said))))
}

/// Further values that the exporting book had beside the first; the first further one of each is read.
fn read_concurrent(patient: Node<'_>) -> Result<Vec<Setting<'_>>, Refusal> {
    let mut concurrent: Vec<Setting<'_>> = Vec::new();
    for extension in patient.extensions(EXTENSION_CONCURRENT)? {
        let setting = if extension.has("valueDate") {
            let first = !concurrent.iter().any(|s| matches!(s, Setting::Birth(_)));
            let date = PartialDate::parse(extension.peek("valueDate")?);
            let date = date.ok_or(Refusal::new(Reason::Time, "valueDate"))?;
            first.then_some(Setting::Birth(Some(date)))
        } else {
            let first = !concurrent.iter().any(|s| matches!(s, Setting::Sex(_)));
            let word = sex(extension.peek("valueCode")?).ok_or(Refusal::new(Reason::UnknownCode, "valueCode"))?;
            first.then_some(Setting::Sex(Some(word)))
        };
        if let Some(setting) = setting {
            extension.mark_all();
            concurrent.push(setting);
        }
    }
    Ok(concurrent)
}

fn read_households<'v>(patient: Node<'v>) -> Result<Vec<(&'v str, &'v str)>, Refusal> {
    let mut households = Vec::new();
    for extension in patient.extensions(EXTENSION_HOUSEHOLD)? {
        let (mut of, mut role) = ("", "");
        for part in extension.objects("extension")? {
            match part.text("url")? {
                "of" => {
                    let reference = part.object("valueReference")?.map_or(Ok(None), Node::reference)?;
                    of = reference.and_then(|r: Reference<'v>| r.id_of("Patient")).unwrap_or_default();
                }
                "role" => role = part.text("valueString")?,
                _ => {}
            }
        }
        if of.is_empty() {
            return Err(Refusal::new(Reason::Reference, "extension"));
        }
        households.push((of, role));
    }
    Ok(households)
}

fn read_death(patient: Node<'_>) -> Result<Death, Refusal> {
    for extended in ["_deceasedDateTime", "_deceasedBoolean"] {
        if let Some(element) = patient.object(extended)?
            && element.extension(EXTENSION_FACT)?.is_some()
        {
            element.mark_all();
            patient.text("deceasedDateTime")?;
            patient.flag("deceasedBoolean")?;
            return Ok(Death::NotSaid);
        }
    }
    if let Some(time) = patient.time("deceasedDateTime", "_deceasedDateTime")? {
        return Ok(Death::Died(time));
    }
    Ok(match patient.flag("deceasedBoolean")? {
        None => Death::NotSaid,
        Some(true) => Death::Died(TIME_NOT_KNOWN),
        Some(false) => Death::Alive,
    })
}

#[cfg(test)]
#[path = "patient_tests.rs"]
mod tests;
