//! Registers of a record as typed: `FIELD=VALUE`, and members of a household.

use daybook_core::limits::TEXT_BYTES_MAX;
use daybook_core::record::{Address, Identifier, Name, Setting, Sex, Telecom};

use super::time::birth;
use crate::failure::Failure;

/// Most given names of a name and lines of an address (`core`'s own limit).
const PARTS_MAX: usize = 8;

/// What a register is set to; its use is not said.
const PRESENT: Option<&str> = Some("");

/// Reads every `FIELD=VALUE`.
///
/// # Errors
/// When a field is unknown or its value cannot be read.
pub fn settings(typed: &[String]) -> Result<Vec<Setting<'_>>, Failure> {
    typed
        .iter()
        .map(|text| {
            let (field, value) = text.split_once('=').ok_or_else(bad_field)?;
            field_of(field.trim(), value.trim(), true)
        })
        .collect()
}

/// Reads `FIELD` or `FIELD=VALUE` of something to withdraw.
///
/// # Errors
/// When a field is unknown, or one with several values is named without the value.
pub fn withdrawals(typed: &[String]) -> Result<Vec<Setting<'_>>, Failure> {
    typed
        .iter()
        .map(|text| {
            let (field, value) = text.split_once('=').unwrap_or((text, ""));
            field_of(field.trim(), value.trim(), false)
        })
        .collect()
}

/// Reads the value of one field.
///
/// # Errors
/// When the field is unknown or the value cannot be read.
pub fn setting<'a>(field: &str, value: &'a str) -> Result<Setting<'a>, Failure> {
    field_of(field, value.trim(), true)
}

/// Reads one field; `present` says whether it is set or withdrawn.
fn field_of<'a>(field: &str, value: &'a str, present: bool) -> Result<Setting<'a>, Failure> {
    let single = matches!(field, "birth" | "sex");
    if value.is_empty() && (present || !single) {
        return Err(Failure::usage("empty-value", "a field is given without a value").then(
            "write --set name=\"García, María\"; to take a value away, --unset name=\"García, María\" or --unset birth",
        ));
    }
    if value.len() > TEXT_BYTES_MAX {
        return Err(Failure::usage("long-text", "a text is longer than 8 KiB").then("shorten it"));
    }
    let word = if present { PRESENT } else { None };
    Ok(match field {
        "birth" if present => Setting::Birth(Some(birth(value)?)),
        "sex" if present => Setting::Sex(Some(sex(value)?)),
        "birth" => Setting::Birth(None),
        "sex" => Setting::Sex(None),
        "name" => Setting::Name(name(value)?, word),
        "identifier" => Setting::Identifier(identifier(value)?, word),
        "tag" => Setting::Identifier(Identifier { system: "tag", value }, word),
        "phone" => Setting::Telecom(telecom(value), word),
        "address" => Setting::Address(address(value)?, word),
        "language" => Setting::Language(value, word),
        _ => return Err(bad_field()),
    })
}

/// Reads a member of a household: `NAME;BIRTH;SEX;TAG`, where all but one may be empty or left out.
///
/// # Errors
/// When a part cannot be read or all are empty.
pub fn member(typed: &str) -> Result<Vec<Setting<'_>>, Failure> {
    let mut settings = Vec::new();
    for (place, part) in typed.split(';').map(str::trim).enumerate() {
        let field = match place {
            0 => "name",
            1 => "birth",
            2 => "sex",
            3 => "tag",
            _ => return Err(bad_member()),
        };
        if !part.is_empty() {
            settings.push(setting(field, part)?);
        }
    }
    if settings.is_empty() { Err(bad_member()) } else { Ok(settings) }
}

/// `FAMILY, GIVEN GIVEN`, or a text whose parts are not known.
fn name(text: &str) -> Result<Name<'_>, Failure> {
    let Some((family, given)) = text.split_once(',') else {
        return Ok(Name { text, ..Name::default() });
    };
    let given: Vec<&str> = given.split_whitespace().collect();
    let family = family.trim();
    if given.len() > PARTS_MAX || (family.is_empty() && given.is_empty()) {
        return Err(Failure::usage("bad-name", "the name cannot be read")
            .then("write \"FAMILY, GIVEN GIVEN\" with at most 8 given names, or a text without a comma"));
    }
    Ok(Name { family, given, text: "" })
}

fn sex(text: &str) -> Result<Sex, Failure> {
    Sex::parse(text).ok_or_else(|| {
        Failure::usage("bad-sex", "the sex is not one that this program knows")
            .then("write female, male, other or unknown, or the first letter")
    })
}

fn identifier(text: &str) -> Result<Identifier<'_>, Failure> {
    match text.rsplit_once('|').map(|(system, value)| (system.trim(), value.trim())) {
        Some((system, value)) if !system.is_empty() && !value.is_empty() => Ok(Identifier { system, value }),
        _ => Err(Failure::usage("bad-identifier", "an identifier is written as SYSTEM|VALUE")
            .then("write --identifier \"urn:county:card|4711\"; for a wristband or triage tag, --tag T-1017")),
    }
}

