//! One line at the desk: what was scanned or typed, read without the book.

use daybook_core::record::{Coded, PartialDate, Quantity};

use crate::failure::Failure;
use crate::typed;

/// What a line asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Line<'a> {
    /// Nothing was typed.
    Nothing,
    /// Which lines there are.
    Help,
    /// The patient is done; the next one comes.
    Next,
    /// Lock at once.
    Lock,
    /// Lock and end.
    Quit,
    /// Register: `NAME;BIRTH;SEX;TAG`, all of which may be missing.
    New(&'a str),
    /// Hand out medication; the text is read by [`Handout::read`].
    Dispense(&'a str),
    /// A measurement: code, value, unit.
    Observe(&'a str, &'a str, Option<&'a str>),
    /// An allergy.
    Allergy(&'a str),
    /// No allergies are known.
    NoAllergies,
    /// A code that was scanned, or a name: look it up.
    Patient(&'a str),
}

/// The lines that there are, for people.
pub const HELP: &str = "\
scan or type a code, tag or name   show the patient
find NAME                          the same, where a name is also a word of this list
new [NAME;BIRTH;SEX;TAG]           register; alone after an unknown tag: register with that tag
weight 72 kg                       write down the weight (kg, g, lb)
observe CODE VALUE UNIT            write down another measurement
allergy SUBSTANCE | allergy none   write down an allergy, or that none are known
dispense PRODUCT; 20 tablet; 10 days; lot A123; exp 2027-03; to NAME
next                               the next patient
lock                               lock; the passphrase opens it again
quit                               lock and end
";

/// Reads a line.
///
/// # Errors
/// When a word of the list lacks what belongs to it.
pub fn read(line: &str) -> Result<Line<'_>, Failure> {
    let line = line.trim();
    let (word, rest) = line.split_once(char::is_whitespace).map_or((line, ""), |(w, r)| (w, r.trim()));
    let alone = |asked| if rest.is_empty() { asked } else { Line::Patient(line) };
    Ok(match word.to_ascii_lowercase().as_str() {
        "" => Line::Nothing,
        "help" | "?" => alone(Line::Help),
        "next" => alone(Line::Next),
        "lock" => alone(Line::Lock),
        "quit" | "exit" => alone(Line::Quit),
        "new" => Line::New(rest),
        "find" => Line::Patient(needed(rest)?),
        "dispense" => Line::Dispense(needed(rest)?),
        "allergy" if rest.eq_ignore_ascii_case("none") => Line::NoAllergies,
        "allergy" => Line::Allergy(needed(rest)?),
        "weight" => {
            let (value, unit) = value_and_unit(needed(rest)?);
            Line::Observe("weight", value, unit)
        }
        "observe" => {
            let (code, rest) = needed(rest)?.split_once(char::is_whitespace).ok_or_else(incomplete)?;
            let (value, unit) = value_and_unit(rest.trim());
            Line::Observe(code, value, unit)
        }
        _ => Line::Patient(line),
    })
}

fn needed(rest: &str) -> Result<&str, Failure> {
    if rest.is_empty() { Err(incomplete()) } else { Ok(rest) }
}

fn incomplete() -> Failure {
    Failure::usage("incomplete", "the line is not complete").then("type `help` for the lines that there are")
}

/// Splits `72 kg` and `72kg`; a text stays whole.
fn value_and_unit(text: &str) -> (&str, Option<&str>) {
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+')) {
        return (text, None);
    }
    let end = text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | ',' | '/' | '-' | '+')));
    match end.and_then(|end| text.split_at_checked(end)) {
        Some((value, unit)) => (value, Some(unit.trim()).filter(|u| !u.is_empty())),
        None => (text, None),
    }
}

/// A dispense as typed at the desk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Handout<'a> {
    /// Product.
    pub product: Coded<'a>,
    /// Amount.
    pub quantity: Quantity<'a>,
    /// Days that it lasts.
    pub days: Option<u16>,
    /// Lot.
    pub lot: &'a str,
    /// When the lot expires.
    pub expiry: Option<PartialDate>,
    /// Place whose stock it comes from.
    pub place: &'a str,
    /// Who takes it.
    pub to: Option<&'a str>,
}

