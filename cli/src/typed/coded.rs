//! Codes as typed: `TEXT`, `SYSTEM|CODE` or `SYSTEM|CODE|TEXT`; common systems have short names.

use daybook_core::limits::TEXT_BYTES_MAX;
use daybook_core::record::Coded;

use crate::failure::Failure;

/// Short names of code systems and their URIs.
const SYSTEMS: [(&str, &str); 9] = [
    ("rxnorm", "http://www.nlm.nih.gov/research/umls/rxnorm"),
    ("ndc", "http://hl7.org/fhir/sid/ndc"),
    ("cvx", "http://hl7.org/fhir/sid/cvx"),
    ("loinc", "http://loinc.org"),
    ("snomed", "http://snomed.info/sct"),
    ("icd10", "http://hl7.org/fhir/sid/icd-10"),
    ("icd10cm", "http://hl7.org/fhir/sid/icd-10-cm"),
    ("atc", "http://www.whocc.no/atc"),
    ("unii", "http://fdasis.nlm.nih.gov"),
];

/// Reads a concept.
///
/// # Errors
/// When a part is empty or the text too long.
pub fn coded(text: &str) -> Result<Coded<'_>, Failure> {
    let text = text.trim();
    let Some((system, rest)) = text.split_once('|') else {
        return checked(Coded::text(text));
    };
    let (code, display) = rest.split_once('|').unwrap_or((rest, ""));
    let (system, code, display) = (system.trim(), code.trim(), display.trim());
    if system.is_empty() || code.is_empty() {
        return Err(bad());
    }
    checked(Coded { system: uri(system), code, display })
}

/// Reads a concept whose text and code are given apart.
///
/// # Errors
/// As [`coded`]; a code must be `SYSTEM|CODE`.
pub fn coded_with<'a>(text: &'a str, code: Option<&'a str>) -> Result<Coded<'a>, Failure> {
    let concept = coded(text)?;
    let Some(code) = code else {
        return Ok(concept);
    };
    let of_code = coded(code)?;
    if of_code.code.is_empty() || !of_code.display.is_empty() || !concept.code.is_empty() {
        return Err(bad());
    }
    Ok(Coded { display: concept.display, ..of_code })
}

fn uri(system: &str) -> &str {
    let known = SYSTEMS.iter().find(|(short, _)| short.eq_ignore_ascii_case(system));
    known.map_or(system, |(_, uri)| uri)
}

fn checked(concept: Coded<'_>) -> Result<Coded<'_>, Failure> {
    if concept.shown().is_empty() {
        return Err(
            Failure::usage("empty-text", "a text that is needed is empty").then("say what it is in a few words")
        );
    }
    if [concept.system, concept.code, concept.display].iter().any(|t| t.len() > TEXT_BYTES_MAX) {
        return Err(Failure::usage("long-text", "a text is longer than 8 KiB").then("shorten it"));
    }
    Ok(concept)
}

fn bad() -> Failure {
    Failure::usage("bad-code", "a code is written as SYSTEM|CODE").then("write rxnorm|723 or http://loinc.org|29463-7")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_codes_are_read() {
        assert_eq!(coded(" bee stings ").unwrap(), Coded::text("bee stings"));
        let rxnorm = "http://www.nlm.nih.gov/research/umls/rxnorm";
        assert_eq!(coded("RxNorm|723").unwrap(), Coded { system: rxnorm, code: "723", display: "" });
        assert_eq!(coded("urn:x|1|a|b").unwrap(), Coded { system: "urn:x", code: "1", display: "a|b" });
        assert_eq!(
            coded_with("amoxicillin", Some("rxnorm|723")).unwrap(),
            Coded { system: rxnorm, code: "723", display: "amoxicillin" }
        );
    }

    #[test]
    fn halves_of_codes_are_refused() {
        for text in ["|723", "rxnorm|", "|"] {
            assert_eq!(coded(text).unwrap_err().code(), "bad-code", "{text}");
        }
        for code in ["723", "rxnorm|723|amoxicillin"] {
            assert_eq!(coded_with("amoxicillin", Some(code)).unwrap_err().code(), "bad-code", "{code}");
        }
        assert_eq!(coded_with("rxnorm|1", Some("rxnorm|723")).unwrap_err().code(), "bad-code");
        assert_eq!(coded("  ").unwrap_err().code(), "empty-text");
        assert_eq!(coded(&"x".repeat(8_193)).unwrap_err().code(), "long-text");
    }
}