fn telecom(value: &str) -> Telecom<'_> {
    Telecom { system: if value.contains('@') { "email" } else { "phone" }, value }
}

/// `LINE;CITY;STATE;POSTAL CODE;COUNTRY`, of which all but the first may be left out.
fn address(text: &str) -> Result<Address<'_>, Failure> {
    let mut parts = text.split(';').map(str::trim);
    let mut part = || parts.next().unwrap_or_default();
    let (line, city, state, postal_code, country) = (part(), part(), part(), part(), part());
    let lines = if line.is_empty() { Vec::new() } else { vec![line] };
    let address = Address { lines, city, district: "", state, postal_code, country };
    if parts.next().is_some() || address == Address::default() {
        return Err(Failure::usage("bad-address", "the address cannot be read")
            .then("write \"12 River Road;Valley;OR;97001;US\"; parts that are not known may be empty or left out"));
    }
    Ok(address)
}

fn bad_field() -> Failure {
    Failure::usage("bad-field", "a field is written as FIELD=VALUE")
        .then("fields are name, birth, sex, phone, address, identifier, tag and language")
}

fn bad_member() -> Failure {
    Failure::usage("bad-member", "a member is written as NAME;BIRTH;SEX;TAG")
        .then("write --member \"Okafor, Ada;1990-05-01;female\"; parts that are not known may be empty or left out")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str) -> Result<Vec<String>, Failure> {
        settings(&[text.to_owned()]).map(|s| s.iter().map(|s| format!("{s:?}")).collect())
    }

    #[test]
    fn every_field_is_read() {
        let typed: Vec<String> = [
            "name=García, María José",
            "name=Cher",
            "birth=1980-02",
            "sex=F",
            "phone=+1 555 0100",
            "phone=ada@example.org",
            "identifier=urn:a|b:c|4711",
            "tag=T-1017",
            "language=es",
            "address=12 River Road;Valley;OR;97001;US",
        ]
        .map(str::to_owned)
        .to_vec();
        let settings = settings(&typed).unwrap();
        assert_eq!(
            settings[0],
            Setting::Name(Name { family: "García", given: vec!["María", "José"], text: "" }, PRESENT)
        );
        assert_eq!(settings[1], Setting::Name(Name { text: "Cher", ..Name::default() }, PRESENT));
        assert_eq!(settings[3], Setting::Sex(Some(Sex::Female)));
        assert_eq!(settings[5], Setting::Telecom(Telecom { system: "email", value: "ada@example.org" }, PRESENT));
        assert_eq!(settings[6], Setting::Identifier(Identifier { system: "urn:a|b:c", value: "4711" }, PRESENT));
        assert_eq!(settings[7], Setting::Identifier(Identifier { system: "tag", value: "T-1017" }, PRESENT));
        let Setting::Address(address, _) = &settings[9] else { panic!("an address") };
        assert_eq!((address.lines.as_slice(), address.city, address.country), (&["12 River Road"][..], "Valley", "US"));
    }

    #[test]
    fn what_cannot_be_read_is_refused_by_its_own_code() {
        for (text, code) in [
            ("name", "bad-field"),
            ("colour=red", "bad-field"),
            ("name=", "empty-value"),
            ("name=,", "bad-name"),
            ("name=a, b c d e f g h i j", "bad-name"),
            ("birth=17.03.1943", "bad-date"),
            ("sex=x", "bad-sex"),
            ("identifier=4711", "bad-identifier"),
            ("identifier=|4711", "bad-identifier"),
            ("address=;;", "bad-address"),
            ("address=1;2;3;4;5;6", "bad-address"),
        ] {
            assert_eq!(set(text).unwrap_err().code(), code, "{text}");
        }
        assert_eq!(set(&format!("name={}", "x".repeat(8_193))).unwrap_err().code(), "long-text");
    }

    #[test]
    fn withdrawing_needs_the_value_where_there_can_be_several() {
        let of = |text: &str| withdrawals(&[text.to_owned()]).map(|s| format!("{s:?}"));
        assert_eq!(of("birth").unwrap(), "[Birth(None)]");
        assert_eq!(
            withdrawals(&["tag=T-1".to_owned()]).unwrap(),
            [Setting::Identifier(Identifier { system: "tag", value: "T-1" }, None)]
        );
        assert_eq!(of("name").unwrap_err().code(), "empty-value");
        assert_eq!(of("colour=red").unwrap_err().code(), "bad-field");
    }

    #[test]
    fn members_of_a_household_are_read() {
        assert_eq!(member("Okafor, Ada;1990-05-01;female;T-9").unwrap().len(), 4);
        assert_eq!(member("Okafor, Obi;;m").unwrap().len(), 2);
        assert_eq!(member(";;;T-9").unwrap().len(), 1);
        for text in ["", ";;", "a;b;c;d;e"] {
            assert!(member(text).is_err(), "{text}");
        }
    }
}