impl<'a> Handout<'a> {
    /// Reads `PRODUCT; 20 tablet; 10 days; lot A123; exp 2027-03; at tent 1; to NAME`; after the product in
    /// any order.
    ///
    /// # Errors
    /// When a part cannot be read or there is no amount.
    pub fn read(text: &'a str, place: &'a str) -> Result<Self, Failure> {
        let mut parts = text.split(';').map(str::trim).filter(|p| !p.is_empty());
        let product = typed::coded(parts.next().unwrap_or_default())?;
        let (mut quantity, mut days, mut lot, mut expiry, mut place, mut to) = (None, None, "", None, place, None);
        for part in parts {
            let (word, rest) = part.split_once(char::is_whitespace).map_or((part, ""), |(w, r)| (w, r.trim()));
            match word.to_ascii_lowercase().as_str() {
                "lot" => lot = typed::optional_text(rest)?,
                "exp" | "expiry" | "expires" => expiry = typed::expiry(Some(rest))?,
                "at" => place = typed::text(rest)?,
                "to" => to = Some(typed::text(rest)?),
                _ if tells_days(part) => days = typed::days(Some(part))?,
                _ => quantity = Some(typed::amount(part)?),
            }
        }
        let quantity = quantity.ok_or_else(|| {
            Failure::usage("no-quantity", "the amount is missing")
                .then("type: dispense PRODUCT; 20 tablet; 10 days; lot A123; exp 2027-03")
        })?;
        Ok(Self { product, quantity, days, lot, expiry, place, to })
    }
}

fn tells_days(part: &str) -> bool {
    let unit = part.trim_start_matches(|c: char| !c.is_alphabetic()).trim();
    matches!(unit, "d" | "day" | "days")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read() {
        for (line, asked) in [
            ("  ", Line::Nothing),
            ("NEXT", Line::Next),
            ("next of kin", Line::Patient("next of kin")),
            ("7FK2-Q1X3-M", Line::Patient("7FK2-Q1X3-M")),
            ("García, María", Line::Patient("García, María")),
            ("find New, Ann", Line::Patient("New, Ann")),
            ("new", Line::New("")),
            ("new García, María; 1980-02; f", Line::New("García, María; 1980-02; f")),
            ("weight 72 kg", Line::Observe("weight", "72", Some("kg"))),
            ("weight 72.5kg", Line::Observe("weight", "72.5", Some("kg"))),
            ("weight 72", Line::Observe("weight", "72", None)),
            ("observe bp 120/80", Line::Observe("bp", "120/80", None)),
            ("observe pregnancy not pregnant", Line::Observe("pregnancy", "not pregnant", None)),
            ("observe temp -3 C", Line::Observe("temp", "-3", Some("C"))),
            ("allergy none", Line::NoAllergies),
            ("allergy bee stings", Line::Allergy("bee stings")),
            ("dispense doxy; 20 tablet", Line::Dispense("doxy; 20 tablet")),
        ] {
            assert_eq!(read(line).unwrap(), asked, "{line}");
        }
        for line in ["weight", "allergy", "dispense ", "find", "observe bp", "observe"] {
            assert_eq!(read(line).unwrap_err().code(), "incomplete", "{line}");
        }
    }

    #[test]
    fn a_handout_is_read_in_any_order() {
        for text in [
            "doxycycline 100 mg; 20 tablet; 10 days; lot A123; exp 2027-03; to Ada",
            "doxycycline 100 mg; to Ada; exp 2027-03; lot A123; 10d; 20tablet",
        ] {
            let handout = Handout::read(text, "tent 1").unwrap();
            assert_eq!(handout.product, Coded::text("doxycycline 100 mg"));
            assert_eq!((handout.quantity.number().as_str(), handout.quantity.unit), ("20", "tablet"));
            assert_eq!((handout.days, handout.lot, handout.to), (Some(10), "A123", Some("Ada")));
            assert_eq!((handout.expiry.unwrap().to_string().as_str(), handout.place), ("2027-03", "tent 1"));
        }
        assert_eq!(Handout::read("doxy; 2 days supply; at tent 2", "").unwrap().quantity.unit, "days supply");
    }

    #[test]
    fn a_handout_that_cannot_be_read_is_refused() {
        for (text, code) in [
            ("doxy", "no-quantity"),
            ("doxy; 10 days", "no-quantity"),
            ("doxy; 0 tablet", "bad-quantity"),
            ("doxy; 20 tablet; 0 days", "bad-days"),
            ("doxy; 20 tablet; exp soon", "bad-date"),
            ("; ;", "empty-text"),
            ("doxy; 20 tablet; to", "empty-text"),
        ] {
            assert_eq!(Handout::read(text, "").unwrap_err().code(), code, "{text}");
        }
    }
}
